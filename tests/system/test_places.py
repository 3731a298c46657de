"""Places that users name, and a folder that cannot be written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from boast_source.outputs.files import local_path, write
from tests.support.python import STANDARD
from tests.support.workplace import AS_A_USER

GONE = "The working folder cannot be read: No such file or directory. Change to another folder, then run it again."


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("file:///tmp/a%20b/r.html", "/tmp/a b/r.html"),
        ("file://localhost/tmp/r.html", "/tmp/r.html"),
        ("/tmp/a%20b/r.html", "/tmp/a%20b/r.html"),
        ("s3://bucket/r.html", None),
        ("memory://r.html", None),
    ],
)
def test_a_path_is_what_a_place_names_unless_it_is_a_url(given, path):
    assert (None if path is None else str(local_path(given))) == path


def test_a_report_goes_where_a_file_url_says(tmp_path):
    place = (tmp_path / "a b" / "r.html").as_uri()
    assert write("here", place) == str(tmp_path / "a b" / "r.html")
    assert (tmp_path / "a b" / "r.html").read_text() == "here"


def test_a_link_to_itself_in_the_place_of_a_report_is_replaced(tmp_path):
    (tmp_path / "r.html").symlink_to(tmp_path / "r.html")
    assert write("here", str(tmp_path / "r.html")) == str(tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text() == "here"


def test_a_disk_without_a_byte_left_is_told_with_what_to_do(sandbox, workplace):
    """A small disk of its own, which a user may mount in a name space of its own."""
    inside = 'mount -t tmpfs -o size=64k none "$0" && (cat /dev/zero > "$0/full"; exec "$@")'
    unshare = shutil.which("unshare")
    may = unshare and subprocess.run([unshare, "-rm", "true"], check=False, capture_output=True).returncode == 0
    if not may:
        pytest.skip("name spaces are not allowed here")
    server = sandbox(enrollments=3)
    disk = workplace.folder / "disk"
    disk.mkdir()
    workplace.use(server, DLT_DATA_DIR=str(disk))
    command = [unshare, "-rm", "sh", "-c", inside, str(disk), sys.executable, "-m", "boast_source", "load"]
    env = workplace.env | {"PATH": os.environ["PATH"], "HOME": str(workplace.folder / "home"), "PYTHONPATH": AS_A_USER}
    done = subprocess.run(command, cwd=workplace.folder, env=env, check=False, capture_output=True, text=True)
    assert done.returncode in {1, 2}
    assert "No space left on device" in done.stderr
    assert "Unexpected" not in done.stderr


@pytest.mark.parametrize("command", ["init --token x", "load --json", "status", "login", "demo", "sandbox"])
def test_a_working_folder_that_is_gone_is_told(tmp_path, command):
    (tmp_path / "gone").mkdir()
    code = f'rmdir "$PWD" && exec "{sys.executable}" -m boast_source {command}'
    done = subprocess.run(
        ["sh", "-c", code], cwd=tmp_path / "gone", env=STANDARD, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr == f"boast: {GONE}\n"
    if "--json" in command:
        assert json.loads(done.stdout) == {"status": "failed", "error": GONE}
