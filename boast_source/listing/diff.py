"""Compares a listing with the warehouse: what differs, what is gone, which versions are new, whether both are equal.

Runs SQL (diff.sql) on the scratch index, for one list at a time. Each step is an object made by the step before it, so
none can run too early: `compared` → Compared → Changes → Versions, and after the load `unequal`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from boast_source.listing import queries
from boast_source.listing.column import SQL_TYPES, Column
from boast_source.listing.columns import (
    HASH,
    MISSING,
    canonical,
    content_hash,
    kinds_of,
    row_columns,
    stored_hash,
    typed_rows,
)
from boast_source.warehouse.arrow import in_bulk, literal, quote
from boast_source.warehouse.parts import FEW

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from boast_source.listing.index import Listed
    from boast_source.listing.scratch import Scratch

    Batches = Iterable[pa.Table]
    Whole = Callable[[list[str]], Batches]  # reads the warehouse's rows with these ids, maybe more
    Sum = tuple[int, ...]


SLICE = 500_000  # records
_DIFFERS = "_seq in (select _seq from differing where _seq is not null)"


@dataclass(frozen=True)
class _Step:
    """What all steps share. `kept`: the columns in the warehouse's kinds; `within`: an SQL condition on `latest` for
    the requested range.
    """

    listed: Listed
    columns: list[Column]
    kept: list[Column]
    within: str

    @property
    def scratch(self) -> Scratch:
        return self.listed.scratch

    def _names(self, *, filled: bool = False) -> str:
        """Return the columns of a row as SQL; with `filled` only those that a listing fills."""
        columns = [c for c in self.columns if c.compared] if filled else self.columns
        return ", ".join(quote(name) for name in row_columns(self.listed.shape, columns))

    def _slices(self) -> Iterator[str]:
        """Yield SQL conditions that split the records into slices by order of arrival."""
        for first in range(0, max(self.listed.rows, 1), SLICE):
            yield f"_seq between {first} and {first + SLICE - 1}"


def compared(
    listed: Listed,
    columns: list[Column],
    stored: Batches,
    within: str = "true",
    kept: list[Column] | None = None,
) -> Compared:
    """Compare what was delivered with what the warehouse holds. `stored`: its rows, or their `digest`."""
    scratch = listed.scratch
    cursor = quote(listed.shape.cursor) if listed.shape.cursor else "null::timestamptz"
    typed = ", ".join(f"{c.typed} as {quote(c.name)}" for c in columns)
    scratch.execute(queries.of("typed", columns=typed))
    if listed.may_repeat():
        scratch.execute(queries.of("winners", cursor=cursor))
    chosen = "_seq in (from winners)" if listed.may_repeat() else "true"
    scratch.execute(queries.of("latest", hash=content_hash(columns), cursor=cursor, chosen=chosen))
    make_stored(scratch, columns, stored)
    scratch.execute(queries.of("differing"))
    scratch.execute(queries.of("lacking"))
    return Compared(listed, columns, kept or columns, within)


def make_stored(scratch: Scratch, columns: list[Column], batches: Batches) -> None:
    """Fill the table `stored` from the warehouse's rows, or from the `digest` made of them there."""
    scratch.execute(queries.of("stored"))
    rows = iter(batches)
    if (first := next(rows, None)) is None:
        return
    batches = itertools.chain([first], rows)
    if "_hash" in first.column_names:  # they come from a DuckDB, and fast
        scratch.stream("stored", batches)
        return
    for batch in in_bulk(batches):
        digested = _digest(columns, batch.column_names, "incoming")
        scratch.append("stored", canonical(batch, kinds_of(columns)), digested)


def digest(columns: list[Column], table: str, there: Collection[str]) -> str | None:
    """Return SQL for what `stored` keeps, to run in a DuckDB that holds the table; None if JSON must be respelled."""
    kinds = kinds_of(columns)
    return None if any(kinds.get(name) == "json" for name in there) else _digest(columns, there, table)


def _digest(columns: list[Column], there: Collection[str], table: str) -> str:
    # if a column was not compared, the hash does not cover the whole row
    whole = " and ".join(["true", *(f"{quote(c.name)} is null" for c in columns if not c.compared)])
    rows = typed_rows(columns, there, table)
    return queries.of("digest", whole=whole, hash=stored_hash(columns, there), rows=rows)


