"""An incremental pass: read a list from its newest end until everything that comes is old and known.

It relies on an order that a full listing has observed (order.py) and decides on raw page facts. Pages are read one
after another away from the newest end, so that a record that moves there shows as a repetition on the next page. The
pass holds only if

- every page is sorted, no id comes twice, and neither count nor pages change;
- the newest cursor value is not older than that of the last good listing;
- on the last page every record is stored unchanged, and its newest cursor is older than the last good listing's less an
  overlap, which is for records that become visible late;
- everything newer in the warehouse was delivered, or is gone (404);
- the newest page is still the same at the end, where that is all news or a list has no requests by id;
- the warehouse holds as many records as the API counts.

Otherwise it raises UnfitError, and the list is read whole.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from boast_source.errors import NotFoundError
from boast_source.listing.gone import Leaf, NotFoundHereError, Search
from boast_source.listing.order import ListState, is_sorted, moment_of, moments

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime, timedelta

    from boast_source.api import Page
    from boast_source.listing.stored import Rest, StoredList
    from boast_source.shapes import Record

ATTEMPTS = 3  # for a list that moves while it is read
FEW_PAGES = 3  # a list this short is read whole: that is as cheap, and surer
LEAST_READ, SHARE_READ = 10, 0.25  # pages, share of pages: beyond both a full pass is as good
MOST_ASKED = 25  # undelivered stored records that are requested one by one


class UnfitError(Exception):
    """The pass does not hold; the text says why. `pages`: what it read, for the full pass, if the list stood still."""

    def __init__(self, reason: str, pages: Collection[Page] = ()) -> None:
        super().__init__(reason)
        self.pages = {page.number: page for page in pages}


class _MovedError(Exception):
    """The list moved while it was read."""


@dataclass(frozen=True)
class Recent:
    """A pass that held. `gone`: stored ids that the API no longer has; `count`: records in all, as the API counts;
    `newest`: the newest cursor value.
    """

    pages: list[Page]
    gone: list[str]
    count: int
    newest: datetime


@dataclass
class _Read:
    """What one attempt has read, page by page away from the newest end."""

    backwards: bool  # pages are read from the last to the first
    pages: list[Page] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    lowest: int | None = None  # cursor, in microseconds since 1970
    newest: datetime | None = None

    def take(self, page: Page, cursors: list[int], state: ListState) -> None:
        first = self.pages[0] if self.pages else page
        ids = [str(record["id"]) for record in page.records]
        if (page.count, page.pages) != (first.count, first.pages) or len({*ids} - self.ids) < len(ids):
            raise _MovedError
        whole = cursors
        if self.lowest is not None:  # nothing here may be newer than the page read before
            whole = [*cursors, self.lowest] if self.backwards else [self.lowest, *cursors]
        assert state.order
        if not is_sorted(whole, state.order):
            raise UnfitError("no longer sorted by its cursor", self.pages)
        self.ids.update(ids)
        self.lowest = min(cursors)
        self.pages.append(page)


def read_recent(
    fetch: Callable[[int], Page],
    ask: Callable[[str], Record | None],
    stored: StoredList,
    state: ListState,
    *,
    cursor: str,
    overlap: timedelta,
    marks_gone: bool,
) -> Recent:
    """Read what is new; `fetch(number)` returns a page, `ask(id)` a record or None if it is gone.

    `marks_gone`: rows that are gone leave the warehouse's count, as with enrollments; in other lists they stay, and no
    record is asked for.

    Raises UnfitError, and what `fetch` and `ask` raise.
    """
    floor = state.floor(overlap)
    if state.order is None or floor is None or state.newest is None:
        raise UnfitError("order not known")

    def attempt() -> Recent | None:
        with contextlib.suppress(_MovedError):
            read = _away_from_the_news(fetch, stored, state, cursor, floor)
            return _held(read, fetch, ask, stored, cursor=cursor, marks_gone=marks_gone)
        return None

    try:
        found = next(filter(None, (attempt() for _ in range(ATTEMPTS))), None)
    except NotFoundError:
        raise UnfitError("a page is gone") from None
    if found is None:
        raise UnfitError("it kept changing while it was read")
    return found


def _away_from_the_news(
    fetch: Callable[[int], Page], stored: StoredList, state: ListState, cursor: str, floor: datetime
) -> _Read:
    read = _Read(backwards=state.order == "oldest_first")
    page = _last(fetch, state.pages or 1) if read.backwards else fetch(1)
    while True:
        if not page.records or page.count is None or page.pages is None:
            raise UnfitError("a page is empty or does not say how many there are", read.pages)
        cursors = _cursors(page, cursor)
        read.take(page, cursors, state)
        newest = moment_of(max(cursors))
        read.newest = read.newest or newest
        if read.newest is None or (state.newest and read.newest < state.newest):
            raise UnfitError("newest record older than before", read.pages)
        if newest and newest < floor and _all_known(stored, page.records):
            return read
        number = page.number - 1 if read.backwards else page.number + 1
        if not 1 <= number <= page.pages or len(read.pages) >= max(LEAST_READ, SHARE_READ * page.pages):
            raise UnfitError("too much is new", read.pages)
        page = fetch(number)


def _last(fetch: Callable[[int], Page], guess: int) -> Page:
    """Return the last page; `guess`: its number in the last listing."""
    try:
        page = fetch(guess)
    except NotFoundError:
        page = fetch(1)
    if not page.records and page.number > 1:
        page = fetch(1)
    if page.pages and page.pages != page.number:
        page = fetch(page.pages)
        if page.pages != page.number:
            raise _MovedError
    return page


def _cursors(page: Page, cursor: str) -> list[int]:
    try:
        texts = pa.array([record.get(cursor) for record in page.records], pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        texts = pa.nulls(1, pa.string())
    values = moments(texts)
    if values is None:
        raise UnfitError(f"a record without a time in {cursor}")
    found: list[int] = values.to_pylist()
    return found


def _all_known(stored: StoredList, records: list[Record]) -> bool:
    known = stored.equal(records)
    return all(known.get(str(record["id"])) for record in records)


def _held(
    read: _Read,
    fetch: Callable[[int], Page],
    ask: Callable[[str], Record | None],
    stored: StoredList,
    *,
    cursor: str,
    marks_gone: bool,
) -> Recent:
    lowest = moment_of(read.lowest or 0)
    if lowest is None or read.newest is None:
        raise UnfitError("a cursor value out of range", read.pages)
    undelivered = stored.above(lowest) - read.ids
    if len(undelivered) > MOST_ASKED:
        raise UnfitError("much of what was new before is gone", read.pages)
    first = read.pages[0]
    # only enrollments can be requested by id; another record that moved is on the newest page now. And where that page
    # is all news, a record that left it may have pulled a change from the next page onto it.
    again = not any(stored.equal(first.records).values()) or (undelivered and not marks_gone)
    if again and fetch(first.number) != first:
        raise _MovedError
    if marks_gone and any(ask(key) is not None for key in sorted(undelivered)):
        raise _MovedError
    gone = sorted(undelivered) if marks_gone else []
    records: list[dict[str, Any]] = [record for page in read.pages for record in page.records]
    new = read.ids - stored.equal(records).keys()
    expected, count = stored.count() - len(gone) + len(new), first.count or 0
    if marks_gone and 0 < expected - count <= MOST_ASKED:
        gone += _gone(read, fetch, ask, stored.rest(read.ids | {*gone}), cursor, expected - count)
    elif expected != count:
        raise UnfitError(f"the API counts {count:,} records where the warehouse has {expected:,}", read.pages)
    return Recent(read.pages, gone, count, read.newest)


def _gone(
    read: _Read,
    fetch: Callable[[int], Page],
    ask: Callable[[str], Record | None],
    rest: Rest | None,
    cursor: str,
    how_many: int,
) -> list[str]:
    """Find the gone rows that are older than what was read; raises UnfitError if a full pass costs less."""
    first = read.pages[0]
    count, pages, last = first.count or 0, first.pages or 1, read.pages[-1]
    left = int(max(LEAST_READ, SHARE_READ * pages)) - how_many
    if rest is None:
        raise UnfitError("the warehouse has records without a cursor", read.pages)

    def leaf_of(page: Page) -> Leaf:
        ids, cursors = [str(record["id"]) for record in page.records], _cursors(page, cursor)
        return Leaf(ids[::-1], cursors[::-1]) if read.backwards else Leaf(ids, cursors)

    def leaf(at: int) -> Leaf:
        nonlocal left
        left -= 1
        if left < 0:
            raise NotFoundHereError("they are too far apart")
        page = fetch(pages - at if read.backwards else at + 1)
        if (page.count, page.pages) != (count, pages) or not page.records:
            raise _MovedError
        found = leaf_of(page)
        if not is_sorted(found.cursors, "newest_first"):
            raise NotFoundHereError("no longer sorted by its cursor")
        return found

    search = Search(
        leaf,
        lambda key: ask(key) is not None,
        rest,
        read=len(read.ids),
        pages_read=len(read.pages),
        count=count,
        pages=pages,
        newest_first=not read.backwards,
        size=(count - len(first.records)) // (pages - 1) if read.backwards else len(first.records),
        last=leaf_of(last),
    )
    try:
        return search.gone(how_many)
    except NotFoundHereError as error:
        raise UnfitError(f"{how_many:,} records are gone, and {error}", read.pages) from None
