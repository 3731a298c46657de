"""Nightly loads over simulated weeks, against what the sandbox itself knows: the past stays answerable.

`BOAST_WEEKS` (default 2) random courses of weeks; each is loaded by whole runs over HTTP into DuckDB.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from datetime import datetime, timezone
from pathlib import Path

import dlt
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from boast_source import BoastClient
from boast_source.listing.report import Options
from boast_source.load.load import load
from boast_source.sandbox import SandboxOptions
from boast_source.sandbox.server import running
from boast_source.warehouse import warehouse_of

WEEKS = int(os.environ.get("BOAST_WEEKS", "2"))
DAY = 86_400
FIELDS = ("status", "sequence_id", "contact_id", "response_id")
DAYS = st.fixed_dictionaries(
    {
        "advance": st.sampled_from([0, DAY // 2, DAY, 3 * DAY, 9 * DAY]),
        "update": st.integers(0, 4),
        "touch": st.integers(0, 2),
        "insert": st.integers(0, 4),
        "delete": st.integers(0, 2),
        "restore": st.booleans(),
        "load": st.integers(0, 2),
    }
)


class Course:
    """A sandbox, a warehouse, and what was true when each run had ended."""

    def __init__(self, server, folder: Path) -> None:
        self.server, self.gone = server, []
        self.pipeline = dlt.pipeline(
            "course",
            destination=dlt.destinations.duckdb(str(folder / "boast.duckdb")),
            dataset_name="course",
            pipelines_dir=str(folder / "pipelines"),
        )
        self.seen: list[tuple[datetime, dict[str, dict]]] = []

    def pass_day(self, day) -> None:
        self.server.control("POST", "advance", {"seconds": day["advance"]})
        changes = {name: day[name] for name in ("update", "touch", "insert", "delete")}
        self.gone += self.server.control("POST", "mutate", changes)["deleted"]
        if day["restore"] and self.gone:
            self.server.control("POST", "mutate", {"restore_ids": [self.gone.pop(0)]})
        for _ in range(day["load"]):
            self.load()

    def load(self) -> None:
        with BoastClient(self.server.access_token, base_url=self.server.base_url) as client:
            done = load(warehouse_of(self.pipeline), client, Options(workers=2), resources=["sequence_enrollments"])
        assert done.exit_code == 0
        self.seen.append((datetime.now(timezone.utc), self.server.truth()))

    def sql(self, query: str) -> list[tuple]:
        with self.pipeline.sql_client() as client:
            return client.native_connection.execute("use course").execute(query).fetchall()

    def at(self, moment: datetime) -> dict[str, tuple]:
        names = ", ".join(FIELDS)
        return {
            row[0]: row[1:]
            for row in self.sql(
                f"select id, {names} from enrollment_history where missing_since is null"
                f" and valid_from <= '{moment.isoformat()}'"
                f" and (valid_to > '{moment.isoformat()}' or valid_to is null)"
            )
        }


@settings(
    max_examples=WEEKS,
    deadline=None,
    derandomize="BOAST_WEEKS" not in os.environ,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(DAYS, min_size=4, max_size=8), st.sampled_from(["updated_desc", "created_asc"]))
def test_the_past_is_what_had_been_seen_and_the_days_add_up(days, order):
    folder = Path(tempfile.mkdtemp(prefix="boast-weeks-"))
    try:
        with running(SandboxOptions(enrollments=40, order=order)) as server:
            course = Course(server, folder)
            course.load()
            for day in days:
                course.pass_day(day)
            course.load()
            check(course)
    finally:
        shutil.rmtree(folder)


def check(course: Course) -> None:
    for moment, truth in course.seen:
        assert course.at(moment) == {key: tuple(row[name] for name in FIELDS) for key, row in truth.items()}
    assert course.at(datetime(2000, 1, 1, tzinfo=timezone.utc)) == {}

    lives = defaultdict(list)
    for key, *life in course.sql(
        "select id, version, valid_from, valid_to, is_current from enrollment_history order by id, version"
    ):
        lives[key].append(life)
    for life in lives.values():
        assert [version for version, *_ in life] == list(range(1, len(life) + 1))
        assert [current for *_, current in life] == [False] * (len(life) - 1) + [True]
        for (_, begins, ends, _), (_, following, *_) in itertools.pairwise(life):
            assert begins <= ends == following
        assert life[-1][2] is None

    _, newest = course.seen[-1]
    active = Counter(row["sequence_id"] for row in newest.values() if row["status"] == "active")
    totals: dict[str, int] = defaultdict(int)
    enrolled = 0
    for sequence, came, completed, removed, other, stands in course.sql(
        "select sequence_id, enrolled, completed, removed, other_changes, active from enrollment_daily"
        " order by account_id, sequence_id, day"
    ):
        totals[sequence] += came - completed - removed + other
        assert totals[sequence] == stands
        enrolled += came
    assert {sequence: count for sequence, count in totals.items() if count} == dict(active)
    assert enrolled == len(lives) == len({key for _, truth in course.seen for key in truth})
    ((responded, completed),) = course.sql("select sum(responded), sum(completed) from sequence_performance")
    assert responded == sum(row["response_id"] is not None for row in newest.values())
    assert completed == sum(row["status"] == "completed" for row in newest.values())
    assert course.sql("select sum(enrolled) from enrollment_cohorts") == [(len(newest),)]