class Compared(_Step):
    """The listing and the warehouse side by side."""

    def shared_ids(self) -> list[tuple[str, str, str]]:
        """Return (id, account, another account) for ids that may be two records."""
        twice = "true" if self.listed.may_repeat() else "false"
        if twice == "false" and not self.differs():
            return []
        return self.scratch.rows(queries.of("shared_ids", twice=twice))

    def differs(self) -> bool:
        """Whether anything differs at all."""
        return bool(self.scratch.value("select exists (from differing)"))

    def repeated_ids(self) -> int:
        """Return how many rows the warehouse holds beyond one per id."""
        if self.scratch.value(queries.of("one_for_one")):
            return 0
        return int(self.scratch.value(queries.of("repeated_ids")))

    def take_repeated(self) -> None:
        """Mark the listed records of repeated ids as changed, so that each replaces all rows of its id."""
        self.scratch.execute(queries.of("take_repeated"))

    def repeated_vanished(self, accounts: list[str]) -> list[str]:
        """Return the ids of these accounts' rows that are marked missing and stored more than once."""
        return [key for (key,) in self.scratch.rows(queries.of("repeated_vanished"), {"accounts": accounts})]

    def undelivered(self, accounts: list[str]) -> list[tuple[str, str]]:
        """Return (account, id) of these accounts' stored rows that no pass delivered, except those marked missing."""
        return self.scratch.rows(queries.of("undelivered"), {"accounts": accounts})

    def other_accounts(self, accounts: list[str]) -> list[str]:
        """Return the accounts other than these that have stored rows."""
        return [account for (account,) in self.scratch.rows(queries.of("other_accounts"), {"accounts": accounts})]

    def stored_counts(self) -> dict[str, int]:
        """Return, by account, how many stored rows are not marked missing."""
        return dict(self.scratch.rows(queries.of("stored_counts")))

    def listed_counts(self) -> dict[str, int]:
        """Return, by account, how many distinct records were delivered."""
        return dict(self.scratch.rows(queries.of("listed_counts")))

    def changes(self, gone: list[str], whole: Whole, newest: Batches = (), *, everything: bool = False) -> Changes:
        """Return what to load, given the ids that are gone; with `everything`, all that was listed. `newest`: the
        history's newest version of the gone ids, as id and missing_since.
        """
        self.scratch.execute(queries.of("gone"))
        if gone:
            self.scratch.append("gone", pa.table({"id": pa.array(gone, pa.string())}))
        self.scratch.execute(queries.of("marked"))
        for batch in in_bulk(newest):
            if MISSING in batch.column_names:
                self.scratch.append("marked", batch, queries.of("marked_of"))
        stored = self.scratch.rows(queries.of("sum", rows="stored"))[0]
        if any(stored):
            self.scratch.execute(queries.of("concerned"))
        for name in ("unkept", "lost"):
            self.scratch.execute(f"create or replace table {name} (id varchar, _hash uuid)")
        which = "true" if everything else _DIFFERS
        self.scratch.execute(queries.of("changed", within=self.within, which=which))
        _make_whole(self, whole)
        return Changes(self.listed, self.columns, self.kept, self.within, stored, everything)


