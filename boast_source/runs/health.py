"""The pipeline's health, for `boast status` and notifications: freshness, last runs, what needs attention."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from boast_source import models
from boast_source.errors import DestinationError
from boast_source.models.schema import relations
from boast_source.runs.record import DONE, FAILED, last_kept
from boast_source.shapes import SEQUENCE_ENROLLMENTS, SHAPES
from boast_source.warehouse import SqlClient, Warehouse, columns_in, explained, is_forbidden, until_answered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


LAST_RUN = ("last_run_id", "last_command", "last_status", "last_exit_code", "last_finished_at", "last_error")
HEALTH = (
    *("last_success_at", "hours_since_success", "verified", "listed", "stored", "missing"),
    *LAST_RUN,
    *("held", "refused", "unknown", "waiting"),
)
# if tables are files, a run has one row for each time it was recorded
ONCE = "qualify row_number() over (partition by run_id order by finished_at desc nulls last) = 1"
NEWEST_RUNS = "order by coalesce(finished_at, started_at) desc limit 5"
ENROLLMENTS = SEQUENCE_ENROLLMENTS.name
AHEAD = 3600.0  # seconds that another machine's clock may be ahead
RUNS = ("run_id", "command", "started_at", "finished_at", "status", "exit_code", "verified", "listed", "loaded", "sent")


@dataclass(frozen=True)
class Waiting:
    """Counts of the requests that need attention. `newest`: when the last one began to (ISO 8601, UTC; empty: none)."""

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
    """The result of `boast status`. `health`: the row of `pipeline_health`, None before the first load. `stale`: the
    last good run is older than `max_age` seconds, or dated in the future. `where`: the warehouse, in words. `paused`:
    the scopes that an operator paused (`*`: everything).
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
        """Whether nothing needs attention."""
        last = self.health or {}
        return self.age is not None and not self.stale and not last["last_error"] and not last["waiting"]

    @property
    def judgement(self) -> str:
        """One sentence: what to do first, or that nothing needs attention."""
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
            "status": "stale" if self.stale else "ok" if self.is_well else "attention",
            "judgement": self.judgement,
            "warehouse": self.where,
            "health": self.health,
            "rows": self.rows,
            "runs": self.last_runs,
            "paused": self.paused,
        }


def status(warehouse: Warehouse, *, max_age: float | None, patience: float, on_wait: Callable[[str], None]) -> Status:
    """Read the status from the warehouse. `max_age`, `patience` in seconds.

    If a newer run could not be recorded in the warehouse, it is shown as the last one. Raises DestinationError when
    the warehouse cannot be read.
    """
    found = until_answered(warehouse, lambda: _in_warehouse(warehouse, max_age, patience, on_wait))
    if found.health is None or (run := last_kept(warehouse)) is None:
        return found
    ended, last = run["finished_at"], found.health["last_finished_at"]
    if (last is None or ended > last) and (ended - datetime.now(timezone.utc)).total_seconds() <= AHEAD:
        found.health |= {name: run.get(name.removeprefix("last_")) for name in LAST_RUN}
        found.last_runs.insert(0, {name: run.get(name) for name in RUNS})
    return found


def _in_warehouse(
    warehouse: Warehouse, max_age: float | None, patience: float, on_wait: Callable[[str], None]
) -> Status:
    where, file = warehouse.place, warehouse.file
    if file and not file.exists():  # nothing was loaded yet; do not create the file
        return Status(None, where=where, max_age=max_age)
    with warehouse.open(patience=patience, on_wait=on_wait, only_reads=True):
        if not models.are_possible(warehouse):
            with explained():
                health, last, rows = _of_tables(warehouse)
                paused = _paused(warehouse.client) if "push_ledger" in rows else []
            return Status(health, where, last, rows, max_age, paused)
        client = warehouse.client
        models.refuse_foreign(client)
        if warehouse.borrowed:
            with explained():
                health, last, _ = _of_tables(warehouse)
            found = [health] if health else []
        else:
            found = _health(client)
            with explained():
                last = _rows(client, "runs", RUNS, NEWEST_RUNS)
        counts = {name: _count(client, name) for name in (*SHAPES, "sequence_enrollments_history", "push_ledger")}
        rows = {name: count for name, count in counts.items() if count is not None}
        with explained():
            paused = _paused(client) if "push_ledger" in rows else []
    return Status(found[0] if found else None, where, last, rows, max_age, paused)


