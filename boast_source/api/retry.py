"""The one retry loop: reads are repeated with backoff, bounded in number and in time."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from boast_source.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from boast_source.api.pace import Pace
    from boast_source.errors import ApiError

T = TypeVar("T")


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
    """An attempt failed with `error` in a way that may pass. After a `pause` of everybody it waits no more."""

    def __init__(self, error: ApiError, *, pause: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.pause = pause


def persist(attempt: Callable[[], T], policy: RetryPolicy, pace: Pace) -> T:
    """Repeat `attempt` while it raises AgainError; then raise its error.

    A 429 is no attempt while other requests get through: in a busy listing one of many is unlucky often, and that
    ends with `policy.total`, not with the sixth time.
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
            wait = 0.0 if again.pause else _backoff(failures, policy)
        pace.sleep(wait)


def _backoff(failures: int, policy: RetryPolicy) -> float:
    doubled = policy.first_wait * 2.0 ** min(failures - 1, 30)
    jitter = random.uniform(0, policy.first_wait / 2)  # noqa: S311 (not cryptography)
    return min(policy.longest_wait, doubled) + jitter
