"""What the warehouse holds of one list of an account, as an incremental pass needs it."""

from __future__ import annotations

import itertools
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from boast_source.listing import diff, queries
from boast_source.listing.columns import ACCOUNT, HASH, MISSING, keeps_history, kinds_of, row_columns
from boast_source.listing.index import Listed, ListIndex
from boast_source.listing.scratch import Scratch
from boast_source.shapes import HISTORY, Record, Shape
from boast_source.warehouse.arrow import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import datetime

    import pyarrow as pa

    from boast_source.listing.column import Column
    from boast_source.listing.order import ListState
    from boast_source.listing.report import ListReport
    from boast_source.warehouse import Warehouse

_parts = itertools.count(1)  # numbers the parts of a scratch index


def stored_rows(
    warehouse: Warehouse | None, shape: Shape, columns: list[Column], ids: Collection[str] | None = None
) -> Iterable[pa.Table]:
    """Return the warehouse's rows for diff.make_stored; with `ids`, at least those."""

    def digest(table: str, there: Collection[str]) -> str | None:
        return diff.digest(columns, table, there)

    names = [*row_columns(shape, columns), HASH]
    return warehouse.read(shape.name, names, in_duckdb=digest, ids=ids) if warehouse else ()


def stored_sum(warehouse: Warehouse, table: str, columns: list[Column]) -> diff.Sum | None:
    """Return the sum of the table's rows; None if DuckDB alone cannot make it."""

    def sql(name: str, there: Collection[str]) -> str | None:
        rows = diff.digest(columns, name, {*kinds_of(columns), HASH} & set(there))
        return rows and queries.of("sum", rows=f"({rows})")

    return warehouse.sum_in_duckdb(table, sql)


def newest_sum(warehouse: Warehouse, history: str) -> diff.Sum | None:
    """Return the sum of the history's newest versions; None if DuckDB alone cannot make it."""

    def sql(name: str, there: Collection[str]) -> str | None:
        whole = {"id", "version", HASH, MISSING} <= set(map(str.lower, there))
        return queries.of("sum", rows=queries.of("newest_rows", table=name)) if whole else None

    return warehouse.sum_in_duckdb(history, sql, newest_by=("id", "version"))


def written_rows(
    warehouse: Warehouse, table: str, shape: Shape, columns: list[Column], ids: Collection[str] | None
) -> Iterable[pa.Table]:
    """Return the same rows after the load; if the history was loaded alone, its newest versions."""
    if table == HISTORY:
        return warehouse.read(HISTORY, ["id", ACCOUNT, MISSING, HASH], newest_by=("id", "version"), ids=ids)
    return stored_rows(warehouse, shape, columns, ids)


def ids_of_recent(listed: Listed, reports: list[ListReport]) -> list[str] | None:
    """Return all ids that were delivered or are gone if every account was read incrementally; otherwise None."""
    if not reports or any(report.steadiness != "recent" for report in reports):
        return None
    delivered = [str(key) for (key,) in listed.scratch.rows("select distinct id from listed")]
    return [*delivered, *(key for report in reports for key in report.gone)]


def note_unlisted(compared: diff.Compared, reports: list[ListReport]) -> None:
    """Note in the reports the ids of stored records that are no longer listed, if a pass held still."""
    steady = {str(report.account_id): report for report in reports if report.steadiness in {"exact", "covered"}}
    for account, key in compared.undelivered(list(steady)):
        steady[account].unlisted.append(key)


def note_silent(
    compared: diff.Compared,
    warehouse: Warehouse | None,
    states: Mapping[tuple[str, str], ListState],
    reports: list[ListReport],
) -> None:
    """Count in the reports the records whose content changed but whose cursor did not, as far as a full pass shows."""
    shape, scratch = compared.listed.shape, compared.scratch
    for report in reports if compared.differs() else ():
        state = states.get((str(report.account_id), shape.name))
        if warehouse is None or state is None or report.steadiness in {None, "recent"} or not shape.cursor:
            continue
        given = {"account": report.account_id, "moment": state.newest}
        if ids := [str(key) for (key,) in scratch.rows(queries.of("changed_before"), given)]:
            hold(scratch, warehouse.read(shape.name, ["id", ACCOUNT, MISSING, shape.cursor], ids=ids), shape)
            report.silent = int(scratch.value(queries.of("silent"), {"account": report.account_id}))


