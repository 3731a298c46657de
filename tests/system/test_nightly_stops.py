"""Nights that are stopped or killed: the record says so, the lock gives way, and the next night does the rest."""

from __future__ import annotations

import json
import os
import signal
import time

import dlt
import pytest

from boast_source.errors import LockedError
from boast_source.runs.lock import HEARTBEAT, MISSED, SILENCE, lock
from tests.support.nights import ask, with_pairs
from tests.support.waiting import arrived, until
from tests.support.workplace import DYING, finish, stop, stored


@pytest.fixture
def night(sandbox, workplace):
    return with_pairs(sandbox, workplace)


def held(server, what="enrollments"):
    """From now on nothing of it is answered."""
    server.control("DELETE", "counters")
    server.control("POST", "faults", {"kind": "hold", "seconds": 3600, "path": what})


def test_a_stop_while_it_loads_ends_with_3_and_the_next_night_does_the_rest(night):
    server, workplace, free = night
    ask(workplace, free[:2])
    held(server)
    process = workplace.start("nightly", "--new-ledger", "--json")
    arrived(server, "GET sequence_enrollments", process=process)
    process.send_signal(signal.SIGTERM)
    done = finish(process)
    assert (done.code, done.json["status"]) == (3, "attention")
    assert workplace.sql("select exit_code, error from boast_data.runs") == [
        (3, "Stopped before it was done. The next run does the rest.")
    ]
    server.control("DELETE", "faults")
    assert workplace.boast("nightly", "--json").json["push"]["enrolled"] == 2


def test_a_second_stop_while_the_first_is_answered_changes_nothing(night):
    server, workplace, _ = night
    held(server)
    again = {"DIE_AT": "before 1 boast_source.commands.main:_known", "DIE_WITH": "TERM", "PYTHONPATH": DYING}
    process = workplace.start("load", **again)
    arrived(server, "GET sequence_enrollments", process=process)
    stop(process, signal.SIGTERM)


@pytest.mark.parametrize("place", ["normalize/extracted", "load/normalized"])
def test_a_stop_while_dlt_is_at_work_sends_nothing_and_the_next_night_does_the_rest(night, place):
    server, workplace, free = night
    server.control("POST", "mutate", {"insert": 3000})
    ask(workplace, free[:2])
    process = workplace.start("nightly", "--new-ledger", "--json")
    folder = workplace.folder / "state" / "pipelines" / "boast" / place
    until(lambda: folder.is_dir() and any(folder.iterdir()), process=process)
    process.send_signal(signal.SIGTERM)
    done = finish(process)
    assert (done.code, done.json["status"]) == (3, "attention")
    assert server.control("GET", "counters")["writes"] == {}
    assert workplace.boast("nightly", "--json", "--new-ledger").json["push"]["queried"] == 2
    assert stored(workplace) == server.truth()


@pytest.mark.parametrize(
    ("command", "where"), [("nightly", "make_report"), ("nightly", "_published"), ("load", "_published")]
)
def test_a_stop_after_the_load_is_in_the_record_and_in_the_summary(night, command, where):
    server, workplace, _ = night
    workplace.env |= {"SOURCES__BOAST__REPORT_PATH": "r.html", "SOURCES__BOAST__PUBLISH_PATH": "bi/copy.duckdb"}
    dying = {"DIE_AT": f"before 1 boast_source.outputs.outputs:{where}", "DIE_WITH": "TERM", "PYTHONPATH": DYING}
    done = workplace.boast(command, "--json", RUNTIME__DLTHUB_TELEMETRY="false", **dying)
    assert (done.code, done.json["status"]) == (3, "attention"), done.err
    (account,) = (done.json["load"] if command == "nightly" else done.json)["accounts"]
    assert (account["loaded"], account["verified"]) == (60, "covered")
    runs = workplace.sql("select run_id, status, exit_code, listed, loaded, error from boast_data.runs")
    assert runs == [
        (done.json["run_id"], "attention", 3, 60, 60, "Stopped before it was done. The next run does the rest.")
    ]
    assert workplace.boast(command).code == 0
    assert (workplace.folder / "bi" / "copy.duckdb").exists()
    assert stored(workplace) == server.truth()


