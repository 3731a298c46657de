"""The scratch index: a private DuckDB database that holds one run's listings while they are compared.

It lives in memory up to `MEMORY`, spills beyond that into a folder of its own and disappears with the run. A statement
that cannot do with so little is repeated with more. For a list `x`:

- `x__listed`: every record that any pass delivered, as text, with `_pass`, `_seq` (order of arrival), `_account`;
- `x__stored`: what the warehouse holds, each row as a hash;
- further tables that compare.py makes of the two.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import threading
import weakref
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
import pyarrow as pa

from boast_source.shapes import EXTRA, Record, Shape, to_arrow
from boast_source.warehouse.arrow import CHUNK, give_back, quote, reader_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

PREFIX = "boast-scratch-"
MEMORY = 96  # MB; a database in memory writes no log and no checkpoints, and spills like one on disk
MOST = 4096  # MB, for statements over values of many MB
AT_REST = 32  # MB, while nothing is asked of it


class Scratch:
    """One scratch database. Not for two threads at once; `lock` is for those who share it."""

    def __init__(self) -> None:
        _remove_orphans()
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.connection = duckdb.connect(
            ":memory:",
            config={"memory_limit": f"{MEMORY}MB", "temp_directory": str(folder), "threads": 2},
        )
        self._memory = MEMORY
        self.connection.execute("set global TimeZone = 'UTC'")
        seen_at = datetime.now(timezone.utc).isoformat()
        self.connection.execute(f"create macro seen_at() as timestamptz '{seen_at}'")  # one moment for the whole run
        self.connection.execute("set preserve_insertion_order = false")
        self.lock = threading.RLock()
        self._arrived = 0
        self._finalizer = weakref.finalize(self, _remove, self.connection, folder)

    def arrive(self, count: int) -> int:
        """The place of the first of `count` records in the order of arrival."""
        with self.lock:
            self._arrived += count
            return self._arrived - count

    def execute(self, sql: str, parameters: list[Any] | dict[str, Any] | None = None) -> None:
        with self.lock:
            self._repeatedly(lambda: self.connection.execute(sql, parameters))

    def rows(self, sql: str, parameters: list[Any] | dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        with self.lock:
            return self._repeatedly(lambda: self.connection.execute(sql, parameters).fetchall())

    def limit(self, megabytes: int) -> None:
        """How much memory it may use from now on; what is above it moves to the disk, or the old limit stays."""
        with self.lock, contextlib.suppress(duckdb.OutOfMemoryException):
            self.connection.execute(f"set memory_limit = '{megabytes}MB'")
            self._memory = megabytes
        if megabytes <= AT_REST:
            give_back()

    def _repeatedly(self, attempt: Callable[[], T]) -> T:
        """Do it, with more and more memory as long as that is what it lacks."""
        try:
            return attempt()
        except duckdb.OutOfMemoryException:
            if self._memory >= MOST:
                raise
            self.limit(self._memory * 2)
        return self._repeatedly(attempt)

    def value(self, sql: str, parameters: list[Any] | dict[str, Any] | None = None) -> Any:
        return self.rows(sql, parameters)[0][0]

    def insert(self, table: str, rows: pa.Table) -> None:
        """Append by column name, making the table on the first call; columns new to it are added."""
        with self.lock:
            cursor = self.connection
            cursor.register("incoming", rows)
            try:
                cursor.execute(f"create table if not exists {quote(table)} as from incoming limit 0")
                known = {row[0] for row in cursor.execute(f"describe {quote(table)}").fetchall()}
                for name, kind, *_ in cursor.execute("describe incoming").fetchall():
                    if name not in known:
                        cursor.execute(f"alter table {quote(table)} add column {quote(name)} {kind}")
                self._repeatedly(lambda: cursor.execute(f"insert into {quote(table)} by name from incoming"))
            finally:
                cursor.unregister("incoming")

    def append(self, table: str, rows: pa.Table | pa.RecordBatchReader, select: str) -> None:
        """Append what `select` makes of `incoming`, which is `rows`; the table is there and has these columns."""
        with self.lock:
            self.connection.register("incoming", rows)
            insert = f"insert into {quote(table)} by name {select}"
            try:
                if isinstance(rows, pa.Table):
                    self._repeatedly(lambda: self.connection.execute(insert))
                else:  # what was read cannot be read again
                    self.connection.execute(insert)
            finally:
                self.connection.unregister("incoming")

    def stream(self, table: str, batches: Iterable[pa.Table], select: str) -> None:
        """Append what `select` makes of `incoming`, which is all of these batches, in one statement."""
        parts = iter(batches)
        first = next(parts, None)
        if first is None:
            return
        self.limit(max(self._memory, 2 * MEMORY))
        records = (batch for part in itertools.chain([first], parts) for batch in part.to_batches())
        self.append(table, pa.RecordBatchReader.from_batches(first.schema, records), select)

    def batches(self, sql: str) -> Iterator[pa.Table]:
        """The rows of a query, at most CHUNK at a time."""
        with self.connection.cursor() as cursor:  # an open result occupies its connection
            reader, batch = self._repeatedly(lambda: _begun(cursor, sql))
            while batch is not None:
                if batch.num_rows:
                    yield pa.Table.from_batches([batch])
                batch = next(reader, None)

    def empty(self, sql: str) -> pa.Table:
        """No rows, but the columns of a query."""
        with self.lock:
            return reader_of(self.connection.sql(f"select * from ({sql}) limit 0"), 1).read_all()

    def close(self) -> None:
        self._finalizer()


def _begun(cursor: duckdb.DuckDBPyConnection, sql: str) -> tuple[pa.RecordBatchReader, pa.RecordBatch | None]:
    """A query's reader and its first batch, which is where sorts and joins take their memory."""
    reader = reader_of(cursor.sql(sql), CHUNK)
    return reader, next(reader, None)


