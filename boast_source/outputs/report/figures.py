"""The numbers of the report, all read from views. They contain no personal data.

The report only counts: request keys, contacts and the API's messages about them stay in the warehouse.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from boast_source import models, runs
from boast_source.errors import DestinationError
from boast_source.outputs.report import claims
from boast_source.outputs.report.bins import Bin, binned
from boast_source.shapes import SEQUENCE_ENROLLMENTS, VIEWS
from boast_source.warehouse import SqlClient, Warehouse, columns_in, explained
from boast_source.warehouse.sql import filled, queries

if TYPE_CHECKING:
    from boast_source.outputs.report.claims import Claim, Trend

DRAWN = 15  # largest sequences, in the chart
TABLE_ROWS = 200  # largest sequences, in the table
MONTHS = 24  # latest months, in the table of cohorts

_SQL = queries(__package__, "figures.sql")

Row = dict[str, Any]
# characters that XML forbids, control characters, and marks that change the text direction
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
LONGEST = 200  # characters of a name; drawing a million would take minutes


@dataclass
class Figures:
    """The content of the report. Rows have the columns of the views: counts int, rates and hours float, times UTC.

    `grown`: per sequence, enrollments of months whose 30 days are over. `pushed`: requests since the last good nightly
    run, which ended at `pushed_since` (None: none). `after_listing`: how many the last good run enrolled after its
    listing. `accounts`, `names`: names of accounts and sequences, by id. `lacking`: why a view is missing.
    """

    days: list[Row]
    sequences: list[Row]
    cohorts: list[Row]
    grown: list[Row]
    requests: list[Row]
    waiting: list[Row]
    pushed: list[Row]
    health: Row
    runs: list[Row]
    dataset: str
    time_zone: str
    pushed_since: datetime | None = None
    after_listing: int = 0
    accounts: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    lacking: DestinationError | None = None
    made_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    @property
    def totals(self) -> dict[str, int]:
        """The sums of `sequence_performance`."""
        names = ("enrolled", "active", "completed", "removed", "other", "responded", "missing")
        return {name: sum(row[name] for row in self.sequences) for name in names}

    @property
    def drawn(self) -> list[Row]:
        """The largest sequences, by response rate."""
        return by_rate(self.sequences[:DRAWN])

    @property
    def listed(self) -> list[Row]:
        """The sequences of the table, by response rate."""
        return by_rate(self.sequences[:TABLE_ROWS])

    @cached_property
    def claims(self) -> dict[tuple[str, str], Claim]:
        return claims.compare_sequences(self.grown)

    @cached_property
    def trend(self) -> Trend | None:
        return claims.trend(self.cohorts)

    @property
    def account_names(self) -> list[str]:
        return sorted({self.account(row["account_id"]) for row in self.sequences})

    @cached_property
    def data_day(self) -> date:
        """The day of the last good run, in the report's time zone."""
        moment: datetime = self.health["last_success_at"] or self.made_at
        return moment.astimezone(ZoneInfo(self.time_zone)).date()

    @property
    def unit(self) -> str:
        return self._binned[0]

    @property
    def bins(self) -> list[Bin]:
        return self._binned[1]

    @cached_property
    def _binned(self) -> tuple[str, list[Bin]]:
        return binned(self.days, self.data_day)

    def account(self, account_id: object) -> str:
        """Return an account's name, or the start of its id."""
        return clean(self.accounts.get(str(account_id))) or f"{str(account_id)[:8]}…"

    def label(self, row: Row) -> str:
        """Return a sequence's name; if others have the same name, with its account or the start of its id."""
        name = self.name(row)
        accounts = self._accounts_of_name.get(name, [])
        if len(accounts) < 2:
            return name
        once = len({*accounts}) == len(accounts)
        return f"{name} ({self.account(row['account_id']) if once else str(row['sequence_id'])[:8] + '…'})"

    @cached_property
    def _accounts_of_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for row in self.sequences:
            found.setdefault(self.name(row), []).append(str(row["account_id"]))
        return found

    def direction(self, row: Row) -> int:
        """Return 1 if a sequence gets significantly more responses than the others, -1 if fewer, else 0."""
        claim = self.claims.get((str(row["account_id"]), str(row["sequence_id"])))
        return claim.direction if claim else 0

    def name(self, row: Row) -> str:
        """Return a sequence's name, or the start of its id."""
        if not row["sequence_id"]:
            return "no sequence"
        key = str(row["sequence_id"])
        return clean(row.get("sequence_name") or self.names.get(key)) or f"{key[:8]}…"

    @property
    def pushed_by_sequence(self) -> list[tuple[str, Counter[str], Counter[str]]]:
        """Per sequence: its name, its requests by state, and those not carried out by state and reason."""
        found: dict[str, tuple[Counter[str], Counter[str]]] = {}
        for row in self.pushed:
            label = self.name(row)
            states, reasons = found.setdefault(label, (Counter(), Counter()))
            states[row["state"]] += row["requests"]
            if row["state"] not in {"enrolled", "removed"}:
                reasons[f"{row['state']}: {(row['code'] or row['state'])}".replace("_", " ")] += row["requests"]
        return [(label, *counts) for label, counts in sorted(found.items())]


