"""The pipeline's health, for `boast status` and notifications: freshness, last runs, what needs attention."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from boast_source import models
from boast_source.errors import DestinationError
from boast_source.models.schema import relations
from boast_source.runs.record import DONE, FAILED
from boast_source.shapes import SEQUENCE_ENROLLMENTS, SHAPES
from boast_source.warehouse import columns_in, explained

if TYPE_CHECKING:
    from collections.abc import Callable

    from boast_source.warehouse import SqlClient, Warehouse

HEALTH = (
    *("last_success_at", "hours_since_success", "verified", "listed", "stored", "missing"),
    *("last_run_id", "last_command", "last_status", "last_exit_code", "last_finished_at", "last_error"),
    *("held", "refused", "unknown", "waiting"),
)
# in files a run has a row for each time it was recorded, with times as text
_NEWEST = """create view runs as select * replace (cast(started_at as timestamptz) as started_at,
cast(finished_at as timestamptz) as finished_at) from appended
qualify row_number() over (partition by run_id order by finished_at desc nulls last) = 1"""
ENROLLMENTS = SEQUENCE_ENROLLMENTS.name
AHEAD = 3600.0  # seconds that the clock of another machine may run ahead
RUNS = ("run_id", "command", "started_at", "finished_at", "status", "exit_code", "verified", "listed", "loaded", "sent")


@dataclass(frozen=True)
class Waiting:
    """Requests that need attention. `newest`: since when the newest of them does (ISO 8601, UTC; empty: none)."""

    held: int = 0
    refused: int = 0
    unknown: int = 0
    invalid: int = 0
    duplicate: int = 0
    newest: str = ""

    @property
    def total(self) -> int:
        return self.held + self.refused + self.unknown + self.invalid + self.duplicate

    def __str__(self) -> str:
        kinds = ("held", "refused", "unknown", "invalid", "duplicate")
        return ", ".join(f"{count} {kind}" for kind in kinds if (count := getattr(self, kind)))


@dataclass
class Status:
    """`health`: the one row of `pipeline_health`, None before the first load. `stale`: older than `max_age` seconds,
    or from a clock that ran ahead. `where`: the warehouse that was looked at, in words. `paused`: what an operator
    paused (`*`: everything).
    """

    health: dict[str, Any] | None
    where: str = ""
    last_runs: list[dict[str, Any]] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    max_age: float | None = None
    paused: list[str] = field(default_factory=list)

    @property
    def age(self) -> float | None:
        """Seconds since the last good run."""
        last = self.health["last_success_at"] if self.health else None
        return None if last is None else (datetime.now(timezone.utc) - last).total_seconds()

    @property
    def stale(self) -> bool:
        return self.max_age is not None and (self.age is None or not -AHEAD <= self.age <= self.max_age)

    @property
    def is_well(self) -> bool:
        """Whether nobody has to do anything."""
        last = self.health or {}
        return self.age is not None and not self.stale and not last["last_error"] and not last["waiting"]

    @property
    def judgement(self) -> str:
        """One sentence: what a person has to do first, or that there is nothing."""
        if self.health is None or self.age is None:
            return f"No load has succeeded yet in {self.where}: run `boast load`."
        if self.stale and self.max_age is not None:
            return (
                f"Stale: older than {self.max_age / 3600:.3g} h. Run `boast nightly`, or see why the schedule does not."
            )
        waiting = Waiting(*(self.health[kind] for kind in ("held", "refused", "unknown")))
        others = self.health["waiting"] - waiting.total
        if self.health["waiting"]:
            said = [str(waiting)] * bool(waiting.total) + [f"{others} invalid or enrolled twice"] * bool(others)
            return f"Needs attention: {', '.join(said)}; see `boast requests list`."
        if self.health["last_error"]:
            return "The last run needs attention."
        return "Nothing needs attention."

    @property
    def exit_code(self) -> int:
        return FAILED if self.stale else DONE

    def as_json(self) -> dict[str, Any]:
        """Return what `boast status --json` prints."""
        return {
            "status": "stale" if self.stale else "ok",
            "judgement": self.judgement,
            "warehouse": self.where,
            "health": self.health,
            "rows": self.rows,
            "runs": self.last_runs,
            "paused": self.paused,
        }


def status(warehouse: Warehouse, *, max_age: float | None, patience: float, on_wait: Callable[[str], None]) -> Status:
    """Read the status from the warehouse. `max_age`, `patience` in seconds.

    Raises DestinationError when the warehouse cannot be read or has no SQL.
    """
    where, file = warehouse.place, warehouse.file
    if file and not file.exists():  # nothing was ever loaded here, and looking makes no file
        return Status(None, where=where, max_age=max_age)
    with warehouse.open(patience=patience, on_wait=on_wait):
        if not warehouse.has_sql:
            with explained():
                return Status(*_of_files(warehouse), max_age=max_age)
        if not models.are_possible(warehouse):
            raise DestinationError(
                "The status is read from views, and this destination has none", hint="Look at the table runs itself."
            )
        client = warehouse.client
        models.refuse_foreign(client)
        health = _health(client)
        with explained():
            last = _rows(client, "runs", RUNS, "order by coalesce(finished_at, started_at) desc limit 5")
            counts = {
                name: client.execute_sql(f"select count(*) from {client.make_qualified_table_name(name)}")
                for name in (*SHAPES, "sequence_enrollments_history", "push_ledger")
                if columns_in(client, client.make_qualified_table_name(name))
            }
            paused = _paused(client) if "push_ledger" in counts else []
    rows = {name: int(counted[0][0]) for name, counted in counts.items() if counted}
    return Status(health[0] if health else None, where, last, rows, max_age, paused)


def _of_files(warehouse: Warehouse) -> tuple[dict[str, Any] | None, str, list[dict[str, Any]], dict[str, int]]:
    """Return the first fields of `Status` where tables are files: the same views, over them, in a DuckDB in memory."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        there: dict[str, list[str]] = {}
        for name, columns in (("runs", relations()["runs"].columns), (ENROLLMENTS, ("account_id", "missing_since"))):
            if batches := list(warehouse.read(name, tuple(columns))):
                connection.register(name if name != "runs" else "appended", pa.concat_tables(batches))
                there[name] = batches[0].column_names
        if "runs" in there:
            connection.execute(_NEWEST)
        for view in ("push_requests", "good_runs", "pipeline_health"):
            connection.execute(f"create view {view} as {models.written(view, there, 'UTC')}")

        def rows(sql: str) -> list[dict[str, Any]]:
            found = connection.execute(sql)
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, map(_plain, row), strict=True)) for row in found.fetchall()]

        newest = f"select {', '.join(RUNS)} from runs order by coalesce(finished_at, started_at) desc limit 5"
        counted = rows(f"select count(*) as rows from {ENROLLMENTS}")[0]["rows"] if ENROLLMENTS in there else 0
        health = rows(f"select {', '.join(HEALTH)} from pipeline_health") if "runs" in there else [None]
        return health[0], warehouse.place, rows(newest) if "runs" in there else [], {ENROLLMENTS: counted}


