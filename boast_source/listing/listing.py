"""One run's listing: sweep what is asked for, compare it with the warehouse, hand on what differs, verify.

The resources of the source share one listing; a list is swept when its first resource is extracted.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from boast_source import warehouse
from boast_source.api import Page, Tally, path_of
from boast_source.errors import ApiError, AuthenticationError, DestinationError, NotFoundError
from boast_source.listing import diff
from boast_source.listing.columns import HISTORY_KEYS, MISSING, columns_of, keeps_history, row_columns
from boast_source.listing.index import AT_REST, MEMORY, ListIndex, Scratch, make_listed
from boast_source.listing.sweep import Steadiness, sweep
from boast_source.shapes import ACCOUNTS, SEQUENCE_ENROLLMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    import dlt

    from boast_source.api import BoastClient
    from boast_source.listing.columns import Column
    from boast_source.shapes import Kind, Record, Shape

Verified = Literal["exact", "covered", "moving", "failed"]

# More vanished rows than this, and more than this share of what is stored, is suspicious: nothing is marked.
GONE_ROWS, GONE_SHARE = 10, 0.2
_ASKED = 1_000_000  # the "pass" of a record that was asked for by its id: later than any real pass


@dataclass
class ListReport:
    """What happened to one list of one account (`account_id` None: the list of accounts)."""

    account_id: str | None
    resource: str
    listed: int = 0
    loaded: int = 0
    missing: int = 0
    passes: int = 0
    steadiness: Steadiness | None = None
    unanswered: int = 0  # stored, not delivered, and the question for it stayed open
    hidden: int = 0  # stored, not delivered, and there all the same
    suspicious: int = 0  # stored, not delivered, too many to believe
    short: int = 0  # counted by the API, and delivered by no pass, although the passes agree
    verified: Verified | None = None
    error: str | None = None
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class Options:
    """How to list. `account_ids` None: all that the token sees. `since`/`until` bound the cursor, [since, until).
    `prove`: read until two passes agree; every list, or the one of this name.
    """

    account_ids: tuple[str, ...] | None = None
    workers: int = 8
    prove: bool | str = False
    everything: bool = False
    since: datetime | None = None
    until: datetime | None = None
    accept_missing: bool = False  # a person says that many vanished rows are no accident
    keep_going: bool = False  # a failing account is reported, not raised
    mended: bool = False  # somebody dropped columns: what is stored now was never a version

    def within(self, cursor: str | None) -> str:
        """SQL: the row lies in the range, or has no cursor value."""
        if cursor is None or (self.since is None and self.until is None):
            return "true"
        bounds = []
        if self.since:
            bounds.append(f"r.{cursor} >= '{self.since.isoformat()}'::timestamptz")
        if self.until:
            bounds.append(f"r.{cursor} < '{self.until.isoformat()}'::timestamptz")
        return f"r.{cursor} is null or ({' and '.join(bounds)})"


class Listing:
    """What the resources of one run share. Close it to remove its scratch index."""

    def __init__(
        self,
        client: BoastClient,
        options: Options,
        *,
        on_page: Callable[[ListReport, Page], None] | None = None,
        answers: Mapping[str, Sequence[Record]] | None = None,
    ) -> None:
        """`answers`: records per account, taken for the listing; then no list is read, and nobody is asked."""
        self._answers = answers
        self.client = client
        self.options = options
        self.reports: list[ListReport] = []
        self._on_page = on_page
        self._scratch = Scratch()
        self._columns: dict[str, list[Column]] = {}
        self._accounts: list[str] | None = None
        self._streams: dict[str, int] = {}  # lists that are being handed on: how many tables still want rows
        self._changed: set[str] = set()  # lists with rows to hand on
        self._written: set[str] = set()  # lists of which something was handed on

    def close(self) -> None:
        self._scratch.close()

    def accounts(self) -> list[str]:
        """The accounts to list, each once."""
        if self._accounts is None:
            given = self.options.account_ids
            if given is None:
                self._sweep_accounts()
                given = tuple(
                    key for (key,) in self._scratch.rows("select distinct id from accounts__listed order by 1")
                )
            self._accounts = list(dict.fromkeys(given))
        return self._accounts

    def prepare(
        self,
        shape: Shape,
        pipeline: dlt.Pipeline | None,
        stored_kinds: Mapping[str, Kind] | None,
        delivered_before: Collection[str] = (),
        named: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Sweep the list for every account and compare it with the warehouse; once per list.

        `delivered_before`: unknown fields of earlier listings; one that is not delivered any more becomes null.
        `named`: the columns that earlier listings gave such fields, which keep them whatever else comes and goes.
        `stored_kinds` None: count the table as empty (it is, or it is about to be dropped).
        """
        if shape.name in self._columns:
            return
        self._scratch.limit(MEMORY)
        make_listed(self._scratch, shape)
        reports = [self._sweep(shape, account) for account in self.accounts()] if shape != ACCOUNTS else []
        if shape == ACCOUNTS:
            self._sweep_accounts()
            self.accounts()  # whose ids say what else to list
        destination = pipeline.destination if pipeline else None
        longest = destination.capabilities().max_column_identifier_length if destination else None

        def columns_now() -> list[Column]:
            return columns_of(self._scratch, shape, stored_kinds or {}, delivered_before, longest=longest, named=named)

        columns = columns_now()
        readable = None if stored_kinds is None else pipeline
        self._read_stored(shape, columns, readable)
        if repeated := diff.repeated_ids(self._scratch, shape):
            raise DestinationError(
                f"{repeated} rows of {shape.name} share their id with another",
                hint="Something else wrote into the table: remove the extra rows, then load again.",
            )
        if self._answers is None and self.options.account_ids is None and keeps_history(shape):
            left = diff.other_accounts(self._scratch, shape, self.accounts())
            reports += [self._left(shape, account) for account in left]
        gone = self._ask_for_undelivered(shape, [r for r in reports if not r.error])
        if any(report.hidden for report in reports):
            columns = columns_now()
            self._read_stored(shape, columns, readable)
        diff.make_now(self._scratch, shape, columns)
        diff.make_gone(self._scratch, shape, gone)
        self._read_whole(shape, columns, readable)
        self._columns[shape.name] = columns
        self._streams[shape.name] = 2 if keeps_history(shape) else 1
        self._count(shape, reports)

    def rows(self, shape: Shape) -> Iterator[pa.Table]:
        """What differs from the warehouse, in batches; one empty batch when nothing was ever stored or listed."""
        sql = diff.changed_rows(
            shape,
            self._columns[shape.name],
            everything=self.options.everything,
            within=self.options.within(shape.cursor),
        )
        yield from self._handed_on(shape, sql, {"id"}, some=shape.name in self._changed)

    def replaced(self, shape: Shape, pipeline: dlt.Pipeline | None) -> int:
        """How many whole rows of the table may be replaced; 0 where a row may hold what is not ours."""
        mine = [report for report in self.reports if report.resource == shape.name]
        changed = sum(report.loaded + report.missing for report in mine)
        return changed if pipeline and changed and warehouse.has_only_ours(pipeline, shape.name) else 0

    def enrollments(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """What was listed of the enrollments, for those who store nothing; call `prepare` first."""
        yield from self._scratch.batches(f"select {', '.join(columns)} from {SEQUENCE_ENROLLMENTS.name}__rows")

    def unknown_fields(self, shape: Shape) -> set[str]:
        """The columns that this listing fills beyond the documented ones."""
        return {c.name for c in self._columns[shape.name] if c.compared and c.name not in shape.columns}

    def named(self, shape: Shape) -> dict[str, str]:
        """The columns of the undocumented fields that this listing delivers."""
        return {c.field: c.name for c in self._columns[shape.name] if c.field is not None}

    def json_columns(self, shape: Shape) -> set[str]:
        """Unknown fields that hold objects or arrays; what is handed on has them as JSON text."""
        return {c.name for c in self._columns[shape.name] if c.kind == "json" and c.name not in shape.columns}

    def versions(self, shape: Shape, pipeline: dlt.Pipeline | None) -> Iterator[pa.Table]:
        """The versions that the history does not hold yet, in batches."""
        columns, within, history = self._columns[shape.name], self.options.within(shape.cursor), f"{shape.name}_history"
        names = ["id", "version", "version_key", "content_hash", MISSING]
        newest = warehouse.read(pipeline, history, names, newest_by=("id", "version")) if pipeline else None
        diff.make_newest(self._scratch, shape, newest)
        unkept = diff.replaced(self._scratch, shape, "false" if self.options.mended else within)
        if unkept and pipeline:
            diff.drop_kept(self._scratch, shape, warehouse.read(pipeline, history, ["id", "content_hash"]))
        diff.make_lost(self._scratch, shape)
        self._read_whole(shape, columns, pipeline)
        fresh = diff.has_fresh(self._scratch, shape, within)
        sql = diff.history_rows(shape, columns, within=within)
        yield from self._handed_on(shape, sql, {"id", *HISTORY_KEYS}, some=fresh)

    def verify(self, shape: Shape, pipeline: dlt.Pipeline) -> None:
        """Compare again after the load, and say in each report how sure it is."""
        if shape.name not in self._columns:
            return
        repeated, written = 0, shape.name in self._written
        if written:  # else the first comparison stands, which found nothing to write
            self._scratch.limit(MEMORY)
            self._read_stored(shape, self._columns[shape.name], pipeline)
            repeated = diff.repeated_ids(self._scratch, shape)
        within = self.options.within(shape.cursor)
        for report in self.reports:
            if report.resource != shape.name or report.error or report.account_id is None:
                continue
            unequal = diff.unequal(self._scratch, shape, report.account_id, within) if written else 0
            if repeated or unequal or report.suspicious:
                report.verified = "failed"
                report.error = _failure(report, repeated, unequal)
            elif report.unanswered:
                report.verified = "moving"
            elif report.hidden:
                report.verified = "covered" if report.steadiness == "exact" else report.steadiness
            else:
                report.verified = report.steadiness

    def _left(self, shape: Shape, account: str) -> ListReport:
        report = ListReport(account, shape.name, verified="failed")
        report.error = (
            "the token no longer sees this account; its rows stay as they were. Give the token access again,"
            " or set sources.boast.account_ids to the accounts that are left."
        )
        self.reports.append(report)
        return report

    def _sweep_accounts(self) -> None:
        if not any(report.resource == ACCOUNTS.name for report in self.reports):
            self._sweep(ACCOUNTS, None)

    def _sweep(self, shape: Shape, account: str | None) -> ListReport:
        report = ListReport(account, shape.name)
        self.reports.append(report)
        path = path_of(shape.name) if account is None else path_of("accounts", account, shape.name)
        index = ListIndex(self._scratch, shape, account)

        def fetch(number: int) -> Page:
            return self.client.page(path, number, report.tally)

        def note(page: Page) -> None:
            if self._on_page:
                self._on_page(report, page)

        if self._answers is not None:
            index.add(list(self._answers.get(account or "", ())), 1)
            index.flush()
            return report
        try:
            prove = self.options.prove in {True, shape.name}
            result = sweep(fetch, index, workers=self.options.workers, prove=prove, on_page=note)
            report.passes, report.steadiness, report.short = result.passes, result.steadiness, result.short
        except AuthenticationError:
            raise
        except ApiError as error:
            if not self.options.keep_going or shape == ACCOUNTS:
                raise
            report.error = str(error)
        finally:
            index.flush()
        return report

    def _read_stored(self, shape: Shape, columns: list[Column], pipeline: dlt.Pipeline | None) -> None:
        def digest(table: str, there: Collection[str]) -> str | None:
            return diff.digest(columns, table, there)

        names = row_columns(shape, columns)
        stored = warehouse.read(pipeline, shape.name, names, in_duckdb=digest) if pipeline else None
        diff.make_stored(self._scratch, shape, columns, stored)

    def _read_whole(self, shape: Shape, columns: list[Column], pipeline: dlt.Pipeline | None) -> None:
        """The rows that will be handed on as they are stored."""
        ids = diff.wanted(self._scratch, shape)
        names = row_columns(shape, columns)
        rows = warehouse.read(pipeline, shape.name, names, ids=ids) if pipeline and ids else None
        diff.make_whole(self._scratch, shape, columns, rows)

    def _ask_for_undelivered(self, shape: Shape, reports: list[ListReport]) -> list[str]:
        """The ids that are gone for good: stored, delivered by no pass, and 404 when asked for."""
        if not keeps_history(shape) or self._answers is not None:
            return []
        by_account = {report.account_id: report for report in reports}
        questions = []
        if self.options.since or self.options.until:  # which rows lie in the range only a whole run may ask
            for account, _ in diff.undelivered(self._scratch, shape, [a for a in by_account if a]):
                by_account[account].unanswered += 1
            return []
        for account, key in diff.undelivered(self._scratch, shape, [a for a in by_account if a]):
            by_account[account].suspicious += 1
            questions.append((account, key))
        for report in reports:
            stored = diff.stored_count(self._scratch, shape, report.account_id or "")
            few = report.suspicious <= GONE_ROWS or report.suspicious <= GONE_SHARE * stored
            if self.options.accept_missing or (few and diff.delivered(self._scratch, shape, report.account_id)):
                report.suspicious = 0
        believed = [(account, key) for account, key in questions if not by_account[account].suspicious]
        with ThreadPoolExecutor(self.options.workers, thread_name_prefix="boast-ask") as pool:
            answers = pool.map(lambda asked: self._ask(shape, asked[0], asked[1], by_account[asked[0]]), believed)
            return [key for (_, key), gone in zip(believed, answers, strict=True) if gone]

    def _ask(self, shape: Shape, account: str, key: str, report: ListReport) -> bool:
        path = path_of("accounts", account, shape.name, key)
        try:
            record = self.client.record(path, report.tally)
        except NotFoundError:
            return True
        except AuthenticationError:
            raise
        except ApiError:
            with self._scratch.lock:
                report.unanswered += 1
            return False
        with self._scratch.lock:
            report.hidden += 1
            index = ListIndex(self._scratch, shape, account)
            index.add([record], _ASKED)
            index.flush()
        return False

    def _count(self, shape: Shape, reports: list[ListReport]) -> None:
        """Per account: distinct records delivered, rows to load, rows now missing."""
        x = shape.name
        listed = dict(self._scratch.rows(f"select account_id, count(*) from {x}__now group by all"))
        within = self.options.within(shape.cursor)
        changed = diff.changed_counts(self._scratch, shape, everything=self.options.everything, within=within)
        counts = {account: (loaded, missing) for account, loaded, missing in changed}
        if any(map(any, counts.values())):
            self._changed.add(x)
        for report in reports:
            report.listed = listed.get(report.account_id, 0)
            report.loaded, report.missing = counts.get(report.account_id, (0, 0))

    def _handed_on(self, shape: Shape, sql: str, keys: set[str], *, some: bool) -> Iterator[pa.Table]:
        """The rows of a query, known to be none unless there are `some`."""
        handed = False
        for batch in self._scratch.batches(sql) if some else ():
            handed = True
            self._written.add(shape.name)
            yield _with_keys(batch, keys)
        if not handed:
            yield _with_keys(self._scratch.empty(sql), keys)
        self._streams[shape.name] -= 1
        if not self._streams[shape.name] and shape.name in self._written:
            diff.keep_to_verify(self._scratch, shape)
            self._scratch.limit(AT_REST)


def _with_keys(rows: pa.Table, keys: set[str]) -> pa.Table:
    """The key columns are never null, and the schema says so."""
    schema = pa.schema([f.with_nullable(f.name not in keys) for f in rows.schema])
    return rows.cast(schema)


def _failure(report: ListReport, repeated: int, unequal: int) -> str:
    if report.suspicious:
        return (
            f"{report.suspicious} stored enrollments are no longer listed, too many to believe: nothing was marked"
            " missing. Look at the account in Boast; if they are gone indeed, run `boast load --accept-missing`."
        )
    if repeated:
        return (
            f"{repeated} rows of {report.resource} share their id with another. Remove the extra rows, then load again."
        )
    return f"{unequal} records of {report.resource} differ from what was listed. Run `boast load --full-refresh`."
