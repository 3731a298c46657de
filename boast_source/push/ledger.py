"""The ledger: one row per event of a request, append-only, in the warehouse.

The newest event of a request is the one with the highest `event`, so that no clock decides; times are the warehouse's.
An event carries on what is known about its request, so the newest tells all. `known_enrollment_ids` (a JSON array)
are the enrollments of that contact and sequence that were there before the request was claimed.

On Postgres a unique index on (`request_key`, `event`) lets only one of two senders claim a request; a DuckDB file has
one writer anyway. The queries are in ledger.sql.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from boast_source import warehouse
from boast_source.push import model
from boast_source.shapes import SEQUENCE_ENROLLMENTS
from boast_source.warehouse.arrow import quote
from boast_source.warehouse.dialect import translated
from boast_source.warehouse.sql import filled, queries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from boast_source.warehouse import SqlClient

TABLE = "push_ledger"
BATCH = 100  # events of one insert

_SQL = queries(__package__, "ledger.sql")


@dataclass(frozen=True)
class Event:
    """What happened to a request. `event` counts from 1 within it, `attempt` its claims; `recorded_at` is set when
    it is read back.
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
    recorded_at: datetime | None = None


COLUMNS = tuple(field.name for field in fields(Event))


class Ledger:
    """The ledger behind an open SQL client, whose connection is the sender's for the whole run."""

    def __init__(self, client: SqlClient) -> None:
        self.client = client
        self.name = client.make_qualified_table_name(TABLE)

    def exists(self) -> bool:
        return bool(warehouse.columns_in(self.client, self.name))

    def is_lost(self) -> bool:
        """Return whether requests were sent before, and yet no event is there."""
        if self._value("count") or not warehouse.columns_in(self.client, self._plain("runs")):
            return False
        return bool(self._value("sent_in_runs"))

    def create(self) -> None:
        """Make the table if it is not there."""
        with warehouse.migrating(self.client):
            if not self.client.has_dataset():
                self.client.create_dataset()
            self.client.execute_sql(self._sql("create"))
            if warehouse.is_postgres(self.client):
                index = self.client.escape_column_name(f"{TABLE}_once")
                self.client.execute_sql(
                    f"create unique index if not exists {index} on {self.name} (request_key, event)"
                )

    def now(self) -> datetime:
        """Return the warehouse's clock."""
        moment = self._value("now", clock=self._clock())
        if isinstance(moment, str):  # SQLite has no times, only texts of them
            moment = datetime.fromisoformat(moment)
        return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)  # type: ignore[no-any-return]

    def append(self, events: Sequence[Event]) -> None:
        """Write all of them or none; they are durable when it returns."""
        if not events:
            return
        columns = [column for column in COLUMNS if column != "recorded_at"]
        names = ", ".join(self.client.escape_column_name(column) for column in [*columns, "recorded_at"])
        marks = "(" + ", ".join(["%s"] * len(columns)) + f", {self._clock()})"
        with warehouse.explained(), self.client.begin_transaction():
            for start in range(0, len(events), BATCH):
                part = events[start : start + BATCH]
                values = [getattr(event, column) for event in part for column in columns]
                self.client.execute_sql(
                    f"insert into {self.name} ({names}) values {', '.join([marks] * len(part))}", *values
                )

    def newest(self, *, whole: bool = False) -> Iterator[pa.Table]:
        """Return the newest event of each request, in batches; of what is over only the keys unless `whole`."""
        sql = self._sql("newest", whole="1 = 1" if whole else "1 = 0", final=model.in_sql(lambda rule: rule.final))
        yield from warehouse.batches(self.client, sql, COLUMNS)

    def sent_since(self, moment: datetime) -> Iterator[pa.Table]:
        """Return `content_key`, `request_key` of what was enrolled, or given up after it was sent, since the moment."""
        sql = self._sql("sent_since", moment=moment.isoformat())
        yield from warehouse.batches(self.client, sql, ("content_key", "request_key"))

    def active_twice(self, moment: datetime) -> list[Event]:
        """Return the requests that enrolled, since the moment, somebody who was active already, as this run lists."""
        columns = ", ".join(f"l.{column}" for column in COLUMNS)
        with warehouse.explained():
            rows = self.client.execute_sql(self._sql("active_twice", moment=moment.isoformat(), columns=columns))
        return [Event(*row) for row in rows or ()]

    def accounts(self) -> list[str]:
        """Return the accounts that it knows."""
        return [str(account) for (account,) in self.client.execute_sql(self._sql("accounts")) or ()]

    def _value(self, name: str, **values: str) -> Any:
        ((value,),) = self.client.execute_sql(self._sql(name, **values)) or ()
        return value

    def _sql(self, name: str, **values: str) -> str:
        """Return a query of ledger.sql in the warehouse's dialect, with the names of the dataset."""
        tables = {table: self._quoted(table) for table in (TABLE, SEQUENCE_ENROLLMENTS.name, "runs")}
        return translated(filled(_SQL[name], **tables, **values), self.client.capabilities.sqlglot_dialect)

    def _quoted(self, table: str) -> str:
        """Return a table's name in the dialect that the queries are written in."""
        return ".".join(map(quote, self.client.make_qualified_table_name_path(table, quote=False)))

    def _plain(self, table: str) -> str:
        return self.client.make_qualified_table_name(table)

    def _clock(self) -> str:
        return "clock_timestamp()" if warehouse.is_postgres(self.client) else "current_timestamp"
