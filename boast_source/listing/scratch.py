"""The scratch index: a private DuckDB database that holds one run's listings while they are compared.

It lives in memory up to a bound (warehouse.memory), spills beyond that into its own folder and disappears with the run.
Each list has its own schema in it, so that all lists use the same queries.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from boast_source import signals
from boast_source.private import scratch_folder
from boast_source.warehouse.arrow import CHUNK, quote, reader_of, streamed
from boast_source.warehouse.memory import LEAST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    Parameters = Sequence[Any] | Mapping[str, Any] | None

_SETTINGS = """
    set global TimeZone = 'UTC';
    set preserve_insertion_order = false;
    set enable_external_file_cache = false;
    set parquet_metadata_cache = true;
    create macro as_hex(hash) as replace(hash::varchar, '-', '')
"""


class Scratch:
    """One scratch database, or with `of` a schema in it. Not thread-safe; threads that share it take its `lock`.

    `folder`: its files and those of its users.
    """

    def __init__(self, of: Scratch | None = None, schema: str = "main") -> None:
        self.schema = schema
        self.root: Scratch = of.root if of else self
        self.allowed = LEAST  # MB, of the root
        self.using = ""  # the schema that the root's connection uses
        self.folder: Path
        self.folder, remove = (of.folder / schema, of.close) if of else scratch_folder()
        self.lock: threading.RLock = of.lock if of else threading.RLock()
        self.connection: duckdb.DuckDBPyConnection = of.connection if of else _connection(self.folder)
        if of:
            self.folder.mkdir()
            self.connection.execute(f"create schema {quote(schema)}")
        else:
            self._finalizer = weakref.finalize(self, _remove, self.connection, remove)

    def allow(self, megabytes: int) -> None:
        """Let the whole database use this much memory; the limit is never lowered."""
        with self.lock:
            if megabytes > self.root.allowed:
                self.connection.execute(f"set memory_limit = '{megabytes}MB'")
                self.root.allowed = megabytes

    def execute(self, sql: str, parameters: Parameters = None) -> None:
        with self._used() as connection:
            connection.execute(sql, parameters)

    def rows(self, sql: str, parameters: Parameters = None) -> list[tuple[Any, ...]]:
        with self._used() as connection:
            return connection.execute(sql, parameters).fetchall()

    def value(self, sql: str, parameters: Parameters = None) -> Any:
        return self.rows(sql, parameters)[0][0]

    def append(self, table: str, rows: pa.Table | pa.RecordBatchReader, select: str = "from incoming") -> None:
        """Append the result of `select` to a table, by column name. `incoming` in `select` stands for `rows`."""
        with self._used() as connection:
            connection.register("incoming", rows)
            try:
                connection.execute(f"insert into {quote(table)} by name {select}")
            finally:
                connection.unregister("incoming")

    def stream(self, table: str, batches: Iterable[pa.Table], select: str = "from incoming") -> None:
        """Append the result of `select` in one statement. `incoming` in `select` stands for all of these batches."""
        parts = iter(batches)
        first = next(parts, None)
        if first is not None:
            records = (batch for part in itertools.chain([first], parts) for batch in part.to_batches())
            self.append(table, pa.RecordBatchReader.from_batches(first.schema, records), select)

    def batches(self, sql: str, size: int = CHUNK) -> Iterator[pa.Table]:
        """Yield the rows of a query, at most `size` at a time."""
        with self.connection.cursor() as cursor:  # an open result occupies its connection
            cursor.execute(f"use {quote(self.schema)}")  # which a cursor does not inherit
            for batch in streamed(cursor, sql, size):
                if batch.num_rows:
                    yield pa.Table.from_batches([batch])

    def empty(self, sql: str) -> pa.Table:
        """Return an empty table with the columns of a query."""
        with self._used() as connection:
            return reader_of(connection.sql(f"select * from ({sql}) limit 0"), 1).read_all()

    def clear(self) -> None:
        """Drop everything in the schema."""
        schema = quote(self.schema)
        with self.lock:
            self.root.using = ""
            self.connection.execute(f"use main; drop schema {schema} cascade; create schema {schema}")

    def close(self) -> None:
        """Close the whole database and remove its files."""
        self._finalizer()

    @contextmanager
    def _used(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield the connection. A stop interrupts it: DuckDB itself looks for signals every hundred thousand rows."""
        with self.lock, signals.waking(self.connection.interrupt):
            if self.root.using != self.schema:
                self.connection.execute(f"use {quote(self.schema)}")
                self.root.using = self.schema
            yield self.connection


def _connection(folder: Path) -> duckdb.DuckDBPyConnection:
    spilled = str(folder / "spilled")
    connection = duckdb.connect(
        ":memory:", config={"memory_limit": f"{LEAST}MB", "temp_directory": spilled, "threads": 2}
    )
    seen_at = datetime.now(timezone.utc).isoformat()  # one moment for the whole run
    connection.execute(f"{_SETTINGS}; create macro seen_at() as timestamptz '{seen_at}'")
    return connection


def _remove(connection: duckdb.DuckDBPyConnection, remove: Callable[[], None]) -> None:
    connection.close()
    remove()
