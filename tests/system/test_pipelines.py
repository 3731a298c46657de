"""The scripts in pipelines/ do what they say, on the public door alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.support.sandbox_client import client_of
from tests.support.workplace import finish, stored

SCRIPTS = Path(__file__).parents[2] / "pipelines"


def run(workplace, name):
    process = subprocess.Popen(
        [sys.executable, str(SCRIPTS / name)],
        cwd=workplace.folder,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(workplace.folder / "home"),
            "DLT_DATA_DIR": str(workplace.folder / "state"),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }
        | workplace.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return finish(process)


@pytest.mark.parametrize("name", ["load.py", "push.py", "nightly.py"])
def test_a_script_is_a_few_lines_on_the_public_door(name):
    text = (SCRIPTS / name).read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) <= 14
    modules = {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert modules == {"boast_source"}


def test_load_copies_the_enrollments_with_their_history(sandbox, workplace):
    server = sandbox(enrollments=50)
    done = run(workplace.use(server), "load.py")
    assert done.code == 0, done.err
    with duckdb.connect(str(workplace.folder / "boast_copy.duckdb"), read_only=True) as connection:
        counts = "select (select count(*) from boast_data.sequence_enrollments), count(*) from boast_data."
        assert connection.execute(counts + "sequence_enrollments_history").fetchall() == [(50, 50)]


def test_push_and_nightly_share_a_ledger_and_say_what_is_wrong_in_one_line(sandbox, workplace):
    server = sandbox(enrollments=50)
    workplace.use(server)
    done = run(workplace, "push.py")
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("There is no table")
    with client_of(server) as client:
        contacts = [record["id"] for record in client.every("contacts")]
        sequence = client.every("sequences")[0]["id"]
    busy = {e["contact_id"] for e in server.truth().values() if e["sequence_id"] == sequence}
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute("create schema if not exists boast_data")
        connection.execute("create table boast_data.pending_enrollments (contact_id text, sequence_id text)")
        for contact in [c for c in contacts if c not in busy][:3]:
            connection.execute("insert into boast_data.pending_enrollments values (?, ?)", [contact, sequence])
    refused = run(workplace, "push.py")
    assert (refused.code, "--new-ledger" in refused.err) == (2, True), "no script starts a ledger"
    assert workplace.boast("push", "--new-ledger", "--limit", "0").code == 0
    assert run(workplace, "push.py").code == 0
    assert run(workplace, "nightly.py").code == 0
    assert server.control("GET", "counters")["writes"] == {"POST sequence_enrollments": 3}
    assert stored(workplace) == server.truth()
