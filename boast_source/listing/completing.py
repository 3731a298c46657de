"""Completes a pass in which the list moved, more cheaply than another pass.

A list that moves while it is read hides some records from a pass and shows others twice. Missed records are looked for
where they can be: both ends of the list, where new records arrive, are read again, and records that the warehouse knows
are requested one by one. The pass is complete if as many distinct records came as there ever were: the list's first
count plus every rise of it since. If a record that left is not among them, the pass is not complete, and nothing is
concluded from the record's absence.

As for a pass that held still, a list is taken to be unchanged between two answers with the same count.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from boast_source.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from boast_source.api import Page

    Fetch = Callable[[int], Page]
    Ask = Callable[[int, int], bool]  # (pass, limit): requests what the pass lacks; False if it could not


class Counts:
    """The list's count, recorded from every answer. Thread-safe."""

    def __init__(self) -> None:
        self._told: list[tuple[float, int]] = []  # (first seen, by time.monotonic; count)
        self._ever: int | None = 0
        self._lock = threading.Lock()

    @property
    def ever(self) -> int | None:
        """How many records there were at first plus those added since; None if an answer had no count."""
        return self._ever if self._told else None

    def of(self, fetch: Fetch) -> Fetch:
        """Wrap `fetch` so that the counts of its answers are recorded."""

        def counted(number: int) -> Page:
            sent = time.monotonic()
            page = fetch(number)
            self._take(page.count, sent)
            return page

        return counted

    def _take(self, count: int | None, sent: float) -> None:
        with self._lock:
            if count is None or self._ever is None:
                self._ever = None
                return
            for since, known in reversed(self._told):
                if known == count:  # the count was this at some moment of the request
                    return
                if since <= sent:
                    break
            self._ever += max(count - self._told[-1][1], 0) if self._told else count
            self._told.append((time.monotonic(), count))


def read_ends(fetch: Fetch, many: int) -> list[Page]:
    """Read `many` pages from each end of the list; return none if the list becomes shorter meanwhile."""
    first = fetch(1)
    last = first.pages or 1
    try:
        front = [first, *(fetch(at) for at in range(2, min(many, last) + 1))]
        return front + [fetch(at) for at in range(max(last - many, many) + 1, last + 1)]
    except NotFoundError:
        return []
