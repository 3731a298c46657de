"""One pace for all threads of a client: they slow down together, and each retries within bounds."""

from __future__ import annotations

import random
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from boast_source.errors import ApiError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


T = TypeVar("T")

LONGEST_PAUSE = 300.0  # seconds that a server may ask for; more ends the request
_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)


class ClosedError(Exception):
    """The client was closed while the request waited."""


class LateError(Exception):
    """The moment by which the request had to be sent has passed."""


class Pace:
    """At most `max_concurrency` requests at once, fewer after a 429; pauses apply to all threads.

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
        self._closed = False
        self.streak = 0  # slowdowns in a row without a success between them
        self.passed = 0  # requests that were not told to slow down

    @property
    def concurrency(self) -> int:
        """How many requests are allowed at once now."""
        return max(1, int(self._limit))

    @contextmanager
    def slot(self, until: float | None = None) -> Iterator[float]:
        """Wait until one request may be sent; yield the moment it began.

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
            return 60.0  # a request that ends wakes the others
        return max(self._resume_at - now, self._next_start - now, 0.0)

    def went_well(self) -> None:
        """Note a success. About ten per request allowed at once are needed to allow one more."""
        with self._change:
            self.passed += 1
            self.streak = 0
            if self._limit < self._most:
                self._limit = min(self._most, self._limit + 0.1 / self._limit)
                self._change.notify_all()

    def slow_down(self, began: float, wait: float | None) -> None:
        """Halve the concurrency, and let no request be sent for `wait` seconds, because the server asked for less.

        Requests that `began` before the last slowdown belong to the same incident and halve nothing.
        Without `wait` (or with 0) the pause doubles with every incident in a row, with jitter.
        """
        with self._change:
            if began >= self._slowed_at:
                self._slowed_at = time.monotonic()
                self._limit = max(1.0, self._limit / 2)
                self.streak += 1
            if not wait:
                longest = min(self._longest_wait, self._first_wait * 2.0 ** min(self.streak - 1, 30))
                wait = longest * random.uniform(0.5, 1.0)
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
        """Wake all waiting threads; nothing more is sent."""
        with self._change:
            self._closed = True
            self._change.notify_all()


class Tally:
    """Requests sent (retries among them), retries, and pages read; counted from any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = 0
        self.retries = 0
        self.pages = 0

    def add(self, *, requests: int = 0, retries: int = 0, pages: int = 0) -> None:
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.pages += pages


@dataclass(frozen=True)
class RetryPolicy:
    """How long a request is tried: `attempts` in all; waits from `first_wait` doubling to `longest_wait`; all
    within `total`. Times in seconds.
    """

    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 30.0
    total: float = 900.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or min(self.first_wait, self.longest_wait, self.total) < 0:
            raise ConfigurationError("The retry policy is not usable", hint="attempts >= 1, times >= 0 seconds")


class AgainError(Exception):
    """An attempt failed with `error` and may be repeated. `pause`: all threads pause, so it needs no further wait."""

    def __init__(self, error: ApiError, *, pause: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.pause = pause


def persist(attempt: Callable[[], T], policy: RetryPolicy, pace: Pace) -> T:
    """Repeat `attempt` while it raises AgainError; then raise its error.

    A 429 does not count as an attempt while other requests get through: in a busy listing a single request may be
    unlucky often. Only `policy.total` ends that.
    """
    started = time.monotonic()
    passed = pace.passed
    failures = counted = 0
    while True:
        try:
            return attempt()
        except AgainError as again:
            others, passed = pace.passed > passed, pace.passed
            failures += 1
            counted += not (again.pause and others)
            if counted >= policy.attempts or time.monotonic() - started > policy.total:
                raise again.error from None
            doubled = min(policy.longest_wait, policy.first_wait * 2.0 ** min(failures - 1, 30))
            wait = 0.0 if again.pause else doubled + random.uniform(0, policy.first_wait / 2)
        pace.sleep(wait)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the answer asks to wait; None if it does not say, or not readably.

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
