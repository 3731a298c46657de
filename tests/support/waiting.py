"""Waiting for an event, with a bound that only a hang reaches: a busy machine is no failure."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from boast_source.sandbox.server import Sandbox
    from tests.support.python import Process

PATIENCE = 240.0  # seconds
T = TypeVar("T")


def until(condition: Callable[[], T], *, process: Process | None = None) -> T:
    """Ask until the answer is true and return it. The test fails when `process` ends before, or patience does.

    A process that hangs says in the failure where each of its threads stands.

    """
    end = time.monotonic() + PATIENCE
    while not (answer := condition()):
        assert process is None or process.poll() is None, f"it ended with {process.returncode}"
        if time.monotonic() > end:
            raise AssertionError("it never happened" + (f":\n{last_words(process)}" if process else ""))
        time.sleep(0.002)
    return answer


def last_words(process: Process) -> str:
    """End a process that hangs and return the end of what it wrote, with the stack of each of its threads."""
    process.send_signal(signal.SIGABRT)  # `faulthandler` answers
    with contextlib.suppress(subprocess.TimeoutExpired, ValueError):  # ValueError: somebody else reads the pipes
        return "".join(process.communicate(timeout=10))[-20_000:]
    process.kill()
    return "it wrote nothing"


def arrived(server: Sandbox, what: str, count: int = 1, *, process: Process | None = None) -> None:
    """Wait until so many requests reached the sandbox, such as `GET sequence_enrollments`."""
    until(lambda: server.control("GET", "counters")["arrived"].get(what, 0) >= count, process=process)
