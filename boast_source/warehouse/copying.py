"""Rows into and out of Postgres by COPY, as CSV; Arrow parses a block while the next one arrives.

Source: PostgreSQL documentation, COPY, Message Flow (COPY sends one message per row).
"""

from __future__ import annotations

import contextlib
import io
import queue
import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow.parquet as pq
    from dlt.destinations.sql_client import SqlClientBase

BLOCK = 2**20  # bytes of CSV per batch read
ROWS = 20_000  # per batch written


def copied(client: SqlClientBase[Any], sql: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the rows of a query as text, in batches: timestamps in UTC, doubles with all digits.

    A separate thread receives rows while the caller works on the previous batch.
    """
    blocks: queue.Queue[bytes | BaseException | None] = queue.Queue(2)
    closed = threading.Event()

    def hand_on(block: bytes | BaseException | None) -> None:
        waiting = True
        while waiting and not closed.is_set():
            with contextlib.suppress(queue.Full):
                blocks.put(block, timeout=0.1)
                waiting = False

    def receive() -> None:
        rows = _Rows(hand_on, closed)
        try:
            with client.begin_transaction(), client.native_connection.cursor() as cursor:
                cursor.execute(
                    "set local timezone = 'UTC'; set local datestyle = 'ISO'; set local extra_float_digits = 3"
                )
                cursor.copy_expert(f"copy ({sql}) to stdout with (format csv, encoding 'UTF8')", rows)
            rows.flush()
            hand_on(None)
        except BaseException as error:  # noqa: BLE001 -- raised where the rows are read
            hand_on(error)

    receiver = threading.Thread(target=receive, name="boast-copy", daemon=True)
    receiver.start()
    try:
        while (block := blocks.get()) is not None:
            if isinstance(block, BaseException):
                raise block
            yield _parsed(block, columns)
    finally:
        closed.set()
        if receiver.is_alive():
            with contextlib.suppress(Exception):  # a lost connection needs no cancelling
                client.native_connection.cancel()
        receiver.join()


class _Rows:
    """Collects the rows that psycopg2 writes one at a time into blocks of whole rows."""

    def __init__(self, hand_on: Any, closed: threading.Event) -> None:
        self._hand_on, self._closed = hand_on, closed
        self._rows: list[bytes] = []
        self._size = 0

    def write(self, row: bytes) -> int:
        if self._closed.is_set():
            raise BrokenPipeError
        self._rows.append(row)
        self._size += len(row)
        if self._size >= BLOCK:
            self.flush()
        return len(row)

    def flush(self) -> None:
        if self._rows:
            self._hand_on(b"".join(self._rows))
        self._rows, self._size = [], 0


def _parsed(block: bytes, columns: Sequence[str]) -> pa.Table:
    return pa_csv.read_csv(
        pa.py_buffer(block),
        read_options=pa_csv.ReadOptions(column_names=list(columns), block_size=len(block) + 1, use_threads=False),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


class CsvOf(io.RawIOBase):
    """A Parquet file as CSV, one batch in memory: nulls are empty, and every text is quoted, even an empty one."""

    def __init__(self, file: pq.ParquetFile) -> None:
        self._batches = file.iter_batches(ROWS)
        self._options = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
        self._current = io.BytesIO()

    def read(self, size: int = -1) -> bytes:
        while not (data := self._current.read(size)):
            batch = next(self._batches, None)
            if batch is None:
                return b""
            sink = pa.BufferOutputStream()
            pa_csv.write_csv(batch, sink, self._options)
            self._current = io.BytesIO(sink.getvalue())
        return data
