"""Nights on a machine whose clock is wrong, jumps while it lists, or shows another zone: a real clock, shifted."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.support.nights import ask, pairs
from tests.support.waiting import arrived
from tests.support.workplace import NO_REPORT, finish, stored

pytestmark = pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs a C compiler")
DAY = 86_400
BERLIN = {"TZ": "Europe/Berlin", "SOURCES__BOAST__TIME_ZONE": "Europe/Berlin"}


@pytest.fixture
def clock(tmp_path, workplace):
    """`clock(seconds)`: by so much the workplace's clock is ahead from now on."""
    library, offset = tmp_path / "clock.so", tmp_path / "offset"
    source = str(Path(__file__).parents[1] / "support" / "clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), source, "-ldl"], check=True)
    offset.write_bytes(bytes(8))
    workplace.env |= {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)}

    def clock(seconds):
        with offset.open("r+b") as file:
            file.write(struct.pack("q", int(seconds)))

    return clock


def seconds_until(moment: datetime) -> float:
    return (moment - datetime.now(timezone.utc)).total_seconds()


def nights(workplace, server, clock, offsets, jumps=()):
    """Nights at these offsets, changes and two requests before each; the second, and then each, jumps while it lists
    to the next of `jumps`.
    """
    free = iter(pairs(server))
    for night, offset in enumerate(offsets):
        clock(offset)
        ask(workplace, [next(free), next(free)])
        server.control("POST", "mutate", {"update": 4, "insert": 1, "delete": night % 2})
        jump = jumps[night - 1] if 0 < night <= len(jumps) else None
        if jump is not None:
            server.control("DELETE", "counters")
            server.control("POST", "faults", {"kind": "latency", "seconds": 0.2, "path": "enrollments", "times": 10})
        process = workplace.start("nightly", "--json", *([] if night else ["--new-ledger"]))
        if jump is not None:
            arrived(server, "GET sequence_enrollments", 2, process=process)
            clock(jump)
        done = finish(process)
        assert done.code == 0, done.err
        assert done.json["push"]["enrolled"] == 2
        assert stored(workplace) == server.truth()
        assert workplace.boast("status", "--max-age", "26h").code == 0


def all_is_well(workplace, server, offsets):
    history = "select count(*) from boast_data.enrollment_history where "
    assert workplace.sql(f"{history} valid_to < valid_from") == [(0,)]
    current = "select id, status from boast_data.enrollment_history where is_current and missing_since is null"
    assert dict(workplace.sql(current)) == {key: record["status"] for key, record in server.truth().items()}
    at_once = (
        f"{history} valid_from <= now() and (valid_to > now() or valid_to is null) group by id having count(*) > 1"
    )
    assert workplace.sql(at_once) == []
    assert workplace.sql("select count(*) from boast_data.runs where exit_code = 0") == [(len(offsets),)]
    states = "select state, count(*) from boast_data.push_requests group by all"
    assert workplace.sql(states) == [("enrolled", 2 * len(offsets))]


@pytest.mark.parametrize(
    ("offsets", "jumps"),
    [
        ([0, 3 * DAY, 500 * DAY, 0, 60], ()),  # longer than rows of runs are kept
        ([0, -40 * DAY, 0], ()),
        ([0, 0, 0, 0], (2 * DAY, -2 * DAY)),
    ],
)
def test_a_clock_that_is_wrong_and_is_put_right_loses_nothing(sandbox, workplace, clock, offsets, jumps):
    server = sandbox(enrollments=60, page_size=10, token_lifetime=3600)
    workplace.use_oauth(server).env |= NO_REPORT | {"SOURCES__BOAST__PUSH__SETTLE_AFTER": "1"}
    nights(workplace, server, clock, offsets, jumps)
    clock(0)
    all_is_well(workplace, server, offsets)


@pytest.mark.parametrize(
    "change", [datetime(2027, 3, 28, 1, tzinfo=timezone.utc), datetime(2027, 10, 31, 1, tzinfo=timezone.utc)]
)
def test_the_nights_around_a_change_of_the_clocks_are_nights_like_others(sandbox, workplace, clock, change):
    server = sandbox(enrollments=60, page_size=10)
    workplace.use(server).env |= NO_REPORT | BERLIN
    around = [timedelta(days=-1), timedelta(minutes=-20), timedelta(minutes=20), timedelta(days=1)]
    offsets = [seconds_until(change + apart) for apart in around]
    nights(workplace, server, clock, offsets)
    apart = workplace.sql("select finished_at from boast_data.runs order by finished_at")
    assert [abs(at - change - by) < timedelta(minutes=10) for (at,), by in zip(apart, around, strict=True)] == [
        True
    ] * 4
    states = "select state, count(*) from boast_data.push_requests group by all"
    assert workplace.sql(states) == [("enrolled", 8)]
