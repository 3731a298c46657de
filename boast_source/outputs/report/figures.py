"""The numbers of the report, each read from a view; no person's data among them.

Request keys, contacts and what the API said about them stay in the warehouse: the report counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from boast_source import models, warehouse
from boast_source.errors import DestinationError
from boast_source.shapes import SEQUENCE_ENROLLMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from boast_source.warehouse import SqlClient

ENOUGH = 20  # enrollments that a sequence needs before its rate is compared with another's
POINTS = 130  # at most, along a time axis

DAYS = """select day, sum(enrolled) as enrolled, sum(completed) as completed, sum(removed) as removed,
sum(active) as active from enrollment_daily group by day order by day"""
SEQUENCES = """select account_id, sequence_id, sequence_name, enrolled, active, completed, removed, other, responded,
missing, completion_rate, response_rate, median_hours_to_complete, median_hours_to_respond
from sequence_performance order by enrolled desc, sequence_id"""
COHORTS = """select month, sum(enrolled) as enrolled, sum(completed) as completed, sum(responded) as responded,
sum(completed_in_30_days) as completed_in_30_days, sum(responded_in_30_days) as responded_in_30_days,
min(case when had_30_days then 1 else 0 end) as had_30_days
from enrollment_cohorts group by month order by month"""
REQUESTS = "select state, count(*) as requests from push_requests group by state order by requests desc, state"
WAITING = """select state, coalesce(error_code, '') as code, count(*) as requests, min(since) as since
from push_requests where state in ('held', 'refused', 'unknown', 'claimed')
group by 1, 2 order by requests desc, 1, 2"""
HEALTH = "select * from pipeline_health"
RUNS = """select command, started_at, finished_at, status, exit_code, verified, listed, loaded, missing, sent
from runs order by finished_at desc, started_at desc limit 14"""

Row = dict[str, Any]


@dataclass
class Figures:
    """What the report shows. Rows are as the views give them: counts int, rates and hours float, times UTC.

    `lacking`: why a view that would show more cannot be made.
    """

    days: list[Row]
    sequences: list[Row]
    cohorts: list[Row]
    requests: list[Row]
    waiting: list[Row]
    health: Row
    runs: list[Row]
    dataset: str
    time_zone: str
    lacking: DestinationError | None = None
    made_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    @property
    def totals(self) -> dict[str, int]:
        """The sums of `sequence_performance`."""
        names = ("enrolled", "active", "completed", "removed", "other", "responded", "missing")
        return {name: sum(row[name] for row in self.sequences) for name in names}

    @property
    def ranked(self) -> list[Row]:
        """The sequences with enough enrollments to be compared, the one with the highest response rate first."""
        enough = [row for row in self.sequences if row["enrolled"] >= ENOUGH]
        return sorted(enough, key=lambda row: (-row["response_rate"], -row["enrolled"], str(row["sequence_id"])))

    @property
    def accounts(self) -> int:
        return len({row["account_id"] for row in self.sequences})


def read(client: SqlClient, time_zone: str) -> Figures:
    """Make the views and read them. Days beyond the year 9999 are in no chart over time.

    Raises DestinationError when nothing was loaded yet, or when the warehouse has no views.
    """
    refused: list[DestinationError] = []
    made = models.create(client, time_zone=time_zone, on_refused=refused.append)
    loaded = warehouse.columns_in(client, client.make_qualified_table_name(SEQUENCE_ENROLLMENTS.name))
    if not loaded or "sequence_performance" not in made or "pipeline_health" not in made:
        raise next(iter(refused), None) or DestinationError(
            f"There is nothing to report: the dataset {client.dataset_name} has no enrollments, or no views",
            hint="Run `boast load` first, with the same --destination and --dataset.",
        )

    def rows(sql: str, view: str) -> list[Row]:
        return _rows(client, sql) if view in made else []

    with warehouse.explained():
        return Figures(
            days=[row for row in rows(DAYS, "enrollment_daily") if _in_calendar(row["day"])],
            sequences=_rows(client, SEQUENCES),
            cohorts=[row | {"month": _in_calendar(row["month"])} for row in rows(COHORTS, "enrollment_cohorts")],
            requests=rows(REQUESTS, "push_requests"),
            waiting=rows(WAITING, "push_requests"),
            health=_rows(client, HEALTH)[0],
            runs=_rows(client, RUNS),
            dataset=str(client.dataset_name),
            time_zone=time_zone,
            lacking=next(iter(refused), None),
        )


def binned(days: Sequence[Row]) -> tuple[str, list[Row]]:
    """Days, weeks, months or years, whichever gives few enough points: flows summed, `active` as at the end of each.

    Returns the unit and rows with `start` (a date), `enrolled`, `completed`, `removed`, `active`.
    """
    if not days:
        return "day", []
    first, last = days[0]["day"], days[-1]["day"]
    span = (last - first).days + 1
    unit = next(
        (unit for unit, length in (("day", 1), ("week", 7), ("month", 30)) if span / length <= POINTS),
        "year",
    )
    bins = {start: dict.fromkeys(("enrolled", "completed", "removed"), 0) for start in _starts(first, last, unit)}
    active: dict[date, int] = {}
    for row in days:
        start = _start(row["day"], unit)
        for name in ("enrolled", "completed", "removed"):
            bins[start][name] += row[name]
        active[start] = row["active"]
    found, known = [], 0
    for start, counts in bins.items():
        known = active.get(start, known)
        found.append({"start": start, **counts, "active": known})
    return unit, found


def _starts(first: date, last: date, unit: str) -> Iterator[date]:
    start = _start(first, unit)
    while start <= last:
        yield start
        step = {"day": 1, "week": 7, "month": 31, "year": 366}[unit]
        try:
            start = _start(start + timedelta(days=step), unit)
        except OverflowError:  # the year 9999
            return


def _start(day: date, unit: str) -> date:
    if unit == "week":
        return day - timedelta(days=min(day.weekday(), (day - date.min).days))
    return day.replace(day=day.day if unit == "day" else 1, month=1 if unit == "year" else day.month)


def _in_calendar(day: Any) -> date | None:
    """DuckDB gives a text for what Python has no date for."""
    return day if isinstance(day, date) else None


def _rows(client: SqlClient, sql: str) -> list[Row]:
    return [{name: _plain(value) for name, value in row.items()} for row in models.ask(client, sql)]


def _plain(value: Any) -> Any:
    """Sums that arrive as decimals become what they are; times get their zone."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    if hasattr(value, "as_tuple"):
        return int(value) if value == int(value) else float(value)
    return value