def _health(client: SqlClient) -> list[dict[str, Any]]:
    """Return the row of `pipeline_health`, if there is one. Raises DestinationError that names a view not of ours."""
    try:
        with explained():
            return _rows(client, "pipeline_health", HEALTH)
    except DestinationError as error:
        raise next(iter(models.foreign(client).values()), None) or error from None


def _paused(client: SqlClient) -> list[str]:
    """Return what an operator paused, as push/controls.py keeps it in the ledger."""
    numbered = (
        "select request_key, state, row_number() over (partition by request_key order by event desc) as place"
        f" from {client.make_qualified_table_name('push_ledger')} where state in ('paused', 'resumed')"
    )
    sql = f"select request_key from ({numbered}) as newest where place = 1 and state = 'paused' order by request_key"
    return [str(key).removeprefix(" pause ") for (key,) in client.execute_sql(sql) or ()]


def waiting(warehouse: Warehouse) -> Waiting | None:
    """Return the requests that need attention; None without SQL. Raises what the destination raises."""
    with warehouse.session() as client:
        if client is None:
            return None
        name = client.make_qualified_table_name("push_requests")
        if not columns_in(client, name):
            return Waiting()
        sql = f"select state, count(*), max(since) from {name} where attention group by state"
        rows = {state: (int(count), _plain(since)) for state, count, since in client.execute_sql(sql) or ()}
    of = {"held": ("held",), "refused": ("refused",), "unknown": ("unknown", "claimed")}
    of |= {"invalid": ("invalid",), "duplicate": ("enrolled",)}
    counts = {kind: sum(rows[s][0] for s in states if s in rows) for kind, states in of.items()}
    times = [rows[s][1].astimezone(timezone.utc) for states in of.values() for s in states if s in rows]
    return Waiting(**counts, newest=max(times).isoformat() if times else "")


def _rows(client: SqlClient, table: str, columns: tuple[str, ...], more: str = "") -> list[dict[str, Any]]:
    name = client.make_qualified_table_name(table)
    if not columns_in(client, name):
        return []
    listed = ", ".join(client.escape_column_name(column) for column in columns)
    found = client.execute_sql(f"select {listed} from {name} {more}") or ()
    return [{column: _plain(value) for column, value in zip(columns, row, strict=True)} for row in found]


def _plain(value: Any) -> Any:
    """Give times in UTC, whatever the session's zone, and make decimals floats."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    return float(value) if hasattr(value, "as_tuple") else value