def _of_tables(warehouse: Warehouse) -> tuple[dict[str, Any] | None, list[dict[str, Any]], dict[str, int]]:
    """Return `health`, `last_runs` and `rows` of a warehouse that has no views."""
    with _in_memory(warehouse) as connection:
        there = {name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()}
        counts = dict.fromkeys(there - {"runs"} | {ENROLLMENTS}, 0)
        for name in counts.keys() & there:
            ((counts[name],),) = connection.execute(f"select count(*) from {name}").fetchall()
        if "runs" not in there:
            return None, [], counts
        health = _named(connection, f"select {', '.join(HEALTH)} from pipeline_health")[0]
        return health, _named(connection, f"select {', '.join(RUNS)} from runs {NEWEST_RUNS}"), counts


@contextlib.contextmanager
def _in_memory(warehouse: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a DuckDB with copies of the warehouse's tables and the views that the warehouse cannot have."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        there: dict[str, list[str]] = {}
        for name in ("runs", "push_ledger", ENROLLMENTS):
            types = {column: known.data_type for column, known in relations()[name].columns.items()}
            wanted = ("account_id", "missing_since") if name == ENROLLMENTS else tuple(types)
            if not (batches := list(warehouse.read(name, wanted))):
                continue
            there[name] = batches[0].column_names
            connection.register("copied", pa.concat_tables(batches, promote_options="permissive"))
            typed = ", ".join(f"cast({column} as {types[column]}) as {column}" for column in there[name])
            connection.execute(f"create table {name} as select {typed} from copied {ONCE if name == 'runs' else ''}")
        for view in ("push_requests", "good_runs", "pipeline_health"):
            connection.execute(f"create view {view} as {models.written(view, there, 'UTC')}")
        yield connection


def _named(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    found = connection.execute(sql)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, map(_plain, row), strict=True)) for row in found.fetchall()]


def _health(client: SqlClient) -> list[dict[str, Any]]:
    """Return the row of `pipeline_health`, if any. Raises DestinationError, which names any foreign view."""
    try:
        with explained():
            return _rows(client, "pipeline_health", HEALTH)
    except DestinationError as error:
        raise next(iter(models.foreign(client).values()), None) or error from None


def _count(client: SqlClient, table: str) -> int | None:
    """Return the table's number of rows; None where there is no table, or this role may not read it."""
    name = client.make_qualified_table_name(table)
    with explained():
        try:
            found = client.execute_sql(f"select count(*) from {name}") if columns_in(client, name) else None
        except Exception as error:
            if not is_forbidden(error):
                raise
            return None
    return int(found[0][0]) if found else None


def _paused(client: SqlClient) -> list[str]:
    """Return the scopes that an operator paused, from the ledger (push/controls.py writes them)."""
    numbered = (
        "select request_key, state, row_number() over (partition by request_key order by event desc) as place"
        f" from {client.make_qualified_table_name('push_ledger')} where state in ('paused', 'resumed')"
    )
    sql = f"select request_key from ({numbered}) as newest where place = 1 and state = 'paused' order by request_key"
    return [str(key).removeprefix(" pause ") for (key,) in client.execute_sql(sql) or ()]


def waiting(warehouse: Warehouse) -> Waiting | None:
    """Return the requests that need attention; None without SQL. Raises what the destination raises."""
    asked = "select state, count(*), max(since) from {} where attention group by state"
    with warehouse.open(patience=0):
        if not warehouse.has_sql:
            return None
        client = warehouse.client
        if not models.are_possible(warehouse):
            with _in_memory(warehouse) as connection:
                found: Sequence[Sequence[Any]] = connection.execute(asked.format("push_requests")).fetchall()
        else:
            name = client.make_qualified_table_name("push_requests")
            found = client.execute_sql(asked.format(name)) or () if columns_in(client, name) else ()
        rows = {state: (int(count), _plain(since)) for state, count, since in found}
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
    """Convert times to UTC and decimals to floats."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    return float(value) if hasattr(value, "as_tuple") else value
