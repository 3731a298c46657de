"""A command whose stdin, stdout or stderr is closed, full or not read: it costs no night, and shows no traceback."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import pytest

from tests.support.python import STANDARD
from tests.support.workplace import NO_REPORT


@pytest.mark.parametrize("ends", ["2>/dev/full", "2>&-", "<&- >&- 2>&-", "2>&1 | true"])
def test_what_cannot_be_said_costs_no_night(sandbox, workplace, ends):
    """A log on a full disk, a logger that died, a scheduler that closes everything."""
    done = in_a_shell(workplace.use(sandbox(enrollments=40), **NO_REPORT), f"nightly --no-push {ends}")
    assert done.stderr == ""
    assert workplace.sql("select command, status, exit_code from boast_data.runs") == [("nightly", "ok", 0)]
    assert workplace.sql("select count(*) from boast_data.sequence_enrollments") == [(40,)]
    assert done.returncode == (1 if "|" in ends else 0)  # its result was not taken


def test_a_result_that_cannot_be_written_is_a_failure_of_one_line(workplace):
    duckdb.connect(str(workplace.folder / "boast.duckdb")).close()
    for command in ("sql 'select 1'", "sql --csv 'select 1'", "sql --json 'select 1'", "--version"):
        done = in_a_shell(workplace, f"{command} >/dev/full")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert done.stderr.startswith("boast: ")
        assert "No space left" in done.stderr
    assert in_a_shell(workplace, "sql 'select 1' >&-").returncode == 0


@pytest.mark.parametrize("options", ["", "--csv"])
def test_a_character_that_stdout_cannot_write_is_escaped(workplace, options):
    duckdb.connect(str(workplace.folder / "boast.duckdb")).close()
    workplace.env["PYTHONIOENCODING"] = "latin-1"
    done = in_a_shell(workplace, f"sql {options} \"select 'Zoe, \u0141' as name\"")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Zoe, \\u0141" in done.stdout


@pytest.mark.parametrize(("command", "code"), [("--version", 0), ("--nonsense", 2)])
def test_a_command_ends_when_all_is_cleaned_up_without_freeing_every_object(command, code):
    """Freeing them takes a third of a second."""
    lines = [
        "import atexit",
        "from boast_source.commands.main import main",
        "class Object:",
        "    def __del__(self): print('freed', flush=True)",
        "main.kept = Object()",
        "main.itself = main",  # a cycle, which the interpreter frees at its exit
        "def register(): atexit.register(print, 'cleaned up')",
        "from boast_source.commands import main as module",
        "module.streams.settle = register",  # as a library does that is imported later
        f"main(['{command}'])",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    assert "cleaned up" in done.stdout
    assert "freed" not in done.stdout


def in_a_shell(workplace, command):
    """Run a command of `boast` by a shell, which redirects it; the code is that of `boast`."""
    mine = {"HOME": str(workplace.folder / "home"), "DLT_DATA_DIR": str(workplace.folder / "state")}
    line = f'{sys.executable} -m boast_source {command}; exit "${{PIPESTATUS[0]}}"'
    return subprocess.run(
        ["bash", "-c", line],
        cwd=workplace.folder,
        env=STANDARD | mine | workplace.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
