"""One pace for all threads of a client: they slow down together and recover together."""

from __future__ import annotations

import random
import re
import threading
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST_PAUSE = 300.0  # seconds that a server may ask for; more ends the request
_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)


class ClosedError(Exception):
    """The client was closed while the request waited."""


class LateError(Exception):
    """The moment by which the request had to be sent has passed."""


class Pace:
    """At most `max_concurrency` requests at once, fewer after a 429; one pause for everybody.

    `first_wait` and `longest_wait` (seconds) bound the pause after a 429 that does not say how long.
    """

    def __init__(
        self,
        max_concurrency: int,
        max_requests_per_second: float | None = None,
        *,
        first_wait: float = 0.5,
        longest_wait: float = 30.0,
    ) -> None:
        self._most = float(max_concurrency)
        self._limit = float(max_concurrency)
        self._spacing = 1 / max_requests_per_second if max_requests_per_second else 0.0
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._change = threading.Condition()
        self._in_flight = 0
        self._resume_at = 0.0
        self._next_start = 0.0
        self._slowed_at = 0.0
        self._streak = 0
        self._closed = False
        self.passed = 0  # requests that were not told to slow down

    @property
    def concurrency(self) -> int:
        """Requests allowed at once now."""
        return max(1, int(self._limit))

    @contextmanager
    def slot(self, until: float | None = None) -> Iterator[float]:
        """Wait for leave to send one request; yields the moment it began.

        Raises ClosedError, and LateError when `until` (of `time.monotonic`) comes first.
        """
        with self._change:
            if until is not None and time.monotonic() > until:
                raise LateError
            while (wait := self._wait()) > 0:
                if until is not None and time.monotonic() + wait > until and self._in_flight < self.concurrency:
                    raise LateError
                self._change.wait(wait if until is None else max(0.0, min(wait, until - time.monotonic())))
                if until is not None and time.monotonic() > until:
                    raise LateError
            now = time.monotonic()
            self._next_start = max(now, self._next_start) + self._spacing
            self._in_flight += 1
        try:
            yield now
        finally:
            with self._change:
                self._in_flight -= 1
                self._change.notify_all()

    def _wait(self) -> float:
        if self._closed:
            raise ClosedError
        now = time.monotonic()
        if self._in_flight >= self.concurrency:
            return 60.0  # whoever ends wakes the others
        return max(self._resume_at - now, self._next_start - now, 0.0)

    def went_well(self) -> None:
        """A request got through: one more at once after some forty of them."""
        with self._change:
            self.passed += 1
            self._streak = 0
            if self._limit < self._most:
                self._limit = min(self._most, self._limit + 0.1 / self._limit)
                self._change.notify_all()

    def slow_down(self, began: float, wait: float | None) -> None:
        """The server asked for less: half the concurrency, and nobody sends for `wait` seconds.

        Answers to requests that began before the last slowing (`began`) are the same incident and halve nothing.
        Without `wait` (or with 0) the pause doubles with every incident in a row, with jitter.
        """
        with self._change:
            if began >= self._slowed_at:
                self._slowed_at = time.monotonic()
                self._limit = max(1.0, self._limit / 2)
                self._streak += 1
            if not wait:
                longest = min(self._longest_wait, self._first_wait * 2.0 ** min(self._streak - 1, 30))
                wait = longest * random.uniform(0.5, 1.0)  # noqa: S311 (jitter, not cryptography)
            self._resume_at = max(self._resume_at, time.monotonic() + wait)

    def sleep(self, seconds: float) -> None:
        """Wait, unless the client is closed meanwhile. Raises ClosedError."""
        until = time.monotonic() + seconds
        with self._change:
            while (left := until - time.monotonic()) > 0 and not self._closed:
                self._change.wait(left)
            if self._closed:
                raise ClosedError

    def close(self) -> None:
        """Wake everybody who waits; nothing is sent any more."""
        with self._change:
            self._closed = True
            self._change.notify_all()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the answer asks to wait; None when it does not say, or nothing that can be read.

    A date is compared with the answer's own `date`, because the server's clock is not ours.
    """
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value[:12])
    until = _date(value)
    if until is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(timezone.utc)
    return max(0.0, (until - now).total_seconds())


def _date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