@dataclass(frozen=True)
class Changes(_Step):
    """What is to be loaded. `stored`: the sum of all rows in the warehouse."""

    stored: Sum
    everything: bool

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return, by account, how many records to load and how many rows are gone."""
        found = self.scratch.rows(queries.of("changed_counts"))
        return {account: (changed, gone) for account, changed, gone in found}

    def rows(self, *, hashed: bool = False) -> Iterator[str]:
        """Yield SQL for the rows to load; with `hashed`, their hash and only the columns that the listing fills."""
        for part in self._slices():
            name = "hashed_rows" if hashed else "rows"
            yield queries.of(name, columns=self._names(filled=hashed), slice=part)
        if MISSING in row_columns(self.listed.shape, self.columns):
            kept = f", {content_hash(self.kept)} as {HASH}, true as _stored" if hashed else ""
            # if a user alters rows on their way, these may have been dropped before
            which = "id not in (select id from lacking)" if hashed else "true"
            yield queries.of("gone_rows", columns=self._names() + kept, which=which)

    def few(self, newest_sum: Callable[[], Sum | None]) -> list[str] | None:
        """Return the ids that differ if they are few and the history's newest versions are all rows as they are
        stored, which `newest_sum` shows; None: unknown.
        """
        ids = [key for (key,) in self.scratch.rows(queries.of("differing_ids", most=str(FEW)))]
        return ids if len(ids) <= FEW and newest_sum() == self.stored else None

    def expected(self) -> Sum | None:
        """Return what the sum of the warehouse's rows should be after the load; None if it cannot be told."""
        if self.everything or self.scratch.value("select exists (from gone)"):
            return None
        added = self.scratch.rows(queries.of("loaded_sum"))[0]
        return tuple(map(sum, zip(self.stored, added, strict=True)))

    def versions(
        self,
        newest: Batches,
        known: Callable[[], Batches],
        whole: Whole,
        *,
        mended: bool = False,
        few: bool = False,
        last: Whole | None = None,
    ) -> Versions:
        """Return the versions to load. `newest`: the history's newest version of each id, or with `few` only of those
        that differ; `known`: all versions, as id and content_hash; `mended`: the stored rows were never
        versions; `last`: reads the newest whole version of some ids from the history, for rows that are gone and that
        the table may hold in another form.
        """
        scratch = self.scratch
        scratch.execute(queries.of("newest"))
        for batch in in_bulk(newest):
            scratch.append("newest", batch, queries.of("newest_of"))
        scratch.execute(queries.of("unwritten", within=self.within, which=_DIFFERS if few else "true"))
        scratch.execute(queries.of("linked"))
        scratch.execute(queries.of("unkept", within="false" if mended else self.within))
        if scratch.value("select exists (from unkept)"):
            scratch.execute(queries.of("kept"))
            for batch in in_bulk(known()):
                scratch.append("kept", batch, queries.of("kept_of"))
            scratch.execute(queries.of("forget_kept"))
        scratch.execute(queries.of("lost"))
        _make_whole(self, last or (lambda _: ()), "parted", "parting")
        _make_whole(self, whole)
        return Versions(self.listed, self.columns, self.kept, self.within, parted=last is not None)


@dataclass(frozen=True)
class Versions(_Step):
    """The versions that the history lacks. `parted`: those of rows that are gone come separately."""

    parted: bool = False

    def any(self) -> bool:
        return bool(self.scratch.value(queries.of("any_version")))

    def rows(self) -> Iterator[str]:
        """Yield SQL for the versions, each chained to the one before."""
        for part in self._slices():
            yield queries.of("versions", columns=self._names(filled=self.parted), slice=part)
        names, hashed = self._names(filled=self.parted), content_hash(self.kept)
        yield queries.of("several_versions", columns=names, hash=hashed, within=self.within)
        if self.parted:
            yield queries.of("gone_versions", columns=self._names(), hash=hashed)


def _make_whole(step: _Step, whole: Whole, table: str = "whole", wanted: str = "wanted") -> None:
    """Fill `table` with the whole stored rows of the `wanted` ids."""
    kinds = kinds_of(step.kept)
    definitions = ", ".join(f"{quote(name)} {SQL_TYPES[kind]}" for name, kind in kinds.items())
    step.scratch.execute(queries.of("whole", table=table, definitions=definitions))
    ids = [key for (key,) in step.scratch.rows(queries.of(wanted))]
    for batch in in_bulk(whole(ids) if ids else ()):
        there = batch.column_names
        rows = typed_rows(step.kept, there, f"(from incoming where id in ({queries.of(wanted)}))")
        without = f" exclude ({HASH})" if HASH in there else ""
        select = f"select *{without}, {stored_hash(step.kept, there)} as _hash from ({rows})"
        step.scratch.append(table, canonical(batch, kinds), select)
    step.scratch.execute(queries.of("whole_once", table=table))


def keep_to_verify(step: _Step, file: str) -> None:
    """Write what `unequal` needs into a file, so that the rest can be dropped."""
    step.scratch.execute(queries.of("seen", within=step.within, file=literal(file)))


def unequal(scratch: Scratch, file: str, resource: str) -> dict[str, int]:
    """Return, by account, how many delivered records `stored`, made again, does not hold as they were last seen."""
    return dict(scratch.rows(queries.of("unequal", file=literal(file)), {"resource": resource}))
