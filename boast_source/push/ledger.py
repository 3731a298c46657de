"""The ledger: one row per event of a request, append-only, in the warehouse.

The newest event of a request is the one with the highest `event`, independent of clocks; times are the warehouse's.
Each event repeats what is known about its request, so the newest one is complete. `known_enrollment_ids` (a JSON
array): the contact's enrollments in the sequence before the claim. Operator controls are stored here too (controls.py).

On Postgres a unique index on (`request_key`, `event`) lets only one of two senders claim a request; a DuckDB file has
one writer anyway. The queries are in ledger.sql.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, cast

from boast_source.errors import ConfigurationError, DestinationError
from boast_source.push import model
from boast_source.push.model import Control, State
from boast_source.shapes import SEQUENCE_ENROLLMENTS
from boast_source.warehouse import Warehouse, columns_in, columns_of_ours, explained, is_lost, is_of_destination
from boast_source.warehouse.arrow import quote
from boast_source.warehouse.dialect import moment_of, translated
from boast_source.warehouse.sql import filled, queries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    import pyarrow as pa


TABLE = "push_ledger"
BATCH = 100  # events per insert

_SQL = queries(__package__, "ledger.sql")


@dataclass(frozen=True)
class Event:
    """One event of a request. `event`: its number, from 1; `attempt`: how often the request was or may have been sent.

    `requested_at`: its row's sort key, a UTC timestamp or a number. `note`: the operator's comment. `pending_table`:
    the table that last asked for it. `recorded_at`: set by the warehouse, None before the event is stored.
    """

    request_key: str
    content_key: str
    run_id: str
    event: int
    attempt: int
    account_id: str | None
    action: str | None
    contact_id: str | None
    sequence_id: str | None
    enrollment_id: str | None
    known_enrollment_ids: str | None
    state: str
    http_status: int | None = None
    error_code: str | None = None
    error_detail: str | None = None
    requested_at: str | None = None
    note: str | None = None
    pending_table: str | None = None
    recorded_at: datetime | None = None


COLUMNS = tuple(field.name for field in fields(Event))
REMOVALS = (
    *("request_key", "state", "account_id", "contact_id", "sequence_id", "enrollment_id"),
    *("requested_at", "first_at"),
)
TYPES = dict.fromkeys(COLUMNS, "text") | dict.fromkeys(("event", "attempt", "http_status"), "bigint")
TYPES["recorded_at"] = "timestamptz"
# columns and types that a query expects, even if the table does not exist
_EMPTY = {
    SEQUENCE_ENROLLMENTS.name: {
        **dict.fromkeys(("id", "account_id", "contact_id", "sequence_id", "status"), "text"),
        **dict.fromkeys(("created_at", "missing_since"), "timestamptz"),
    },
    "runs": {"run_id": "text", "sent": "bigint", "verified": "text"}
    | dict.fromkeys(("started_at", "finished_at"), "timestamptz"),
}
_NEVER_NULL = ("request_key", "event", "attempt", "state")
_WORDS = ", ".join(f"'{word.value}'" for word in (*State, *Control))
_VALUES = {
    "readable": " and ".join([*(f"{column} is not null" for column in _NEVER_NULL), f"state in ({_WORDS})"]),
    "events": ", ".join(f"l.{column}" for column in COLUMNS),
    "final": model.in_sql(lambda rule: rule.final),
    "attention": model.in_sql(lambda rule: rule.attention),
    "controls": ", ".join(f"'{control.value}'" for control in Control),
}


class Ledger:
    """The ledger in an open warehouse. The sender keeps the warehouse's connection for the whole run."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse, self.client = warehouse, warehouse.client
        self.name = self.client.make_qualified_table_name(TABLE)

    def exists(self) -> bool:
        """Return whether it exists. Raises ConfigurationError when its numbers and times are text, as after a CSV."""
        if not columns_of_ours(self.client, self.name, TYPES):
            return False
        self._rows(f"select 1 from {self.name} where 1 = 0")
        try:
            self.client.execute_sql(self._sql("typed", clock=self._clock()))
        except Exception as error:
            if not is_of_destination(error) or is_lost(error):
                raise
            raise ConfigurationError(
                f"The ledger {self.name} was restored with texts in place of its numbers and times: nothing was sent",
                hint="Restore it from a file that keeps types, such as Parquet (docs/push.md), or cast event, attempt"
                " and http_status to bigint and recorded_at to timestamptz.",
            ) from None
        return True

    def create(self) -> None:
        """Create the table, or add the columns that an older version lacked."""
        self.warehouse.own_table(TABLE, TYPES)
        if self.warehouse.has_unique_indexes:
            with self.warehouse.migrating():
                index = self.client.escape_column_name(f"{TABLE}_once")
                once = f"create unique index if not exists {index} on {self.name} (request_key, event)"
                self.client.execute_sql(once)

    def now(self) -> datetime:
        """Return the current time by the warehouse's clock."""
        return cast("datetime", moment_of(self._value("now", clock=self._clock())))

    def append(self, events: Sequence[Event]) -> None:
        """Write all events or none; they are durable on return. Raises DestinationError."""
        if not events:
            return
        self.warehouse.awake()
        names = ", ".join(map(self.client.escape_column_name, COLUMNS))
        marks = f"({'%s, ' * (len(COLUMNS) - 1)}{self._clock()})"  # the last is recorded_at
        with explained(self.name), self.client.begin_transaction():
            for part in (events[start : start + BATCH] for start in range(0, len(events), BATCH)):
                values = [getattr(event, column) for event in part for column in COLUMNS[:-1]]
                sql = f"insert into {self.name} ({names}) values {', '.join([marks] * len(part))}"
                with self.client.execute_query(sql, *values) as cursor:
                    kept = getattr(cursor.native_cursor, "rowcount", -1)  # -1: the driver does not say
                if 0 <= kept < len(part):
                    raise DestinationError(
                        f"The ledger {self.name} kept {kept} of {len(part)} events, so what they are about is not sent",
                        hint="Remove the trigger, rule or policy that drops its rows, then run again.",
                    )

    def newest(self, *, whole: bool = False) -> Iterator[pa.Table]:
        """Yield the newest event of each request, in batches; without the details of finished ones, unless `whole`."""
        sql = self._sql("newest", whole="1 = 1" if whole else "1 = 0")
        yield from self.warehouse.batches(sql, COLUMNS)

    def sent_since(self, moment: datetime) -> Iterator[pa.Table]:
        """Yield `content_key`, `request_key` of requests enrolled, or sent and given up, since `moment`, in batches."""
        sql = self._sql("sent_since", moment=moment.isoformat())
        yield from self.warehouse.batches(sql, ("content_key", "request_key"))

    def active_twice(self, moment: datetime, seconds: float) -> list[Event]:
        """Return the requests sent once, since `moment`, whose contact is active twice; `seconds` as in ledger.sql."""
        return self._events(self._sql("active_twice", moment=moment.isoformat(), seconds=str(int(seconds) + 1)))

    def removed_and_active(self) -> list[tuple[Event, bool]]:
        """Return the removals whose contact is active in the sequence, each with whether it is the same enrollment."""
        return [(_event(row[:-1]), bool(row[-1])) for row in self._rows(self._sql("removed_and_active"))]

    def enrolled_and_unlisted(self) -> list[Event]:
        """Return the requests whose enrollment the API confirmed but no listing has ever shown."""
        return self._events(self._sql("enrolled_and_unlisted"))

    def attempts(self, most: int) -> dict[str, list[str]]:
        """Return the unclear answers to each request that was sent at least `most` times, by key."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for key, _, status, code in self._rows(self._sql("attempts", most=str(most))):
            found[key].append(f"HTTP {status}" if status else code or "no answer")
        return found

    def limited(self) -> dict[str, int]:
        """Return, by key, in how many runs a request was answered 429 while others were carried out."""
        return {str(key): int(runs) for key, runs in self._rows(self._sql("limited"))}

    def waiting(self) -> dict[State, int]:
        """Return the number of requests in each state that waits for an operator."""
        return {State(standing): int(count) for standing, count in self._rows(self._sql("waiting"))}

    def controls(self) -> list[Event]:
        """Return the newest event of each control, except plans."""
        return self._events(self._sql("controls"))

    def plan(self, key: str) -> str | None:
        """Return the plan (a JSON object) stored under this control's key; None: there is none."""
        rows = self._rows(self._sql("plan", key=key))
        return str(rows[0][0]) if rows else None

    def attributed(self, enrollment_ids: Iterable[str]) -> dict[str, str]:
        """Return the enrollments that a request made, with the request's key, even if it was removed since."""
        made = "state = 'enrolled' and attempt > 0"
        return {one: str(key) for one, key in self._of("enrollment_id", "min(request_key)", enrollment_ids, made)}

    def removals(self) -> Iterator[pa.Table]:
        """Yield the removal requests (columns REMOVALS; `first_at`: the first event's time), in batches."""
        yield from self.warehouse.batches(self._sql("removals"), REMOVALS)

    def first_seen(self, keys: Iterable[str]) -> dict[str, datetime]:
        """Return the time of each request's first event, by key."""
        found = self._of("request_key", "min(recorded_at)", keys)
        return {str(key): cast("datetime", moment_of(at)) for key, at in found}

    def accounts(self) -> list[str]:
        """Return the accounts that the ledger or the stored enrollments name, in lower case."""
        return sorted({str(account).lower() for (account,) in self._rows(self._sql("accounts"))})

    def count(self, name: str) -> int:
        """Return what a query of ledger.sql counts: `sends`, `sends_of_runs`, `lost_sends` or `unreadable`."""
        return int(self._value(name))

    def damaged(self, run_id: str) -> list[Event]:
        """Return a holding event for each request or control whose newest event may be unreadable."""
        return self._events(self._sql("damaged", run_id=run_id))

    def newest_enrollment(self) -> datetime | None:
        """Return the newest known time of the API's clock: when the newest enrollment was created."""
        return moment_of(self._value("newest_enrollment"))

    def _of(self, column: str, what: str, values: Iterable[str], where: str = "1 = 1") -> Iterator[Sequence[Any]]:
        """Yield each of these values of a column, with the aggregate `what` over its events where `where` holds."""
        every = sorted(set(values))
        for start in range(0, len(every), BATCH):
            part = every[start : start + BATCH]
            sql = f"select {column}, {what} from {self.name} where {where} and {column} in"
            with explained(self.name):
                yield from (
                    self.client.execute_sql(f"{sql} ({', '.join(['%s'] * len(part))}) group by {column}", *part) or ()
                )

    def _value(self, name: str, **values: str) -> Any:
        ((value,),) = self._rows(self._sql(name, **values))
        return value

    def _events(self, sql: str) -> list[Event]:
        return [_event(row) for row in self._rows(sql)]

    def _rows(self, sql: str) -> Sequence[Sequence[Any]]:
        with explained(", ".join(table for table in (TABLE, *_EMPTY) if table in sql)):
            return self.client.execute_sql(sql) or ()

    def _sql(self, name: str, **values: str) -> str:
        """Return a query of ledger.sql in the warehouse's dialect, with the dataset's table names filled in."""
        sql = _SQL[name]
        tables = {table: self._source(table) for table in (TABLE, *_EMPTY) if f"{{{table}}}" in sql}
        if "{everything}" in sql:
            tables["everything"] = self._everything()
        return translated(filled(sql, **(_VALUES | tables | values)), self.client.capabilities.sqlglot_dialect)

    def _source(self, table: str) -> str:
        """Return a table in the queries' dialect: missing columns as null, the ledger without unreadable events."""
        if table == TABLE:
            return f"(select * from {self._everything()} as every_one where {_VALUES['readable']})"
        there, name = self._columns(table), self._quoted(table)
        lacking = ", ".join(f"cast(null as {kind}) as {c}" for c, kind in _EMPTY[table].items() if c not in there)
        if not there:
            return f"(select {lacking} where 1 = 0)"
        return f"(select *, {lacking} from {name})" if lacking else name

    def _everything(self) -> str:
        """Return the ledger's table with all columns: text ones cast to text, missing ones as null."""
        there = self._columns(TABLE)
        columns = {c: f"cast({c} as {kind})" if kind == "text" else c for c, kind in TYPES.items() if c in there}
        columns |= {c: f"cast(null as {kind})" for c, kind in TYPES.items() if c not in there}
        return f"(select {', '.join(f'{sql} as {c}' for c, sql in columns.items())} from {self._quoted(TABLE)})"

    def _quoted(self, table: str) -> str:
        return ".".join(map(quote, self.client.make_qualified_table_name_path(table, quote=False)))

    def _columns(self, table: str) -> set[str]:
        return {c.lower() for c in columns_in(self.client, self.client.make_qualified_table_name(table))}

    def _clock(self) -> str:
        clocks = {"postgres": "clock_timestamp()", "mysql": "utc_timestamp(6)"}
        return clocks.get(str(self.client.capabilities.sqlglot_dialect), "current_timestamp")


def _event(row: Sequence[Any]) -> Event:
    event = Event(*row)
    return replace(event, recorded_at=moment_of(event.recorded_at))
