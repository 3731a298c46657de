"""Finds rows that are gone from a list with a known order, by bisection.

If the warehouse has a few rows more than the API counts, each gone row shifts the ranks of all older ones: a page in
the middle tells how many are gone before it. If two adjacent pages disagree, a gone row lies between them. The
warehouse names it, and a request to the API (404) confirms it. That takes about log2(pages) requests per row.

Ranks and pages are counted from the newest end of the list.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from boast_source.listing.stored import Rest


class NotFoundHereError(Exception):
    """The gone rows cannot be found by bisection; the text says why."""


@dataclass(frozen=True)
class Leaf:
    """A page: its ids and cursors, newest first."""

    ids: list[str]
    cursors: list[int]


@dataclass(frozen=True)
class _Mark:
    """A place in the list: `cursor` is on page `at`, and `gone` of the rows newer than it are gone."""

    at: int
    cursor: int | None
    gone: int


@dataclass
class Search:
    """The search below what was read: `read` records on `pages_read` pages, of `count` on `pages` pages in all.

    `leaf(page)` returns a page by its place from the newest end, `ask(id)` whether a record exists; `rows`: those of
    the warehouse that the pass has not read.
    """

    leaf: Callable[[int], Leaf]
    ask: Callable[[str], bool]
    rows: Rest
    read: int
    pages_read: int
    count: int
    pages: int
    newest_first: bool
    size: int
    last: Leaf  # the last page that was read
    _leaves: dict[int, Leaf] = field(default_factory=dict)

    def gone(self, how_many: int) -> list[str]:
        """Return the ids of `how_many` gone rows. Raises NotFoundHereError, and what `leaf` and `ask` raise."""
        self._leaves[self.pages_read - 1] = self.last
        found = self._between(_Mark(self.pages_read - 1, None, 0), _Mark(self.pages, None, how_many))
        if any(self.ask(key) for key in found):
            raise NotFoundHereError("a stored record is not where its cursor puts it")
        return found

    def _between(self, newer: _Mark, older: _Mark) -> list[str]:
        if newer.gone == older.gone:
            return []
        if older.at - newer.at > 1:
            middle = self._mark((newer.at + older.at) // 2)
            if not newer.gone <= middle.gone <= older.gone:
                raise NotFoundHereError("its ranks do not fit")
            return self._between(newer, middle) + self._between(middle, older)
        there = {key for at in (newer.at, older.at) if at in self._leaves for key in self._leaves[at].ids}
        found = sorted(self.rows.between(older.cursor, newer.cursor) - there)
        if len(found) != older.gone - newer.gone:
            raise NotFoundHereError("its ranks do not fit")
        return found

    def _mark(self, at: int) -> _Mark:
        """Read a page, and count the gone rows among those newer than one of its records."""
        leaf = self._leaves[at] = self.leaf(at)
        place = next((n for n in range(1, len(leaf.cursors)) if leaf.cursors[n] < leaf.cursors[n - 1]), None)
        if place is None:
            raise NotFoundHereError("a whole page has one and the same cursor")
        cursor = leaf.cursors[place]
        newer = self._first_rank(at) + place - self.read
        older = self.rows.cursors
        return _Mark(at, cursor, len(older) - bisect_right(older, cursor) - newer)

    def _first_rank(self, at: int) -> int:
        """Return the rank of a page's newest record."""
        return at * self.size if self.newest_first else self.count - (self.pages - at) * self.size
