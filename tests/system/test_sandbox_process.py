"""The sandbox as a process of its own, and as a large one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.support.sandbox_client import client_of


@contextmanager
def process(*arguments):
    command = [sys.executable, "-m", "boast_source.sandbox", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def test_a_process_prints_one_line_with_all_a_client_needs():
    with process("--enrollments", "30", "--page-size", "7", "--order", "created_desc") as running:
        info = json.loads(running.stdout.readline())
        assert {"base_url", "token_url", "authorize_url", "control_url", "client_id", "client_secret"} <= set(info)
        assert info["env"] == {
            "SOURCES__BOAST__BASE_URL": info["base_url"],
            "SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN": info["access_token"],
        }
        with client_of(info) as client:
            assert client.page()["meta"]["pagination"] == {"count": 30, "page": 1, "items": 7, "pages": 5}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number):
    with process("--enrollments", "5") as running:
        json.loads(running.stdout.readline())
        running.send_signal(number)
        assert running.wait(10) == 0
        assert running.stdout.read() == ""


def test_importing_the_sandbox_does_not_import_its_server():
    code = "import sys, boast_source.sandbox as s; s.SandboxOptions(); sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_hundreds_of_thousands_of_enrollments_are_served_from_either_end(sandbox):
    with client_of(sandbox(enrollments=300_000, page_size=100)) as client:
        first, last = client.page(1), client.page(3000)
        assert first["meta"]["pagination"]["pages"] == 3000
        assert len(last["data"]) == 100
        assert first["data"][0]["created_at"] < last["data"][-1]["created_at"]
        record = last["data"][-1]
        assert client.ask("GET", f"sequence_enrollments/{record['id']}").json()["data"] == record
