"""One run's listing: read the lists, compare them with the warehouse, hand on the differences, verify.

The resources of the source share one listing; a list is read when its first resource is extracted.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from boast_source.errors import DestinationError
from boast_source.listing import diff, queries
from boast_source.listing.columns import HASH, HISTORY_KEYS, MISSING, as_stored, columns_of, keeps_history, row_columns
from boast_source.listing.handing import ComparedList, handed_on
from boast_source.listing.index import Listed
from boast_source.listing.lacking import Lacking, whole_rows
from boast_source.listing.reader import Given, Swept
from boast_source.listing.scratch import Scratch
from boast_source.listing.shared import note_shared
from boast_source.listing.stored import (
    StoredList,
    ids_of_recent,
    newest_sum,
    note_silent,
    note_unlisted,
    stored_rows,
)
from boast_source.listing.vanished import ask_for_undelivered, lost_accounts, none_seen
from boast_source.shapes import ACCOUNTS, HISTORY, SHAPES, Kind, Shape
from boast_source.warehouse.capabilities import keeps_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from boast_source.api import BoastClient, Page
    from boast_source.listing.column import Column
    from boast_source.listing.report import ListReport, Options
    from boast_source.warehouse import Warehouse

# Joins run in the written order, with the right side in memory: the optimizer might put whole rows there.
_AS_WRITTEN = "set disabled_optimizers = 'join_order,build_side_probe_side'"


class Listing:
    """The listing that the resources of one run share. Close it to remove its scratch index. `warehouse`: open."""

    def __init__(self, reader: Swept | Given, options: Options, warehouse: Warehouse | None = None) -> None:
        self.options, self.warehouse = options, warehouse
        self.reports: list[ListReport] = []
        self._reader = reader
        self._scratch = Scratch()
        self._scratch.execute(_AS_WRITTEN)
        self._scratch.execute(queries.of("dropped"))
        self._accounts: list[str] | None = None
        self._account_list: Listed | None = None
        self._lists: dict[str, ComparedList] = {}
        self._memory = 0  # MB
        self._json_kind: Kind = "json"

    def close(self) -> None:
        self._scratch.close()

    def accounts(self) -> list[str]:
        """Return the accounts to list, each once."""
        if self._accounts is None:
            given = self.options.account_ids
            if given is None:
                ids = self._listed_accounts().scratch.rows("select distinct id from listed order by 1")
                given = tuple(key for (key,) in ids)
            self._accounts = list(dict.fromkeys(given))
        return self._accounts

    def prepare(
        self,
        shape: Shape,
        warehouse: Warehouse | None,
        stored_kinds: Mapping[str, Kind] | None,
        fields: Mapping[str, str | None] | None = None,
        *,
        empty: bool = False,
    ) -> None:
        """Read the list for every account and compare it with the warehouse; once per list.

        `fields`: by column, the undocumented field that filled it in earlier listings.
        `stored_kinds` None, or `empty`: treat the table as empty (it is, or it is about to be).
        """
        if shape.name in self._lists:
            return
        destination = warehouse.pipeline.destination if warehouse else None
        longest = destination.capabilities().max_column_identifier_length if destination else None
        self._json_kind = "json" if destination is None or keeps_json(destination) else "text"
        readable = None if stored_kinds is None or empty else warehouse

        def columns_for(listed: Listed) -> list[Column]:
            return columns_of(listed, stored_kinds or {}, fields or {}, longest=longest, json_kind=self._json_kind)

        listed, reports = self._read(shape, readable, columns_for)
        ids = ids_of_recent(listed, reports)
        asking = self._reader if isinstance(self._reader, Swept) and keeps_history(shape) else None
        asked = asking and ids is None and not self.options.bounded
        lacking = Lacking(warehouse if asked else None, self.accounts(), empty=readable is None)

        def compared_now() -> diff.Compared:
            columns = columns_for(listed)
            self._memory = max(self._memory, listed.memory)
            self._scratch.allow(self._memory)
            stored = stored_rows(readable, shape, columns, ids)
            kept = as_stored(columns, stored_kinds or {})
            with warehouse.only_read(self._memory) if warehouse else contextlib.nullcontext():
                compared = diff.compared(listed, columns, stored, self.options.within(), kept)
            lacking.count_as_stored(compared)
            return compared

        compared = compared_now()
        note_shared(compared, shape, asking, reports)
        repeated = self._take_repeated(compared, shape, warehouse)
        gone: list[str] = []
        passes = sum(report.passes for report in reports)
        if asking:
            lost = lost_accounts(shape, compared, self.options, self.accounts())
            self.reports += lost
            reports += lost
            gone = ask_for_undelivered(listed, compared, asking, self.options, reports)
        elif self.options.unlisted:
            note_unlisted(compared, reports)
        if any(report.hidden for report in reports) or passes < sum(report.passes for report in reports):
            compared = compared_now()
            self._take_repeated(compared, shape, warehouse)
        note_silent(compared, readable, self.options.states, reports)
        gone += [key for report in reports for key in report.gone]
        if repeated and keeps_history(shape):  # one row replaces them all
            gone += compared.repeated_vanished(self.accounts())
        gone += lacking.known_missing()
        whole = whole_rows(shape, compared.columns, readable, lacking)
        newest = (
            warehouse.read(HISTORY, ["id", MISSING], newest_by=("id", "version"), ids=gone)
            if warehouse and gone
            else ()
        )
        changes = compared.changes(gone, whole, newest, everything=self.options.everything)
        counts = changes.counts()
        _count(reports, compared.listed_counts(), counts)
        streams, back = 2 if keeps_history(shape) else 1, bool(lacking.ids)
        one = ComparedList(listed, compared.columns, changes, reports, streams, whole, ids, counts, repeated, back)
        one.hashed = HASH in (stored_kinds or {})
        self._lists[shape.name] = one

    def rows(self, shape: Shape, *, altered: bool = False) -> Iterator[pa.Table]:
        """Yield the rows that differ from the warehouse, in batches; one empty batch if there are none.

        `altered`: a user alters the rows on their way, so each keeps the hash of what was listed.
        """
        one = self._lists[shape.name]
        one.table = shape.name
        one.anew, one.hashed = altered and not one.hashed, altered or one.hashed
        rows = one.changes.rows(hashed=one.hashed)
        some = one.repeated > 0 or one.back or any(map(any, one.counts.values()))
        yield from handed_on(one, rows, {"id"}, some=some)

    def note_dropped(self, table: str, ids: pa.ChunkedArray) -> None:
        """Note rows that were handed on and then dropped by a user's functions or contracts."""
        names = pa.repeat(pa.scalar(table, pa.string()), len(ids))
        self._scratch.append("dropped", pa.table({"resource": names, "id": ids}))

    def is_repeated(self, shape: Shape) -> bool:
        """Whether the table holds an id more than once: then rows must be deleted and inserted, not updated."""
        return self._lists[shape.name].repeated > 0

    def replaced(self, shape: Shape, warehouse: Warehouse | None) -> int:
        """Return how many whole rows of the table may be replaced; 0 if a row may hold data that is not ours."""
        changed = sum(loaded + missing for loaded, missing in self._lists[shape.name].counts.values())
        return changed if warehouse and changed and warehouse.may_replace(shape.name) else 0

    def listed(self, shape: Shape, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield what was listed, for callers that store nothing; call `prepare` first."""
        scratch = self._lists[shape.name].listed.scratch
        yield from scratch.batches(f"select {', '.join(columns)} from typed semi join latest using (_seq)")

    def fields(self, shape: Shape) -> dict[str, str]:
        """Return, by column, the undocumented field that fills it or used to."""
        return {c.name: c.field for c in self._lists[shape.name].columns if c.field is not None}

    def hints(self, shape: Shape) -> dict[str, Kind]:
        """Return the kinds of JSON columns outside the shape, and of text columns that may be JSON in dlt's schema."""
        documented = shape.columns
        kinds = {c.name: c.kind for c in self._lists[shape.name].columns if c.kind != documented.get(c.name)}
        own = self._json_kind  # if `text`, any text column may have been JSON
        return {name: kind for name, kind in kinds.items() if "json" in {kind, documented.get(name)} or kind == own}

    def versions(self, shape: Shape, warehouse: Warehouse | None, *, altered: bool = False) -> Iterator[pa.Table]:
        """Yield the versions that the history does not hold yet, in batches. `altered`: see `rows`."""
        one, history = self._lists[shape.name], f"{shape.name}_history"
        names = ["id", "version", "version_key", HASH, MISSING]

        def last(ids: list[str]) -> Iterator[pa.Table]:
            whole = [*row_columns(shape, one.columns), "version"]
            assert warehouse
            return warehouse.read(history, whole, newest_by=("id", "version"), ids=ids)

        few = None
        if warehouse and one.ids is None:
            few = one.changes.few(partial(newest_sum, warehouse, history))
        ids = one.ids if few is None else few
        versions = one.changes.versions(
            warehouse.read(history, names, newest_by=("id", "version"), ids=ids) if warehouse else (),
            lambda: warehouse.read(history, ["id", HASH]) if warehouse else (),
            one.whole,
            mended=self.options.mended or one.anew,
            few=few is not None,
            last=last if warehouse and (altered or one.hashed) else None,
        )
        for batch in handed_on(one, versions.rows(), {"id", *HISTORY_KEYS}, some=versions.any()):
            one.versions += 0 if altered else batch.num_rows
            yield batch

    def verify(self, warehouse: Warehouse) -> None:
        """Compare each list that was read with the warehouse again, after the load; set `verified` in its reports."""
        for name, one in self._lists.items():
            self._verify(one, SHAPES[name], warehouse)

    def _verify(self, one: ComparedList, shape: Shape, warehouse: Warehouse) -> None:
        repeated, unequal = one.repeated, dict[str, int]()
        if one.written:  # otherwise the first comparison is still valid: nothing was written
            with warehouse.only_read(self._memory):
                repeated, unequal = one.read_back(warehouse)
        twice, kept = 0, None
        if keeps_history(shape) and one.ids is None:
            twice = warehouse.count_repeated(HISTORY, "version_key")
        if one.versions:
            kept = warehouse.count_since(HISTORY, "observed_at", self._scratch.value("select seen_at()"))
        lost = 0 if kept is None else max(one.versions - kept, 0)
        for report in one.reports:
            if not report.error:
                report.verify(repeated, unequal.get(str(report.account_id), 0), twice, lost)

    def _read(
        self, shape: Shape, warehouse: Warehouse | None, columns_for: Callable[[Listed], list[Column]]
    ) -> tuple[Listed, list[ListReport]]:
        if shape == ACCOUNTS:
            self.accounts()  # their ids decide what else to list
            return self._listed_accounts(), []
        accounts = self.accounts()
        listed = Listed(Scratch(self._scratch, shape.name), shape)
        reports = [
            self._reader.read(listed, account, self._stored(shape, account, warehouse, columns_for))
            for account in accounts
        ]
        self.reports += reports
        return listed, reports

    def _listed_accounts(self) -> Listed:
        if self._account_list is None:
            self._account_list = Listed(Scratch(self._scratch, ACCOUNTS.name), ACCOUNTS)
            report = self._reader.read(self._account_list, None)
            self.reports.append(report if self._account_list.rows else none_seen(report))
        return self._account_list

    def _take_repeated(self, compared: diff.Compared, shape: Shape, warehouse: Warehouse | None) -> int:
        """Mark rows that share an id to be replaced by the listed record; return how many are surplus.

        Raises DestinationError if they may hold data that is not ours.
        """
        if repeated := compared.repeated_ids():
            if warehouse is None or not warehouse.may_replace(shape.name):
                raise DestinationError(
                    f"{repeated} rows of {shape.name} share their id with another",
                    hint="Something else wrote into the table: remove the extra rows, then load again.",
                )
            compared.take_repeated()
        return repeated

    def _stored(
        self, shape: Shape, account: str, warehouse: Warehouse | None, columns_for: Callable[[Listed], list[Column]]
    ) -> StoredList | None:
        """Return what the warehouse holds of a list."""
        if warehouse is None or self.options.mended:
            return None
        state = self.options.states.get((account, shape.name))
        counted = (state.counted if state else None) or 0
        return StoredList(self._scratch, shape, account, warehouse, columns_for, counted)


def listing_of(
    client: BoastClient,
    options: Options,
    on_page: Callable[[ListReport, Page], None] | None = None,
    warehouse: Warehouse | None = None,
) -> Listing:
    """Return a listing that reads from the API."""
    return Listing(Swept(client, options, on_page), options, warehouse)


def _count(reports: list[ListReport], found: Mapping[str, int], changed: Mapping[str, tuple[int, int]]) -> None:
    for report in reports:
        account = report.account_id or ""
        report.listed = (report.counted or 0) if report.steadiness == "recent" else found.get(account, 0)
        report.loaded, report.missing = changed.get(account, (0, 0))
