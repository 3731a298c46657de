"""An incremental pass: read a list from the end where news is, until all that comes is old and known.

It rests on an order that a full listing has observed (order.py) and decides on raw page facts. Pages are read one after
the other away from the news, so that a record which moves to the news shows as a repetition on the next page. The pass
holds only if

- every page is sorted, no id comes twice, and count and pages stand still;
- the news begins where it ended before: the newest cursor value is not older than that of the last good listing;
- on the last page every record is stored as it is, and its newest cursor lies below the last good listing's less an
  overlap, which is for records that become visible late;
- what the warehouse has above that place was delivered, or is gone (404);
- the warehouse holds as many as the API counts.

Whatever does not fit is an UnfitError; the list is then read whole.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from boast_source.errors import NotFoundError
from boast_source.listing.order import is_sorted, moment_of, moments

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime, timedelta

    from boast_source.api import Page
    from boast_source.listing.order import ListState
    from boast_source.shapes import Record

ATTEMPTS = 3  # at a list that moves while it is read
FEW_PAGES = 3  # a list of no more is read whole: that is as cheap, and surer
LEAST_READ, SHARE_READ = 10, 0.25  # more pages than both, and a full pass is as good
MOST_ASKED = 25  # stored records that should have come and are asked for one by one


class UnfitError(Exception):
    """The pass does not hold; the text says why. `pages`: what it read, for the full pass, if the list stood still."""

    def __init__(self, reason: str, pages: Collection[Page] = ()) -> None:
        super().__init__(reason)
        self.pages = {page.number: page for page in pages}


class _MovedError(Exception):
    """The list moved while it was read."""


class Stored(Protocol):
    """What the warehouse holds of the list; rows that are marked missing do not count."""

    def count(self) -> int:
        """How many rows it holds."""
        ...

    def equal(self, records: list[Record]) -> dict[str, bool]:
        """Of these records the ids that are stored, and whether with the same content."""
        ...

    def above(self, moment: datetime) -> set[str]:
        """The ids of the rows whose cursor is later."""
        ...


@dataclass(frozen=True)
class Recent:
    """A pass that held. `gone`: stored ids that the API no longer has; `count`: records in all, as the API counts."""

    pages: list[Page]
    gone: list[str]
    count: int


@dataclass
class _Read:
    """What one attempt has read, page by page away from the news."""

    backwards: bool  # in the list's order: from its end
    pages: list[Page] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    lowest: int | None = None  # cursor, in microseconds since 1970

    def take(self, page: Page, cursors: list[int], state: ListState) -> None:
        first = self.pages[0] if self.pages else page
        ids = [str(record["id"]) for record in page.records]
        if (page.count, page.pages) != (first.count, first.pages) or len({*ids} - self.ids) < len(ids):
            raise _MovedError
        whole = cursors
        if self.lowest is not None:  # the page before begins, or ends, where this one must not reach
            whole = [*cursors, self.lowest] if self.backwards else [self.lowest, *cursors]
        assert state.order
        if not is_sorted(whole, state.order):
            raise UnfitError("it is no longer sorted by its cursor", self.pages)
        self.ids.update(ids)
        self.lowest = min(cursors)
        self.pages.append(page)


def read_recent(
    fetch: Callable[[int], Page],
    ask: Callable[[str], Record | None],
    stored: Stored,
    state: ListState,
    *,
    cursor: str,
    overlap: timedelta,
    marks_gone: bool,
) -> Recent:
    """Read what is new; `fetch(number)` gives a page, `ask(id)` a record or None where it is gone.

    `marks_gone`: rows that are gone leave the warehouse's count, as with enrollments; of other lists they stay.

    Raises UnfitError, and what `fetch` and `ask` raise.
    """
    floor = state.floor(overlap)
    if state.order is None or floor is None or state.newest is None:
        raise UnfitError("its order is not known")

    def attempt() -> Recent | None:
        with contextlib.suppress(_MovedError):
            return _held(_away_from_the_news(fetch, stored, state, cursor, floor), ask, stored, marks_gone=marks_gone)
        return None

    try:
        found = next(filter(None, (attempt() for _ in range(ATTEMPTS))), None)
    except NotFoundError:
        raise UnfitError("a page of it is gone") from None
    if found is None:
        raise UnfitError("it kept changing while it was read")
    return found


def _away_from_the_news(
    fetch: Callable[[int], Page], stored: Stored, state: ListState, cursor: str, floor: datetime
) -> _Read:
    read = _Read(backwards=state.order == "oldest_first")
    page = _last(fetch, state.pages or 1) if read.backwards else fetch(1)
    while True:
        if not page.records or page.count is None or page.pages is None:
            raise UnfitError("a page of it is empty or does not say how many there are", read.pages)
        cursors = _cursors(page, cursor)
        read.take(page, cursors, state)
        newest = moment_of(max(cursors))
        if len(read.pages) == 1 and (newest is None or (state.newest and newest < state.newest)):
            raise UnfitError("its newest record is older than before", read.pages)
        if newest and newest < floor and _all_known(stored, page.records):
            return read
        number = page.number - 1 if read.backwards else page.number + 1
        if not 1 <= number <= page.pages or len(read.pages) >= max(LEAST_READ, SHARE_READ * page.pages):
            raise UnfitError("too much of it is new", read.pages)
        page = fetch(number)


def _last(fetch: Callable[[int], Page], guess: int) -> Page:
    """The last page, which may be another than it was."""
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
        raise UnfitError(f"a record of it has no {cursor} that is a time")
    found: list[int] = values.to_pylist()
    return found


def _all_known(stored: Stored, records: list[Record]) -> bool:
    known = stored.equal(records)
    return all(known.get(str(record["id"])) for record in records)


def _held(read: _Read, ask: Callable[[str], Record | None], stored: Stored, *, marks_gone: bool) -> Recent:
    lowest = moment_of(read.lowest or 0)
    if lowest is None:
        raise UnfitError("a cursor value of it is out of range", read.pages)
    undelivered = stored.above(lowest) - read.ids
    if len(undelivered) > MOST_ASKED:
        raise UnfitError("much of what was new before is not there any more", read.pages)
    if any(ask(key) is not None for key in sorted(undelivered)):
        raise _MovedError
    gone = sorted(undelivered) if marks_gone else []
    records: list[dict[str, Any]] = [record for page in read.pages for record in page.records]
    new = read.ids - stored.equal(records).keys()
    expected, count = stored.count() - len(gone) + len(new), read.pages[0].count or 0
    if expected != count:
        raise UnfitError(f"the API counts {count:,} records where the warehouse has {expected:,}", read.pages)
    return Recent(read.pages, gone, count)