def hold(scratch: Scratch, batches: Iterable[pa.Table], shape: Shape) -> None:
    """Fill the table `held` with the warehouse's rows and their cursors."""
    scratch.execute(queries.of("held"))
    for batch in batches:
        missing = MISSING if MISSING in batch.column_names else "null"
        scratch.append("held", batch, queries.of("held_of", cursor=quote(shape.cursor or ""), missing=missing))


@dataclass
class StoredList:
    """The list's rows in the warehouse, except those marked missing. `columns_of`: returns the columns that records
    fill; `counted`: the last good listing's count, for a list whose vanished records stay.
    """

    scratch: Scratch
    shape: Shape
    account: str
    warehouse: Warehouse
    columns_of: Callable[[Listed], list[Column]]
    counted: int
    _known: dict[str, bool | None] = field(default_factory=dict)

    def count(self) -> int:
        """How many rows it holds."""
        if not keeps_history(self.shape):
            return self.counted
        return self.warehouse.count_present(self.shape.name, self.account)

    def equal(self, records: list[Record]) -> dict[str, bool]:
        """Return which of these records' ids are stored, and whether with the same content."""
        unknown = [record for record in records if str(record["id"]) not in self._known]
        if unknown:
            self._known |= {str(record["id"]): None for record in unknown}
            self._known |= self._compared(unknown)
        found = {key: self._known[key] for key in (str(record["id"]) for record in records)}
        return {key: equal for key, equal in found.items() if equal is not None}

    def above(self, moment: datetime) -> set[str]:
        """Return the ids of the rows whose cursor is later."""
        scratch = self._held(above=(self.shape.cursor or "", moment))
        found = scratch.rows(queries.of("held_above"), {"account": self.account, "moment": moment})
        scratch.clear()
        return {str(key) for (key,) in found}

    def undelivered(self, number: int, most: int) -> list[str]:
        """Return at most `most` ids of rows that pass `number` of this run's listing did not deliver."""
        scratch = self._held()
        sql = queries.of("undelivered_by", listed=f"{quote(self.shape.name)}.listed")
        found = scratch.rows(sql, {"account": self.account, "number": number, "most": most})
        scratch.clear()
        return [str(key) for (key,) in found]

    def rest(self, without: set[str]) -> Rest | None:
        """Return the rows except these; None if one of the rest has no cursor."""
        scratch = self._held()
        given = {"account": self.account, "without": sorted(without)}
        scratch.execute(queries.of("rest"), given)
        if scratch.value("select exists (from rest where moment is null)"):
            return None
        cursors = array("q")
        for batch in scratch.batches("select moment from rest order by 1"):
            cursors.extend(batch["moment"].to_pylist())
        return Rest(scratch, cursors)

    def _compared(self, records: list[Record]) -> dict[str, bool]:
        scratch = self._part()
        listed = Listed(scratch, self.shape)
        index = ListIndex(listed, self.account)
        index.add(records, 1)
        index.flush()
        scratch.allow(listed.memory)
        columns = self.columns_of(listed)
        ids = [str(record["id"]) for record in records]
        diff.compared(listed, columns, stored_rows(self.warehouse, self.shape, columns, ids))
        found = scratch.rows(queries.of("standing"), {"account": self.account})
        scratch.clear()
        return dict(found)

    def _held(self, above: tuple[str, datetime] | None = None) -> Scratch:
        """Return a part with the table `held` of the rows; of those `above` a cursor at least."""
        scratch, names = self._part(), ["id", ACCOUNT, MISSING, self.shape.cursor or ""]
        hold(scratch, self.warehouse.read(self.shape.name, names, above=above), self.shape)
        return scratch

    def _part(self) -> Scratch:
        return Scratch(self.scratch, f"{self.shape.name}__{next(_parts)}")


@dataclass(frozen=True)
class Rest:
    """Rows by id and cursor. `cursors`: one for each row, in microseconds since 1970, sorted."""

    scratch: Scratch
    cursors: array[int]

    def between(self, low: int | None, high: int | None) -> set[str]:
        """Return the ids of the rows with low < cursor <= high; None: no bound."""
        found = self.scratch.rows(queries.of("rest_between"), {"low": low, "high": high})
        return {str(key) for (key,) in found}
