"""Where a listing comes from: the API's pages, or records that the API returned for writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING

from boast_source.api import BoastClient, Page, path_of
from boast_source.errors import ApiError, AuthenticationError, ConfigurationError, NotFoundError
from boast_source.listing import incremental
from boast_source.listing.columns import keeps_history
from boast_source.listing.index import Listed, ListIndex
from boast_source.listing.order import moment_of
from boast_source.listing.recent import UnfitError, read_recent
from boast_source.listing.report import ListReport, Options
from boast_source.listing.sweep import agrees, sweep
from boast_source.shapes import ACCOUNTS, Record, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from boast_source.listing.stored import StoredList


SHOWN = 5  # accounts in a message


class Swept:
    """Reads every page of the API's lists; requests single records by id."""

    def __init__(
        self, client: BoastClient, options: Options, on_page: Callable[[ListReport, Page], None] | None = None
    ) -> None:
        self._client, self._options, self._on_page = client, options, on_page
        self._seen: list[str] | None = None
        self._gone: set[tuple[str, str, str]] = set()  # list, account, id: answered 404 in this run
        self._still: dict[tuple[str, str | None], tuple[ListIndex, Callable[[], bool]]] = {}  # a second pass

    def read(self, listed: Listed, account: str | None, stored: StoredList | None = None) -> ListReport:
        """Read one list of an account (None: the list of accounts) into the index. `stored`: what the warehouse holds
        of it, if that can be read. A failing account is reported instead of raised if the options say so.
        """
        shape = listed.shape
        report = ListReport(account, shape.name, began=datetime.now(timezone.utc))
        index = ListIndex(listed, account)

        def fetch(number: int) -> Page:
            path = path_of(shape.name) if account is None else path_of("accounts", account, shape.name)
            return self._client.page(path, number, report.tally)

        def note(page: Page) -> None:
            report.counted, report.pages = page.count, page.pages
            if self._on_page:
                self._on_page(report, page)

        try:
            pages = self._read_recent(fetch, note, index, shape, report, stored)
            if report.steadiness == "recent":
                return report
            prove = self._options.prove in {True, shape.name}
            result = sweep(
                lambda number: pages.pop(number, None) or fetch(number),
                index,
                workers=self._options.workers,
                prove=prove,
                on_page=note,
                ask=None if pages else partial(self._complete, index, shape, report, stored),
            )
            report.passes, report.steadiness, report.short = result.passes, result.steadiness, result.short
            if result.steadiness == "covered" and result.passes == 1 and not result.completed:
                workers = self._options.workers
                self._still[shape.name, account] = index, partial(agrees, fetch, index, result, workers, note)
            report.nameless = result.nameless
            if result.completed:  # a moving list shows no order, and a missed change may be older than the newest
                known = self._options.states.get((str(account), shape.name))
                report.order, report.newest = (known.order, known.newest) if known else (None, None)
            else:
                report.order = index.observed.order
                report.newest = moment_of(index.observed.newest) if index.observed.newest is not None else None
        except AuthenticationError:
            raise
        except (ApiError, ConfigurationError) as error:  # an account's id may not fit into a path
            if not self._options.keep_going or shape == ACCOUNTS:
                raise
            missing = isinstance(error, NotFoundError) and self._unseen(str(account))
            report.error = missing or str(error)
        finally:
            index.flush()
        return report

    def _complete(
        self, index: ListIndex, shape: Shape, report: ListReport, stored: StoredList | None, number: int, most: int
    ) -> bool:
        """Request the stored records that a pass did not deliver; those that exist become part of it."""
        keys = stored.undelivered(number, most + 1) if stored and keeps_history(shape) else []
        if len(keys) > most:
            return False
        ask = partial(self.ask, shape, str(report.account_id), report=report)
        try:
            with ThreadPoolExecutor(self._options.workers, thread_name_prefix="boast-ask") as pool:
                index.add([record for record in pool.map(ask, keys) if record], number)
        except AuthenticationError:
            raise
        except (ApiError, ConfigurationError):  # an id that does not fit into a path
            return False
        return True

    def _unseen(self, account: str) -> str | None:
        """Return the message for an account that the token does not see; None if it sees it."""
        if self._seen is None:
            self._seen = [str(record["id"]) for record in self._client.accounts()]
        if account in self._seen:
            return None
        more = ", ..." if len(self._seen) > SHOWN else ""
        return f"the token sees no such account. It sees {', '.join(self._seen[:SHOWN]) or 'none'}{more}"

    def _read_recent(
        self,
        fetch: Callable[[int], Page],
        note: Callable[[Page], None],
        index: ListIndex,
        shape: Shape,
        report: ListReport,
        stored: StoredList | None,
    ) -> dict[int, Page]:
        """Read the list incrementally if configured and possible; otherwise return pages that a full pass can reuse."""
        how, account = self._options.incremental, report.account_id
        if how is None or account is None or report.began is None or shape.cursor is None:
            return {}
        state = self._options.states.get((account, shape.name))
        report.whole = incremental.why_whole(state, how, report.began)
        if report.whole or state is None or stored is None:
            report.whole = report.whole or "table altered or unreadable"
            return {}
        try:
            found = read_recent(
                fetch,
                lambda key: self.ask(shape, account, key, report),
                stored,
                state,
                cursor=shape.cursor,
                overlap=how.overlap,
                marks_gone=keeps_history(shape),
            )
        except UnfitError as error:
            report.whole = str(error)
            return error.pages
        except AuthenticationError:
            raise
        except (ApiError, ConfigurationError):  # a full pass will report it
            report.whole = "a request failed"
            return {}
        for page in found.pages:
            index.add(page.records, 1, page.size)
            note(page)
        report.passes, report.steadiness, report.gone = 1, "recent", found.gone
        report.newest = found.newest
        return {}

    def agrees(self, shape: Shape, report: ListReport) -> bool:
        """Make one more pass into the index; return whether it proves that undelivered records do not exist."""
        index, once_more = self._still.pop((shape.name, report.account_id), (None, None))
        if index is None or once_more is None:
            return report.steadiness == "exact"
        report.passes += 1
        try:
            report.steadiness = "exact" if once_more() else report.steadiness
        finally:
            index.flush()
        return report.steadiness == "exact"

    def ask(self, shape: Shape, account: str, key: str, report: ListReport) -> Record | None:
        """Return one record, or None if the API has no such record. Raises ApiError if the answer is unclear."""
        if (shape.name, account, key) in self._gone:
            return None
        try:
            record = self._client.record(path_of("accounts", account, shape.name, key), report.tally)
            return record | {"id": key}  # the answer may spell it in another case, which would make a second row
        except NotFoundError:
            self._gone.add((shape.name, account, key))
            return None


class Given:
    """Lists given records per account; nothing is read, and no request is made."""

    def __init__(self, answers: Mapping[str, Sequence[Record]]) -> None:
        self._answers = answers

    def read(self, listed: Listed, account: str | None, stored: StoredList | None = None) -> ListReport:
        del stored  # nothing is read, so nothing is compared with it on the way
        index = ListIndex(listed, account)
        index.add(list(self._answers.get(account or "", ())), 1)
        index.flush()
        return ListReport(account, listed.shape.name)
