"""Completes a pass in which the list moved, for less than another pass.

What moves while a list is read hides records from a pass and shows others twice. All that the pass can have missed is
looked for where it can be: the two ends of the list, where new records come, are read again, and records that the
warehouse knows are asked for one by one. Then it is complete if as many distinct records came as there ever were: those
that the list counted at first, and each by which its count has risen since. A record that left is among them or the
pass is not complete, so nothing is concluded from its absence.

Like a pass that held still it takes a count that stands still between two answers for a list that did.
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
    Ask = Callable[[int, int], bool]  # (pass, at most so many): asks for what the pass lacks; False: that is too much


class Counts:
    """The list's count, answer by answer. Safe for any number of threads."""

    def __init__(self) -> None:
        self._told: list[tuple[float, int]] = []  # since when (time.monotonic) it counts how many
        self._ever: int | None = 0
        self._lock = threading.Lock()

    @property
    def ever(self) -> int | None:
        """How many records there were at first and came since; None where an answer did not say."""
        return self._ever if self._told else None

    def of(self, fetch: Fetch) -> Fetch:
        """The same, and the counts of its answers are taken down."""

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
                if known == count:  # it was so while the request was under way
                    return
                if since <= sent:
                    break
            self._ever += max(count - self._told[-1][1], 0) if self._told else count
            self._told.append((time.monotonic(), count))


def read_ends(fetch: Fetch, many: int) -> list[Page]:
    """So many pages from the front and from the end; none where the list becomes shorter meanwhile."""
    first = fetch(1)
    last = first.pages or 1
    try:
        front = [first, *(fetch(at) for at in range(2, min(many, last) + 1))]
        return front + [fetch(at) for at in range(max(last - many, many) + 1, last + 1)]
    except NotFoundError:
        return []
