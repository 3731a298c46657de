"""The one retry loop: reads are repeated with backoff, bounded in number and in time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential, wait_random

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
    counted = 0
    backoff = wait_exponential(multiplier=policy.first_wait, max=policy.longest_wait) + wait_random(
        0, policy.first_wait / 2
    )

    def stop(state: RetryCallState) -> bool:
        nonlocal passed, counted
        others, passed = pace.passed > passed, pace.passed
        counted += not (_pause(state) and others)
        return counted >= policy.attempts or time.monotonic() - started > policy.total

    def wait(state: RetryCallState) -> float:
        return 0.0 if _pause(state) else backoff(state)

    retrying = Retrying(retry=retry_if_exception_type(AgainError), stop=stop, wait=wait, sleep=pace.sleep, reraise=True)
    try:
        return retrying(attempt)
    except AgainError as again:
        raise again.error from None


def _pause(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    return isinstance(error, AgainError) and error.pause
