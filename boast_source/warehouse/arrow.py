"""Rows as Arrow: in batches, into DuckDB and out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from boast_source import signals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb

CHUNK = 20_000  # rows per batch handed to dlt
READ = 2_048  # rows read from a warehouse at once, however wide
BULK, BULKY = 40_000, 4 * 2**20  # rows, or bytes, of an insert into the index


def quote(name: str) -> str:
    """Quote a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text for a DuckDB statement."""
    return "'" + text.replace("'", "''") + "'"


def in_bulk(batches: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the same rows in fewer, larger tables with equal columns: each insert has a fixed cost."""
    waiting: list[pa.Table] = []
    for batch in batches:
        if waiting and waiting[0].schema != batch.schema:
            yield pa.concat_tables(waiting)
            waiting = []
        waiting.append(batch)
        if sum(table.num_rows for table in waiting) >= BULK or sum(table.nbytes for table in waiting) >= BULKY:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def streamed(connection: duckdb.DuckDBPyConnection, sql: str, size: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a query in batches of `size`. A stop interrupts it, because Arrow ignores signals meanwhile."""
    with signals.waking(connection.interrupt):
        yield from reader_of(connection.sql(sql), size)


def reader_of(relation: duckdb.DuckDBPyRelation, size: int) -> pa.RecordBatchReader:
    """Return a relation as Arrow batches of `size` rows (the method's name changed in DuckDB 1.5)."""
    method = getattr(relation, "to_arrow_reader", None) or relation.fetch_record_batch
    return method(size)
