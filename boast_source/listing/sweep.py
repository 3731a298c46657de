"""A consistent listing of one list of the API, although the list has no filter, no order and changes meanwhile.

A *pass* reads every page once, the pages concurrently. Raw page facts say whether the list moved while it was read;
then the pass is completed (completing.py) or the list passed over again, a bounded number of times. All that any pass
delivers is kept; what one pass hides, another shows. No fact about a single pass proves absence: only two passes in a
row with the same content do.

Source: `meta.pagination` of the API; the unknowns of its second part (order, page size, pages past the end).
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from boast_source.errors import NotFoundError, PagingError
from boast_source.listing.completing import Counts, read_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from boast_source.api import Page
    from boast_source.listing.completing import Ask
    from boast_source.shapes import Record

Steadiness = Literal["exact", "covered", "recent", "moving"]

MAX_PASSES = 4  # without --prove: a list that never holds still is `moving`, no failure
MAX_PASSES_TO_PROVE = 8
BARREN_PAGES = 100  # so many pages in a row with no new record, and the listing goes in circles


class Index(Protocol):
    """Where a sweep puts what it reads. Passes are numbered from 1.

    `distinct` ids and contents that are the `same_as_before` are of the pages of a pass; `total` ids of what completes
    it, too.
    """

    def add(self, records: list[Record], number: int, size: int = 0) -> None: ...
    def distinct(self, number: int) -> int: ...
    def total(self, number: int) -> int: ...
    def same_as_before(self, number: int) -> bool: ...


@dataclass(frozen=True)
class Sweep:
    """How a listing went: passes made, pages read, and how sure it is.

    `exact`: two passes in a row delivered the same records, as many as the list counted all the while; `covered`: one
    pass in which nothing moved or that was `completed`, or passes that agree and found more than was counted; `moving`:
    the list did not hold still within the bound, or it counts more than it delivers: `short` records more. `nameless`:
    records without an id, which can be compared with nothing and are left out.
    """

    passes: int
    pages: int
    steadiness: Steadiness
    short: int = 0
    nameless: int = 0
    completed: bool = False


@dataclass
class _Pass:
    """Raw facts of one pass. `barren` counts pages in a row without a page content not seen before in this pass."""

    pages: int = 0
    rows: int = 0
    nameless: int = 0
    distinct: int = 0
    repeats: int = 0
    barren: int = 0
    count: int | None = None
    moved: bool = False
    gone: set[int] = field(default_factory=set)  # pages that are not found
    holes: set[int] = field(default_factory=set)  # those of them that have a page with records behind them

    @property
    def named(self) -> int | None:
        """How many records with an id the list counts."""
        return None if self.count is None else self.count - self.nameless

    @property
    def circles(self) -> bool:
        """Whether pages repeat that should not: with as many records as counted, `pages` only said too much."""
        repeats = self.repeats > 0 and self.repeats * 2 >= self.pages and self.distinct != self.named
        return self.barren >= BARREN_PAGES or repeats

    @property
    def drifted(self) -> bool:
        return self.moved or self.circles

    @property
    def counted(self) -> bool:
        """Whether all that the list counts came while it held still, as far as the pages tell."""
        return not self.drifted and self.named in {None, self.distinct}

    def may_be_completed(self, ever: int | None) -> bool:
        """Whether a question for each page and some pages again can bring all records that there ever were."""
        if ever is None or self.circles or self.holes or self.nameless:
            return False
        return self.at_each_end(ever) <= max(self.pages // 4, 1)

    def at_each_end(self, ever: int | None) -> int:
        """On how many pages what is lacking stands, if it all came at one end of the list."""
        return max(-(-((ever or 0) - self.distinct) * self.pages // max(self.rows, 1)), 1)


def sweep(
    fetch: Callable[[int], Page],
    index: Index,
    *,
    workers: int,
    prove: bool = False,
    on_page: Callable[[Page], None] | None = None,
    ask: Ask | None = None,
) -> Sweep:
    """Read the whole list into `index`; each page through `fetch(number)`, `workers` at a time.

    `ask` puts stored records that a pass did not deliver into the index, as part of that pass; with it a pass in which
    the list moved may be completed.

    Raises what `fetch` raises for the first page (NotFoundError: no such account), and PagingError when in two passes
    in a row the list goes in circles or lacks a page before its last, or when it has more than twice what it says at
    first.
    """
    bound = MAX_PASSES_TO_PROVE if prove else MAX_PASSES
    result, before, agreed = Sweep(0, 0, "moving"), _Pass(), False
    pool = ThreadPoolExecutor(workers, thread_name_prefix="boast-sweep")

    def take(page: Page, number: int) -> None:
        index.add(page.records, number, page.size)
        if on_page:
            on_page(page)

    try:
        for number in range(1, bound + 1):
            facts, counts = _Pass(), Counts()
            read = counts.of(fetch)
            for page in _pages(read, pool, facts, window=workers * 4):
                take(page, number)
            facts.distinct = index.distinct(number)
            _refuse_broken(facts, before)
            result = replace(result, passes=number, pages=result.pages + facts.pages, nameless=facts.nameless)
            still = number > 1 and not facts.drifted and not before.drifted
            agreed_before, agreed = agreed, still and index.same_as_before(number)
            if agreed and (agreed_before or not prove or (facts.counted and before.counted)):
                return replace(result, **_agreed(facts, before))
            if not prove and facts.counted and facts.distinct == facts.rows:
                return replace(result, steadiness="covered")
            if ask and not prove and facts.may_be_completed(counts.ever):
                for page in read_ends(read, facts.at_each_end(counts.ever)):
                    take(page, number)
                # once more, for the count: a record that was asked for may have come back only now
                if ask(number, facts.pages) and read(1).count is not None and index.total(number) == counts.ever:
                    return replace(result, steadiness="covered", completed=True)
            before = facts
        return result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # whoever stops does not wait for what is in flight


def agrees(
    fetch: Callable[[int], Page],
    index: Index,
    before: Sweep,
    workers: int,
    on_page: Callable[[Page], None],
) -> bool:
    """Make one more pass after one in which nothing moved, and return whether the two prove what is absent.

    Raises what `fetch` raises for the first page, and PagingError when the list does not end.
    """
    number, facts = before.passes + 1, _Pass()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="boast-sweep")
    try:
        for page in _pages(fetch, pool, facts, window=workers * 4):
            index.add(page.records, number, page.size)
            on_page(page)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    same = index.same_as_before(number)
    return same and not facts.moved and facts.named in {None, index.distinct(number)}


def _agreed(facts: _Pass, before: _Pass) -> dict[str, Any]:
    """How sure two passes are that held still and delivered the same."""
    if facts.counted and before.counted:  # one row that leaves and comes back can hide another from two passes alike
        return {"steadiness": "exact"}
    short = max((facts.named or 0) - facts.distinct, 0)
    return {"steadiness": "moving" if short else "covered", "short": short}


def _refuse_broken(facts: _Pass, before: _Pass) -> None:
    if facts.circles and before.circles:
        raise _paging_error(
            f"The list goes in circles: {facts.repeats} of {facts.pages} pages repeat earlier ones"
            f" or {facts.barren} pages in a row brought nothing"
        )
    if holes := facts.holes & before.holes:
        raise _paging_error(f"Page {min(holes)} of the list is not found, and there are pages after it")


def _pages(fetch: Callable[[int], Page], pool: ThreadPoolExecutor, facts: _Pass, *, window: int) -> Iterator[Page]:
    first = fetch(1)
    seen: set[int] = set()
    facts.count = first.count
    _note(first, facts, seen)
    yield first
    horizon = claimed = first.pages or 1
    ahead: deque[tuple[int, Future[Page]]] = deque()
    number = 2
    most = _most(first)
    while facts.barren < BARREN_PAGES:
        if facts.pages > most[0] or facts.rows > most[1]:
            raise _paging_error(
                f"The list does not end: {facts.rows:,} rows on {facts.pages:,} pages, and it counted"
                f" {facts.count} at first"
            )
        while number <= horizon and len(ahead) < window:
            ahead.append((number, pool.submit(fetch, number)))
            number += 1
        if not ahead:
            if not _more_expected(first, facts):
                return
            horizon = number  # the pages end, yet the count says there is more: look one further
            continue
        at, future = ahead.popleft()
        try:
            page = future.result()
        except NotFoundError:
            # past the end: the list became shorter (page 1 of the next pass tells if it is gone)
            facts.moved = facts.moved or at <= claimed
            facts.gone.add(at)
            facts.barren += 1
            continue
        facts.moved = facts.moved or page.count != facts.count
        horizon = claimed = max(claimed, page.pages or 0)
        horizon = max(horizon, at)
        if page.records:
            facts.holes |= facts.gone
            facts.gone.clear()
        _note(page, facts, seen, asked_beyond=at > claimed)
        yield page
    facts.moved = True
    for _, future in ahead:
        future.cancel()


def _note(page: Page, facts: _Pass, seen: set[int], *, asked_beyond: bool = False) -> None:
    digest = hash(tuple(str(record.get("id")) for record in page.records))
    facts.pages += 1
    facts.rows += len(page.records)
    facts.nameless += page.nameless
    if page.records and digest not in seen:
        facts.barren = 0
    else:
        facts.barren += 1
        facts.repeats += 1 if page.records and not asked_beyond else 0
    seen.add(digest)


def _more_expected(first: Page, facts: _Pass) -> bool:
    """The last page read was neither empty nor a repetition, and nobody said how many there are, or fewer came."""
    if facts.barren or not (first.paginated or first.pages):
        return False
    return first.pages is None or facts.rows < (facts.named or 0)


def _most(first: Page) -> tuple[float, float]:
    """Return how many pages and rows a pass may have: twice what the first page says. No list grows as fast."""
    pages = float("inf") if first.pages is None else 2 * first.pages + BARREN_PAGES
    rows = float("inf") if first.count is None else 2 * first.count + BARREN_PAGES * max(len(first.records), 1)
    return pages, rows


def _paging_error(what: str) -> PagingError:
    return PagingError(
        what,
        hint="The API's paging is broken for this list; nothing was changed. Try again later or ask Boast.",
        method="GET",
        path="",
    )