def test_a_stop_while_it_sends_ends_with_3_and_counts_what_was_done(night):
    server, workplace, free = night
    ask(workplace, free[:100])
    rule = {"kind": "latency", "seconds": 0.2, "method": "POST", "path": "sequence_enrollments"}
    server.control("POST", "faults", rule)
    process = workplace.start("nightly", "--new-ledger", "--json")
    arrived(server, "POST sequence_enrollments", process=process)
    process.send_signal(signal.SIGTERM)
    done = finish(process)
    assert (done.code, done.json["push"]["unknown"]) == (3, 0)
    enrolled = done.json["push"]["enrolled"]
    assert 0 < enrolled < 100
    server.control("DELETE", "faults")
    assert workplace.boast("nightly", "--json").json["push"]["enrolled"] == 100 - enrolled
    assert server.control("GET", "counters")["writes"] == {"POST sequence_enrollments": 100}
    assert stored(workplace) == server.truth()


def test_a_lock_left_by_a_process_that_died_is_taken_over(night):
    server, workplace, _ = night
    held(server)
    process = workplace.start("nightly")
    arrived(server, "GET sequence_enrollments", process=process)
    process.kill()
    finish(process)
    assert (workplace.folder / "state" / "pipelines" / "boast.lock.json").exists()
    server.control("DELETE", "faults")
    assert workplace.boast("nightly").code == 0
    story = "select status, exit_code, error like 'The run died%', finished_at >= started_at"
    story += " from boast_data.runs order by started_at"
    assert workplace.sql(story) == [("failed", None, True, True), ("ok", 0, None, True)]


def test_status_tells_a_run_that_died_before_the_next_one_finds_it(night):
    server, workplace, _ = night
    assert workplace.boast("load").code == 0
    long_ago = "update boast_data.runs set finished_at = finished_at - interval 1 hour"
    assert workplace.boast("sql", "--write", long_ago).code == 0
    held(server)
    process = workplace.start("nightly")
    arrived(server, "GET sequence_enrollments", process=process)
    note = workplace.folder / "state" / "pipelines" / "boast.lock.json"
    silent = time.time() - MISSED * HEARTBEAT - 1
    process.kill()
    finish(process)
    assert workplace.boast("status", "--json").json["status"] == "ok"  # it may be alive
    os.utime(note, (silent, silent))
    before = note.read_text()
    told = workplace.boast("status", "--json").json
    assert (told["status"], told["judgement"]) == ("attention", "The last run needs attention.")
    assert (told["health"]["last_command"], told["health"]["last_status"]) == ("nightly", "failed")
    assert told["health"]["last_error"].startswith("The run died")
    assert (told["runs"][0]["command"], note.read_text()) == ("nightly", before)
    for damaged in ('{"run_id": "x"}', '{"run_id": "x", "command": "load", "since": "soon"}', "{"):
        note.write_text(damaged)
        os.utime(note, (silent, silent))
        assert workplace.boast("status", "--json").json["status"] == "ok"
    server.control("DELETE", "faults")
    assert workplace.boast("nightly").code == 0
    assert workplace.boast("status", "--json").json["status"] == "ok"


def test_a_lock_of_another_machine_counts_while_it_shows_life(night):
    _, workplace, _ = night
    folder = workplace.folder / "state" / "pipelines"
    folder.mkdir(parents=True)
    note = folder / "boast.lock.json"
    note.write_text(json.dumps({"pid": 1, "host": "elsewhere", "since": "2026-01-01"}))
    done = workplace.boast("nightly")
    assert done.code == 4
    assert "process 1 on elsewhere" in done.err
    assert note.exists()
    silent = time.time() - SILENCE - 1
    os.utime(note, (silent, silent))
    assert workplace.boast("nightly").code == 0
    assert not note.exists()


def test_a_run_shows_life_for_other_machines(tmp_path):
    pipeline = dlt.pipeline("boast", pipelines_dir=str(tmp_path))
    note = tmp_path / "boast.lock.json"
    with lock(pipeline, beat=0.01):
        os.utime(note, (0, 0))
        until(lambda: note.stat().st_mtime > 0)
        with pytest.raises(LockedError, match=f"process {os.getpid()}"), lock(pipeline):
            pass
    assert not note.exists()