def _remove_orphans() -> None:
    """What killed runs left, which holds people's data."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        try:
            if owner.isdigit():
                os.kill(int(owner), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # somebody else's, and alive


def _remove(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    connection.close()
    shutil.rmtree(folder, ignore_errors=True)


class ListIndex:
    """Where a sweep of one list of one account puts its records (see sweep.Index)."""

    def __init__(self, scratch: Scratch, shape: Shape, account_id: str | None) -> None:
        self._scratch = scratch
        self._shape = shape
        self._account = account_id
        self._table = f"{shape.name}__listed"
        self._waiting: list[Record] = []
        self._pass = 0
        make_listed(scratch, shape)

    def add(self, records: list[Record], number: int) -> None:
        if number != self._pass:
            self.flush()
            self._pass = number
        self._waiting.extend(records)
        if len(self._waiting) >= CHUNK:
            self.flush()

    def flush(self) -> None:
        if not self._waiting:
            return
        rows = to_arrow(self._waiting, self._shape)
        self._waiting = []
        count = rows.num_rows
        start = self._scratch.arrive(count)
        account = self._account
        owners = rows["id"] if account is None else pa.repeat(pa.scalar(account, pa.string()), count)
        rows = rows.append_column("_account", owners)
        rows = rows.append_column("_pass", pa.repeat(pa.scalar(self._pass, pa.int32()), count))
        rows = rows.append_column("_seq", pa.array(range(start, start + count), pa.int64()))
        self._scratch.insert(self._table, rows)

    def distinct(self, number: int) -> int:
        self.flush()
        return int(
            self._scratch.value(
                f"select count(distinct id) from {self._table} where _pass = ? and _account is not distinct from"
                " coalesce(?, _account)",
                [number, self._account],
            )
        )

    def same_as_before(self, number: int) -> bool:
        self.flush()
        columns = ", ".join(quote(name) for name in [*self._shape.columns, EXTRA])
        mine = f"select {columns} from {self._table} where _account = coalesce(?, _account) and _pass = ?"
        before, now = [self._account, number - 1], [self._account, number]
        return not (
            self._scratch.value(f"select count(*) from ({mine} except {mine})", before + now)
            or self._scratch.value(f"select count(*) from ({mine} except {mine})", now + before)
        )


def make_listed(scratch: Scratch, shape: Shape) -> None:
    """The table of what was delivered, empty."""
    texts = ", ".join(f"{quote(name)} varchar" for name in [*shape.columns, EXTRA])
    scratch.execute(
        f"create table if not exists {shape.name}__listed ({texts}, _account varchar, _pass integer, _seq bigint)"
    )
