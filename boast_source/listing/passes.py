"""One pass over a list: every page read once, pages concurrently, and the raw facts about them.

Source: `meta.pagination` of the API; the unknowns of its second part (order, page size, pages past the end).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from boast_source.errors import NotFoundError, PagingError, RefusedError, UnavailableError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor

    from boast_source.api import Page

IN_FLIGHT = 128 * 2**20  # bytes of answers that wait for their turn, assuming the largest size so far
BARREN_PAGES = 100  # pages in a row with nothing new after which the list goes in circles


@dataclass
class Pass:
    """Raw facts of one pass. `barren`: pages in a row without content that is new in this pass."""

    pages: int = 0
    rows: int = 0
    nameless: int = 0
    distinct: int = 0
    repeats: int = 0
    barren: int = 0
    count: int | None = None
    moved: bool = False
    gone: set[int] = field(default_factory=set)  # pages that are not found
    holes: set[int] = field(default_factory=set)  # those of them that a page with records follows

    @property
    def named(self) -> int | None:
        """The list's count less the records without an id."""
        return None if self.count is None else self.count - self.nameless

    @property
    def circles(self) -> bool:
        """Whether the list goes in circles. If as many records came as counted, only `pages` was too high."""
        repeats = self.repeats > 0 and self.repeats * 2 >= self.pages and self.distinct != self.named
        return self.barren >= BARREN_PAGES or repeats

    @property
    def drifted(self) -> bool:
        return self.moved or self.circles

    @property
    def counted(self) -> bool:
        """Whether all records that the list counts came while it held still, as far as the pages tell."""
        return not self.drifted and self.named in {None, self.distinct}

    def may_be_completed(self, ever: int | None) -> bool:
        """Whether one request per page, and some pages read again, can bring all records that there ever were."""
        if ever is None or self.circles or self.holes or self.nameless:
            return False
        return self.at_each_end(ever) <= max(self.pages // 4, 1)

    def at_each_end(self, ever: int | None) -> int:
        """Return how many pages the lacking records fill if they all came at one end of the list."""
        return max(-(-((ever or 0) - self.distinct) * self.pages // max(self.rows, 1)), 1)


def pages_of(fetch: Callable[[int], Page], pool: ThreadPoolExecutor, facts: Pass, *, window: int) -> Iterator[Page]:
    first = last = fetch(1)
    seen: set[int] = set()
    facts.count = first.count
    _note(first, facts, seen)
    yield first
    horizon, claimed, widest = first.pages or 1, first.pages or 1, max(first.size, 1)
    ahead: deque[tuple[int, Future[Page]]] = deque()
    number = 2
    most = _most(first)
    while facts.barren < BARREN_PAGES:
        if facts.pages > most[0] or facts.rows > most[1]:
            raise paging_error(
                f"The list does not end: {facts.rows:,} rows on {facts.pages:,} pages, and it counted"
                f" {facts.count} at first"
            )
        while number <= horizon and len(ahead) < min(window, max(IN_FLIGHT // widest, 1)):
            ahead.append((number, pool.submit(fetch, number)))
            number += 1
        if not ahead:
            if not _more_expected(first, last, facts):
                return
            horizon = number  # look one page beyond the announced last one
            continue
        at, future = ahead.popleft()
        page = _arrived(at, future, facts, beyond=at > claimed)
        if page is None or (at > claimed and _digest(page) in seen):  # past the end, or the last page again
            facts.barren += 1
            if page and page.records != last.records:
                yield page  # what it shows anew is the last that was seen
            continue
        widest = max(widest, page.size)
        facts.moved = facts.moved or page.count != facts.count
        horizon = claimed = max(claimed, page.pages or 0)
        horizon = max(horizon, at)
        if page.records:
            facts.holes |= facts.gone
            facts.gone.clear()
        _note(page, facts, seen)
        last = page
        yield page
    facts.moved = True
    for _, future in ahead:
        future.cancel()


def _arrived(at: int, future: Future[Page], facts: Pass, *, beyond: bool) -> Page | None:
    """Return a page, or None if it does not exist. Past the end, once all counted records came, it may fail, too."""
    try:
        return future.result()
    except NotFoundError:
        facts.moved = facts.moved or not beyond  # it became shorter; page 1 of the next pass shows if it is gone
        facts.gone.add(at)
    except (RefusedError, UnavailableError, UnreadableError):
        if not beyond or facts.rows < (facts.named or 0):
            raise
    return None


def _digest(page: Page) -> int:
    return hash(tuple([str(record.get("id")) for record in page.records]))


def _note(page: Page, facts: Pass, seen: set[int]) -> None:
    digest = _digest(page)
    facts.pages += 1
    facts.rows += len(page.records)
    facts.nameless += page.nameless
    if page.records and digest not in seen:
        facts.barren = 0
    else:
        facts.barren += 1
        facts.repeats += 1 if page.records else 0
    seen.add(digest)


def _more_expected(first: Page, last: Page, facts: Pass) -> bool:
    """Whether to look beyond the last page: it was neither empty nor a repetition, and the number of pages is unknown,
    fewer records came than counted, or it is as full as the first (a server may stop counting at its own bound).
    """
    if facts.barren or not (first.paginated or first.pages):
        return False
    full = last is not first and len(last.records) + last.nameless >= len(first.records) + first.nameless
    return first.pages is None or facts.rows < (facts.named or 0) or full


def _most(first: Page) -> tuple[float, float]:
    """Return how many pages and rows a pass may have: twice what the first page says. No list grows that fast."""
    pages = float("inf") if first.pages is None else 2 * first.pages + BARREN_PAGES
    rows = float("inf") if first.count is None else 2 * first.count + BARREN_PAGES * max(len(first.records), 1)
    return pages, rows


def paging_error(what: str) -> PagingError:
    return PagingError(
        what,
        hint="The API's paging is broken for this list; no row was marked missing. Try again later or ask Boast.",
        method="GET",
        path="",
    )
