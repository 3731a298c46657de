"""Hands the rows of a list on to dlt in batches, and drops its scratch data when it is no longer needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from boast_source.listing import diff
from boast_source.listing.stored import stored_sum, written_rows
from boast_source.shapes import HISTORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boast_source.listing.column import Column
    from boast_source.listing.diff import Changes, Sum, Whole
    from boast_source.listing.index import Listed
    from boast_source.listing.report import ListReport
    from boast_source.warehouse import Warehouse

SEEN = "seen.parquet"
STORED = {b"boast": b"stored"}  # metadata of a batch: its rows were stored before and are not altered again


@dataclass
class ComparedList:
    """One list after its comparison. `streams`: how many tables still need its rows; `whole`: reads rows as they are
    stored; `written`: something was handed on; `ids`: the ids concerned, None: the whole list; `repeated`: stored rows
    beyond one per id; `back`: rows may come back from the history; `table`: the one to verify; `hashed`: the list's
    table keeps the hash of what was listed; `anew`: it did not before; `versions`: how many were handed on unaltered;
    `expected`: the sum of the table's rows after the load, if it can be told.
    """

    listed: Listed
    columns: list[Column]
    changes: Changes
    reports: list[ListReport]
    streams: int
    whole: Whole
    ids: list[str] | None = None
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    repeated: int = 0
    back: bool = False
    table: str = HISTORY
    written: bool = False
    hashed: bool = False
    anew: bool = False
    versions: int = 0
    expected: Sum | None = None

    def read_back(self, warehouse: Warehouse) -> tuple[int, dict[str, int]]:
        """Return how many rows the table holds beyond one per id, and by account how many are not as they were listed.
        Its rows are read only if their sum is not as expected.
        """
        scratch, found = self.listed.scratch, (0, dict[str, int]())
        if self.streams:  # the history was left out
            keep_to_verify(self)
            self.streams = 0
        told = self.expected is not None and self.table != HISTORY
        if not told or stored_sum(warehouse, self.table, self.columns) != self.expected:
            rows = written_rows(warehouse, self.table, self.listed.shape, self.columns, self.ids)
            diff.make_stored(scratch, self.columns, rows)
            repeated = int(scratch.value("select count(*) - count(distinct id) from stored"))
            found = repeated, diff.unequal(scratch, str(scratch.folder / SEEN), self.table)
        scratch.clear()
        return found


def handed_on(one: ComparedList, queries: Iterator[str], keys: set[str], *, some: bool) -> Iterator[pa.Table]:
    """Yield the rows of the queries, or one empty batch; without `some` the queries are known to have no rows."""
    scratch, handed, first = one.listed.scratch, False, ""
    for sql in queries:
        first = first or sql
        for batch in scratch.batches(sql, one.listed.batch_rows) if some else ():
            handed = one.written = True
            yield _with_keys(batch, keys)
    if not handed:
        yield _with_keys(scratch.empty(first), keys)
    one.streams -= 1
    if not one.streams:
        one.listed.forget()
        if one.written:
            keep_to_verify(one)
        scratch.clear()


def keep_to_verify(one: ComparedList) -> None:
    """Keep what the check after the load needs, so that the rest can be dropped."""
    diff.keep_to_verify(one.changes, str(one.listed.scratch.folder / SEEN))
    one.expected = one.changes.expected() if one.ids is None else None


def _with_keys(rows: pa.Table, keys: set[str]) -> pa.Table:
    """Declare the key columns not null in the schema, and mark rows that were stored before in its metadata."""
    stored = STORED if rows.num_rows and "_stored" in rows.column_names and rows["_stored"][0].as_py() else None
    fields = [f.with_nullable(f.name not in keys) for f in rows.schema if f.name != "_stored"]
    return rows.select([f.name for f in fields]).cast(pa.schema(fields, metadata=stored))
