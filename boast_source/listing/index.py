"""The delivered records of a list, as text, in Parquet files of the scratch folder; the view `listed` reads them all.

Each row has `_account`, `_pass` (numbered from 1) and `_seq`, its place in the order of arrival. Rows go straight to
disk, a batch at a time, so that memory does not grow with the length of the list.
"""

from __future__ import annotations

import glob
import shutil
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet as pq

from boast_source.listing import queries
from boast_source.listing.order import Observed, created_of
from boast_source.shapes import EXTRA, Record, Shape, to_arrow
from boast_source.warehouse import memory
from boast_source.warehouse.arrow import CHUNK, literal, quote
from boast_source.warehouse.memory import BATCH

if TYPE_CHECKING:
    from pathlib import Path

    from boast_source.listing.scratch import Scratch

ASKED = 1_000_000  # the "pass" of a record requested by its id: later than any real pass


class Listed:
    """The records of one list of all accounts, and facts about them that need no query.

    `rows`, `size`: delivered records and bytes of JSON; `has_extra`: some record has undocumented fields.
    """

    def __init__(self, scratch: Scratch, shape: Shape) -> None:
        self.scratch, self.shape = scratch, shape
        self.rows = self.size = 0
        self.has_extra = False
        self.extra_columns = 0  # of undocumented fields, once that is known
        self._widest = 1  # bytes of the largest record
        self._distinct: int | None = None
        self._folder = scratch.folder / "listed"
        self._folder.mkdir()
        self._names = [*shape.columns, EXTRA]
        kinds = [(name, pa.string()) for name in [*self._names, "_account"]]
        self._schema = pa.schema([*kinds, ("_pass", pa.int32()), ("_seq", pa.int64())])
        self._files = 0
        with self.file():
            pass  # the view needs at least one file
        scratch.execute(queries.of("listed", files=literal(f"{glob.escape(str(self._folder))}/*.parquet")))

    @property
    def memory(self) -> int:
        """Memory in MB needed to compare and load them."""
        return memory.needed(self.rows, self.size, self._widest, max(self.extra_columns, self.has_extra))

    @property
    def batch_rows(self) -> int:
        """How many rows to put into a batch, judged by their average size."""
        return max(min(CHUNK, BATCH * self.rows // self.size), 1) if self.size else CHUNK

    def may_repeat(self) -> bool:
        """Whether an id may have been delivered twice."""
        if self._distinct != self.rows:
            self._distinct = int(self.scratch.value("select count(distinct id) from listed"))
        return self._distinct != self.rows

    def note_distinct(self, count: int) -> None:
        """Note that one pass over one account delivered `count` distinct ids."""
        self._distinct = count

    def forget(self) -> None:
        """Remove the files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def file(self) -> pq.ParquetWriter:
        """Open a new file; close it before querying it."""
        self._files += 1
        return pq.ParquetWriter(
            self._folder / f"{self._files:06}.parquet",
            self._schema,
            compression="lz4",
            use_dictionary=["status", "_account", "_pass"],
            write_statistics=["_seq"],
        )

    def batch(self, records: list[Record], size: int, account: str | None, number: int) -> pa.Table:
        """Return records as a batch for a file. `size`: bytes of their JSON; `account` None: they are accounts."""
        self.size += size
        rows = to_arrow(records, self.shape)
        self._widest = max(self._widest, widest_row(rows))
        count, start = rows.num_rows, self.rows
        self.rows += count
        self.has_extra = self.has_extra or rows[EXTRA].null_count < count
        owners = rows["id"] if account is None else pa.repeat(pa.scalar(account, pa.string()), count)
        rows = rows.append_column("_account", owners)
        rows = rows.append_column("_pass", pa.repeat(pa.scalar(number, pa.int32()), count))
        return rows.append_column("_seq", pa.array(range(start, start + count), pa.int64())).cast(self._schema)


class ListIndex:
    """Where a sweep of one list of one account puts its records. Passes are numbered from 1."""

    def __init__(self, listed: Listed, account_id: str | None) -> None:
        self._listed = listed
        self._account = account_id
        self._waiting: list[Record] = []
        self._size = 0
        self._writer: pq.ParquetWriter | None = None
        self._pass = 0
        self._files: dict[int, list[Path]] = {}
        self._delivered: dict[int, list[Path]] = {}  # without records that completed a pass
        self._found: dict[int, tuple[int, ...]] = {}
        self._times = (listed.shape.cursor or "", created_of(listed.shape) or "")
        self.observed = Observed()  # of the current pass

    def add(self, records: list[Record], number: int, size: int = 0) -> None:
        """Add the records of a page. `size`: bytes of its JSON."""
        if number != self._pass:
            self.flush()
            self._pass, self.observed = number, Observed()
        self._waiting.extend(records)
        self._size += size
        if len(self._waiting) >= CHUNK or self._size >= BATCH:
            self._write_batch()

    def flush(self) -> None:
        """Write everything that was added, so that it can be queried."""
        self._write_batch()
        if self._writer:
            self._writer.close()
            self._writer = None

    def distinct(self, number: int) -> int:
        """How many ids this pass delivered."""
        distinct = self._ids(self._delivery(number))
        self._listed.note_distinct(distinct)
        return distinct

    def total(self, number: int) -> int:
        """How many ids this pass delivered, including those that completed it."""
        self.flush()
        return self._ids(self._files.get(number, []))

    def same_as_before(self, number: int) -> bool:
        """Whether this pass and the one before delivered the same contents, in any order."""
        return self._facts(number) == self._facts(number - 1)

    def _write_batch(self) -> None:
        if not self._waiting:
            return
        if self._writer is None:
            self._writer = self._listed.file()
            self._files.setdefault(self._pass, []).append(self._writer.where)
        rows = self._listed.batch(self._waiting, self._size, self._account, self._pass)
        if all(self._times):
            self.observed.take(*(rows[name] for name in self._times))
        # DuckDB holds one group of rows in memory at a time
        self._writer.write_table(rows, row_group_size=max(BATCH // widest_row(rows), 1))
        self._waiting, self._size = [], 0

    def _delivery(self, number: int) -> list[Path]:
        self.flush()
        return self._delivered.setdefault(number, list(self._files.get(number, [])))

    def _ids(self, files: list[Path]) -> int:
        sql = f"select count(distinct id) from read_parquet({_list_of(files)})"
        self._listed.scratch.allow(self._listed.memory)
        return int(self._listed.scratch.value(sql)) if files else 0

    def _facts(self, number: int) -> tuple[int, ...]:
        """Return the number of rows and two sums of their hashes, which are equal for equal contents in any order."""
        if number not in self._found:
            files = self._delivery(number)
            self._listed.scratch.allow(self._listed.memory)
            content = ", ".join(f"coalesce({quote(name)}, chr(30))" for name in [*self._listed.shape.columns, EXTRA])
            sql = queries.of("facts", files=_list_of(files), content=content)
            self._found[number] = self._listed.scratch.rows(sql)[0] if files else (0, 0, 0)
        return self._found[number]


def _list_of(files: list[Path]) -> str:
    return f"[{', '.join(literal(glob.escape(str(file))) for file in files)}]"


def widest_row(texts: pa.Table) -> int:
    """Return an upper bound for the bytes of a row: the sum of each column's longest text; at least 1."""
    longest = (pc.max(pc.binary_length(column)).as_py() for column in texts.columns if pa.types.is_string(column.type))
    return max(sum(length or 0 for length in longest), 1)
