"""The ledger: one row per event of a request, append-only, in the warehouse.

The newest event of a request is the one with the highest `event`, so that no clock decides; times are the warehouse's.
An event carries on what is known about its request, so the newest tells all. `known_enrollment_ids` (a JSON array)
are the enrollments of that contact and sequence that were there before the request was claimed.

On Postgres a unique index on (`request_key`, `event`) lets only one of two senders claim a request; a DuckDB file has
one writer anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from boast_source import warehouse
from boast_source.warehouse.dialect import translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from boast_source.warehouse import SqlClient

TABLE = "push_ledger"

OPEN = ("claimed", "unknown", "released")  # the server may have acted, or a person wants it sent (again)
FINAL = ("enrolled", "removed", "refused", "skipped_active", "skipped_duplicate", "withdrawn", "dropped")

_DDL = """create table if not exists ledger_ (
    request_key text, content_key text, run_id text, event bigint, attempt bigint, account_id text, action text,
    contact_id text, sequence_id text, enrollment_id text, known_enrollment_ids text, state text,
    http_status bigint, error_code text, error_detail text, recorded_at timestamptz
)"""


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


COLUMNS = tuple(Event.__dataclass_fields__)


class Ledger:
    """The ledger behind an open SQL client, whose connection is the sender's for the whole run."""

    def __init__(self, client: SqlClient) -> None:
        self.client = client
        self.name = client.make_qualified_table_name(TABLE)
        self._dialect = client.capabilities.sqlglot_dialect

    def exists(self) -> bool:
        return bool(warehouse.columns_in(self.client, self.name))

    def is_lost(self) -> bool:
        """Whether requests were sent before, and yet no event is there."""
        recorded = self.client.execute_sql(f"select count(*) from {self.name}") or ()
        if recorded[0][0]:
            return False
        table = self.client.make_qualified_table_name("runs")
        if not warehouse.columns_in(self.client, table):
            return False
        sent = self.client.execute_sql(f"select sum(sent) from {table}") or ()
        return bool(sent[0][0])

    def create(self) -> None:
        """Make the table if it is not there."""
        with warehouse.migrating(self.client):
            if not self.client.has_dataset():
                self.client.create_dataset()
            self.client.execute_sql(self._sql(_DDL))
            if warehouse.is_postgres(self.client):
                index = self.client.escape_column_name(f"{TABLE}_once")
                self.client.execute_sql(
                    f"create unique index if not exists {index} on {self.name} (request_key, event)"
                )

    def now(self) -> datetime:
        """The warehouse's clock."""
        ((moment,),) = self.client.execute_sql(f"select {self._clock()}") or ()
        if isinstance(moment, str):  # SQLite has no times, only texts of them
            moment = datetime.fromisoformat(moment)
        return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)  # type: ignore[no-any-return]

    def append(self, events: Sequence[Event]) -> None:
        """All of them or none, durable when it returns."""
        if not events:
            return
        columns = COLUMNS[:-1]
        names = ", ".join(self.client.escape_column_name(column) for column in COLUMNS)
        marks = "(" + ", ".join(["%s"] * len(columns)) + f", {self._clock()})"
        with warehouse.explained(), self.client.begin_transaction():
            for start in range(0, len(events), 100):
                part = events[start : start + 100]
                values = [getattr(event, column) for event in part for column in columns]
                self.client.execute_sql(
                    f"insert into {self.name} ({names}) values {', '.join([marks] * len(part))}", *values
                )

    def newest(self, *, whole: bool = False) -> Iterator[pa.Table]:
        """The newest event of each request. Unless they are asked for `whole`, of requests that are over, and were
        sent at most once, only the keys, `state`, `event`, `attempt`, `enrollment_id` and `recorded_at`.
        """
        open_ = f"state not in ({_listed(FINAL)}) or attempt > 1 or (attempt > 0 and state in ('withdrawn', 'dropped'))"
        kept = {"request_key", "content_key", "state", "event", "attempt", "enrollment_id", "recorded_at"}
        columns = ", ".join(
            f"l.{c}" if whole or c in kept else f"case when {open_} then l.{c} end as {c}" for c in COLUMNS
        )
        sql = (
            f"select {columns} from ledger_ l join (select request_key as of_key, max(event) as newest from ledger_"
            " group by request_key) n on l.request_key = n.of_key and l.event = n.newest"
        )
        yield from warehouse.batches(self.client, self._sql(sql), COLUMNS)

    def sent_since(self, moment: datetime) -> Iterator[pa.Table]:
        """`content_key`, `request_key` of what was enrolled, or given up after it was sent, at or after the moment."""
        sql = (
            "select distinct content_key, request_key from ledger_ where attempt > 0"
            f" and state in ('enrolled', 'dropped') and recorded_at >= cast('{moment.isoformat()}' as timestamptz)"
        )
        yield from warehouse.batches(self.client, self._sql(sql), ("content_key", "request_key"))

    def active_twice(self, enrollments: str, moment: datetime) -> list[Event]:
        """The newest events of requests that were sent once, at or after the moment, and enrolled somebody who was
        active in that sequence already, hidden from the listing, and both still go on. It is the API's own clock that
        says which came first. `enrollments`: the table, as this run's listing left it.
        """
        name = self.client.make_qualified_table_name(enrollments)
        newest = "select request_key as of_key, max(event) as newest from ledger_ group by request_key"
        going_on = "{0}.status = 'active' and {0}.missing_since is null"
        sql = (
            f"select distinct {', '.join(f'l.{column}' for column in COLUMNS)} from ledger_ l"
            f" join ({newest}) n on l.request_key = n.of_key and l.event = n.newest"
            " join enrollments_ mine on lower(mine.id) = l.enrollment_id"
            " join enrollments_ other on other.account_id = mine.account_id and other.contact_id = mine.contact_id"
            " and other.sequence_id = mine.sequence_id and other.created_at < mine.created_at"
            f" where {going_on.format('mine')} and {going_on.format('other')}"
            " and l.attempt = 1 and l.state = 'enrolled' and l.action = 'enroll'"
            f" and l.recorded_at >= cast('{moment.isoformat()}' as timestamptz)"
        )
        with warehouse.explained():
            rows = self.client.execute_sql(self._sql(sql).replace("enrollments_", name)) or ()
        return [Event(*row) for row in rows]

    def accounts(self) -> list[str]:
        """The accounts that it knows."""
        sql = f"select distinct account_id from {self.name} where account_id is not null order by 1"
        return [str(account) for (account,) in self.client.execute_sql(sql) or ()]

    def _sql(self, duckdb_sql: str) -> str:
        return translated(duckdb_sql, self._dialect).replace("ledger_", self.name)

    def _clock(self) -> str:
        return "clock_timestamp()" if warehouse.is_postgres(self.client) else "current_timestamp"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)
