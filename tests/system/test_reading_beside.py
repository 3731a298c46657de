"""A DuckDB file has one user at a time: while a run has it, `requests list` and `status` read through that run."""

from __future__ import annotations

import contextlib
import signal
import socket
import stat

import pytest

from tests.support.waiting import until
from tests.support.workplace import finish
from tests.system.test_push_kill import ask

ASKED = 6
SLOW = {"kind": "latency", "seconds": 600}  # until the rules are cleared
FOLDER = ".boast.duckdb.run"
NONSENSE = [b"", b"\n", b"[]\n", b"{}\n", b'{"sql": 1, "values": []}\n', b'{"sql": "drop table x", "values"', b"\xff\n"]


@pytest.fixture
def server(sandbox, workplace):
    server = sandbox(enrollments=150, page_size=100)
    workplace.use(server, SOURCES__BOAST__LOCK_TIMEOUT="0")  # nothing here waits for the file
    ask(server, workplace, ASKED)
    assert workplace.boast("load").code == 0
    assert workplace.boast("push", "--new-ledger", "--limit", "1").code == 0
    return server


@contextlib.contextmanager
def running(server, workplace, method, *command, ends_with=0):
    """Start a command whose requests wait until the end of the block, and enter it once the first has arrived."""

    def arrived():
        counted = server.control("GET", "counters")["arrived"]
        return sum(count for what, count in counted.items() if what.startswith(method))

    server.control("POST", "faults", SLOW | {"method": method})
    before = arrived()
    process = workplace.start(*command)
    try:
        until(lambda: process.poll() is not None or arrived() > before)
        assert process.poll() is None
        yield process
        assert process.poll() is None or ends_with
    finally:
        server.control("DELETE", "faults")
        done = finish(process)
    assert done.code == ends_with, done.err


def listed(workplace, *options):
    done = workplace.boast("requests", "list", "--json", *options)
    assert done.code == 0, done.err
    return done.json["requests"]


def told(workplace):
    """Return what `status` says, without the age, which passes."""
    status = workplace.boast("status", "--json").json
    status["health"].pop("hours_since_success")
    return status


def test_requests_are_listed_while_a_push_runs(server, workplace):
    (first,) = listed(workplace, "--state", "enrolled")
    with running(server, workplace, "POST", "push"):
        claimed = listed(workplace, "--state", "claimed")
        assert len(claimed) == ASKED - 1
        assert all(one["sequence_name"] == first["sequence_name"] and one["next"] for one in claimed)
        assert listed(workplace, "--state", "enrolled") == [first]
    assert first in listed(workplace, "--state", "enrolled")
    assert listed(workplace, "--state", "claimed") == []


def test_what_is_told_beside_a_run_is_what_is_told_alone(server, workplace):
    alone, requests = told(workplace), listed(workplace, "--state", "enrolled")
    with running(server, workplace, "GET", "load"):
        assert told(workplace) == alone
        assert listed(workplace, "--state", "enrolled") == requests


def test_a_decision_waits_for_the_run(server, workplace):
    with running(server, workplace, "POST", "push"):
        for words in (("drop", "1"), ("release", "1"), ("pause",)):
            assert workplace.boast("requests", *words).code == 4


def test_a_reader_may_break_off_or_talk_nonsense(server, workplace):
    with running(server, workplace, "POST", "push"):
        for words in NONSENSE:
            with socket.socket(socket.AF_UNIX) as reader:
                reader.connect(str(workplace.folder / FOLDER / "socket"))
                reader.sendall(words)
        assert len(listed(workplace, "--state", "claimed")) == ASKED - 1


def test_nothing_is_changed_through_a_run_and_nobody_else_may_ask(server, workplace):
    folder = workplace.folder / FOLDER
    with running(server, workplace, "POST", "push"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        with socket.socket(socket.AF_UNIX) as reader:
            reader.connect(str(folder / "socket"))
            reader.sendall(b'{"sql": "delete from boast_data.push_ledger", "values": []}\n')
            assert b"read-only" in reader.recv(1000)
    assert not folder.exists()


def test_nobody_else_answers_in_the_name_of_the_run(server, workplace):
    folder = workplace.folder / FOLDER
    with running(server, workplace, "POST", "push"):
        folder.chmod(0o755)  # as if somebody else had made it
        done = workplace.boast("requests", "list")
        assert (done.code, "is locked by" in done.err) == (1, True), done.err
        folder.chmod(0o700)
        assert len(listed(workplace, "--state", "claimed")) == ASKED - 1


def test_what_a_killed_run_leaves_is_in_nobodys_way(server, workplace):
    with running(server, workplace, "POST", "push", ends_with=-signal.SIGKILL) as push:
        push.send_signal(signal.SIGKILL)
        until(lambda: push.poll() is not None)
    left = listed(workplace)
    with running(server, workplace, "GET", "load"):
        assert listed(workplace) == left
    assert not (workplace.folder / FOLDER).exists()


def test_at_any_moment_of_a_run_and_after_it(server, workplace):
    """One is asked for after the other, so some begin while the run has the file, and end when it has not."""
    server.control("POST", "faults", {"kind": "latency", "seconds": 0.2})
    workplace.env |= {"SOURCES__BOAST__LOCK_TIMEOUT": "60", "SOURCES__BOAST__MAX_CONCURRENCY": "1"}
    push = workplace.start("push")
    counts = []
    while push.poll() is None:
        counts.append(len(listed(workplace, "--state", "enrolled")))
        told(workplace)
    assert finish(push).code == 0
    assert counts == sorted(counts)
    assert len(listed(workplace, "--state", "enrolled")) == ASKED
