"""What goes wrong at night: a part fails, the disk fills, the warehouse hangs up, the clock jumps."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time

import duckdb
import pytest

from tests.support.nights import PENDING, ask, pairs, with_pairs
from tests.support.waiting import arrived
from tests.support.workplace import NO_REPORT, Workplace, finish, stored


@pytest.fixture
def night(sandbox, workplace):
    return with_pairs(sandbox, workplace)


def workplace_sql(workplace, statement):
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute(statement)


def test_a_push_that_breaks_leaves_the_load_and_its_views_and_says_so(night):
    server, workplace, free = night
    ask(workplace, free[:2])
    assert workplace.boast("nightly", "--new-ledger").code == 0
    ask(workplace, free[2:4])
    server.control("POST", "mutate", {"update": 5, "insert": 1})
    workplace_sql(workplace, "drop view boast_data.push_requests")
    workplace_sql(workplace, "drop view boast_data.pipeline_health")
    workplace_sql(workplace, "alter table boast_data.push_ledger alter event type text using 'x'")
    report = workplace.folder / "report.html"
    done = workplace.boast("nightly", "--json", SOURCES__BOAST__REPORT_PATH=str(report))
    assert (done.code, done.json["status"], done.json["push"]) == (2, "failed", None)
    assert "the load continues" in done.err
    assert "How sequences compare" in report.read_text() or "<svg" in report.read_text()
    assert stored(workplace) == server.truth()
    assert workplace.sql("select stored, last_exit_code from boast_data.pipeline_health") == [(len(server.truth()), 2)]
    assert server.control("GET", "counters")["writes"] == {"POST sequence_enrollments": 2}


def test_a_night_in_which_push_and_load_fail_says_why_of_both(night):
    server, workplace, free = night
    assert workplace.boast("load").code == 0
    ask(workplace, free[:1])  # and there is no ledger
    server.control("POST", "faults", {"kind": "status", "status": 403, "path": "accounts"})
    done = workplace.boast("nightly", "--json")
    assert (done.code, done.json["load"], done.json["push"]) == (1, None, None)
    assert "HTTP 403" in done.json["error"]
    assert '"push_ledger" does not exist' in done.json["error"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of another process's files")
@pytest.mark.parametrize("room", [2**12, 2**17])  # too little for dlt's files; too little for DuckDB's
def test_a_full_disk_ends_with_1_and_the_next_night_does_everything(night, room):
    import resource  # noqa: PLC0415

    server, workplace, free = night
    ask(workplace, free[:3])
    assert workplace.boast("nightly", "--new-ledger").code == 0
    before = stored(workplace)
    ask(workplace, free[3:6])
    server.control("POST", "mutate", {"update": 20, "insert": room // 64})
    process = workplace.start("nightly", "--json")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room, room))  # bytes that no file may grow beyond
    done = finish(process)
    assert done.code == 1, done.err
    assert done.json["status"] == "failed"
    assert "could not be written or read: File too large" in done.json["error"]
    assert "Traceback" not in done.err
    assert stored(workplace) == before
    done = workplace.boast("nightly", "--json")
    assert done.code in {0, 3}, "chance may have enrolled somebody a second time"
    assert done.json["push"]["queried"] == 3
    assert stored(workplace) == server.truth()
    enrolled = done.json["push"]["enrolled"]  # chance may have enrolled one of them meanwhile
    assert server.control("GET", "counters")["writes"] == {"POST sequence_enrollments": 3 + enrolled}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("left", [0, 20_000, 200_000, 800_000])
def test_a_disk_that_is_really_full_is_named_and_the_next_night_does_everything(sandbox, small_disk, left):
    server = sandbox(enrollments=60)
    (small_disk / "home").mkdir()
    workplace = Workplace(small_disk).use(server, **NO_REPORT)
    free = pairs(server)
    ask(workplace, free[:3])
    assert workplace.boast("nightly", "--new-ledger").code == 0
    ask(workplace, free[3:6])
    server.control("POST", "mutate", {"update": 20, "insert": 4000})
    room = os.statvfs(small_disk)
    (small_disk / "fill").write_bytes(b"x" * (room.f_bavail * room.f_frsize - left))
    done = workplace.boast("nightly", "--json")
    assert done.code == 1, done.err
    assert re.search("no space left|not enough space|out of space|disk is full", done.json["error"].lower())
    assert "Traceback" not in done.err
    (small_disk / "fill").unlink()
    done = workplace.boast("nightly", "--json")
    assert done.code in {0, 3}, done.err  # chance may have enrolled somebody a second time
    assert done.json["push"]["queried"] == 3
    assert stored(workplace) == server.truth()
    writes = server.control("GET", "counters")["writes"]
    assert writes == {"POST sequence_enrollments": 3 + done.json["push"]["enrolled"]}


def lose_connections(postgres):
    return postgres.sql(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )[0][0]


@pytest.mark.parametrize("where", ["while it lists", "while it sends"])
def test_a_night_survives_a_warehouse_that_hangs_up_and_the_next_one_does_what_is_left(night, postgres, where):
    server, workplace, free = night
    workplace.env |= postgres.env | {"SOURCES__BOAST__PUSH__SETTLE_AFTER": "1"}
    postgres.sql("create schema boast_data")
    postgres.sql(PENDING)
    for pair in free[:40]:
        postgres.sql("insert into boast_data.pending_enrollments values ('{}', '{}')".format(*pair))
    command = ("nightly", "--destination", "postgres", "--new-ledger", "--json")
    method = "GET" if where == "while it lists" else "POST"
    rule = {"kind": "latency", "seconds": 0.5, "method": method, "path": "sequence_enrollments"}
    server.control("POST", "faults", rule)
    process = workplace.start(*command)
    arrived(server, f"{method} sequence_enrollments", 3, process=process)
    assert lose_connections(postgres) > 0
    done = finish(process)
    assert done.code == (0 if where == "while it lists" else 3), done.err
    assert "Traceback" not in done.err
    assert "correct-horse" not in done.err + done.out
    assert postgres.sql("select exit_code from boast_data.runs") == [(done.code,)]
    server.control("DELETE", "faults")
    for _ in range(5):
        time.sleep(1.5)
        done = workplace.boast(*(part for part in command if part != "--new-ledger"))
        if done.json["push"]["queried"] == 0:
            break
    assert done.code == 0, done.err
    assert server.control("GET", "counters")["writes"] == {"POST sequence_enrollments": 40}
    rows = dict(postgres.sql("select id, status from boast_data.sequence_enrollments"))
    assert rows == {key: record["status"] for key, record in server.truth().items()}


def test_the_night_when_the_clocks_go_back_may_run_twice(night):
    server, workplace, free = night
    ask(workplace, free[:3])
    zones = ("Europe/Berlin", "CET-1CEST", "America/New_York")  # summer time, winter time, another machine's
    first = ["--new-ledger"], [], []
    codes = [
        workplace.boast("nightly", "--json", *more, TZ=zone, SOURCES__BOAST__TIME_ZONE="Europe/Berlin").json
        for zone, more in zip(zones, first, strict=True)
    ]
    assert [one["push"]["enrolled"] for one in codes] == [3, 0, 0]
    assert [one["load"]["accounts"][0]["loaded"] for one in codes] == [60, 0, 0]
    assert server.control("GET", "counters")["writes"] == {"POST sequence_enrollments": 3}
    apart = "select max(abs(epoch(now()) - epoch(finished_at))) < 300 from boast_data.runs"
    assert workplace.sql(apart) == [(True,)]


@pytest.mark.parametrize("jump", ["3 days", "-3 days"])
def test_a_clock_that_was_wrong_and_is_put_right_hides_no_trouble(night, jump):
    """What was recorded while the clock was ahead or behind is moved in the tables: to the runs it is the same."""
    server, workplace, free = night
    ask(workplace, free[:1])
    assert workplace.boast("nightly", "--new-ledger").code == 0
    for table, columns in (("runs", ("started_at", "finished_at")), ("push_ledger", ("recorded_at",))):
        for column in columns:
            workplace_sql(workplace, f"update boast_data.{table} set {column} = {column} + interval '{jump}'")
    assert workplace.boast("status", "--max-age", "26h").code == 1  # nothing is known of the last hours
    ask(workplace, free[1:2])
    server.control("POST", "mutate", {"update": 3})
    assert workplace.boast("nightly").code == 0
    assert workplace.boast("status", "--max-age", "26h").code == 0
    assert stored(workplace) == server.truth()
    assert server.control("GET", "counters")["writes"] == {"POST sequence_enrollments": 2}