def by_rate(rows: list[Row]) -> list[Row]:
    """Return the rows by response rate, highest first; sequences with too few enrollments to compare come last."""
    return sorted(
        rows,
        key=lambda row: (
            *(row["enrolled"] < claims.ENOUGH, -row["response_rate"], -row["enrolled"]),
            *(str(row["sequence_id"]), str(row["account_id"])),  # the API may name neither
        ),
    )


def clean(text: object) -> str:
    """Return a name on one line, of limited length and without what XML forbids, which makes the drawing abort."""
    name = " ".join(_UNFIT.sub("", str(text or "")).split())
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def read(warehouse: Warehouse, time_zone: str, over: runs.Run | None = None) -> Figures:
    """Create the views, or use those that stand, and read them. The charts over time leave out days beyond the year
    9999.

    `over`: the run that makes the report, as it will end if nothing else fails; the report shows this state.

    Raises DestinationError when nothing was loaded yet, or the views cannot be created.
    """
    refused: list[DestinationError] = []
    client = warehouse.client
    made = models.create(warehouse, time_zone=time_zone, on_refused=refused.append)
    if refused and set(VIEWS) <= set(models.standing(client)):  # a reader's role, or a replica
        made, refused = list(VIEWS), []
    loaded = columns_in(client, client.make_qualified_table_name(SEQUENCE_ENROLLMENTS.name))
    if not loaded or "sequence_performance" not in made or "pipeline_health" not in made:
        raise next(iter(refused), None) or DestinationError(
            f"There is nothing to report: the dataset {client.dataset_name} has no enrollments, or no views",
            hint="Run `boast load` first, with the same --destination and --dataset.",
        )

    def rows(name: str, view: str, **values: str) -> list[Row]:
        return _rows(client, name, **values) if view in made else []

    def names(table: str) -> dict[str, str]:
        there = columns_in(client, client.make_qualified_table_name(table))
        found = _rows(client, "names", table=table) if {"id", "name"} <= set(there) else ()
        return {str(row["id"]): row["name"] for row in found}

    with explained(), runs.shown_as_over(client, over):
        nights, since = _rows(client, "nights"), "1 = 1"
        if len(nights) > 1:
            since = f"since > (select max(finished_at) from runs where run_id = '{nights[1]['run_id']}')"
        return Figures(
            days=[row for row in rows("days", "enrollment_daily") if _in_calendar(row["day"])],
            sequences=_rows(client, "sequences"),
            cohorts=[row | {"month": _in_calendar(row["month"])} for row in rows("cohorts", "enrollment_cohorts")],
            grown=rows("grown", "enrollment_cohorts"),
            requests=rows("requests", "push_requests"),
            waiting=rows("waiting", "push_requests"),
            pushed=rows("pushed", "push_requests", since=since),
            health=_rows(client, "health")[0],
            runs=_rows(client, "runs"),
            dataset=str(client.dataset_name),
            time_zone=time_zone,
            pushed_since=nights[1]["finished_at"] if len(nights) > 1 else None,
            after_listing=sum(row["requests"] for row in rows("after_listing", "push_requests")),
            accounts=names("accounts"),
            names=names("sequences"),
            lacking=next(iter(refused), None),
        )


def _in_calendar(day: Any) -> date | None:
    """Return the date; None for a day beyond Python's range, which DuckDB returns as text."""
    return day if isinstance(day, date) else None


def _rows(client: SqlClient, name: str, **values: str) -> list[Row]:
    asked = models.ask(client, filled(_SQL[name], **values))
    return [{name: _plain(value) for name, value in row.items()} for row in asked]


def _plain(value: Any) -> Any:
    """Convert a decimal to int or float, and give a time without a zone UTC."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    if hasattr(value, "as_tuple"):
        return int(value) if value == int(value) else float(value)
    return value
