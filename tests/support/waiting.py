"""Wait for an event, with a timeout that only a hang reaches: a busy machine must not fail a test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from boast_source.sandbox.server import Sandbox
    from tests.support.python import Process

PATIENCE = 240.0  # seconds
T = TypeVar("T")


def until(condition: Callable[[], T], *, process: Process | None = None) -> T:
    """Call `condition` until its answer is true, and return that. Fail if `process` ends first, or after PATIENCE.

    The failure of a hanging process shows the stack of each of its threads.

    """
    end = time.monotonic() + PATIENCE
    while not (answer := condition()):
        assert process is None or process.poll() is None, f"it ended with {process.returncode}"
        if time.monotonic() > end:
            raise AssertionError("it never happened" + (f":\n{last_words(process)}" if process else ""))
        time.sleep(0.002)
    return answer


def seconds_at_work(process: Process | subprocess.Popen[str]) -> float:
    """Return how long a process has used a processor."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def last_words(process: Process) -> str:
    """Kill a hanging process; return the end of its output, with the stack of each of its threads."""
    process.send_signal(signal.SIGABRT)  # `faulthandler` answers
    with contextlib.suppress(subprocess.TimeoutExpired, ValueError):  # ValueError: another thread reads the pipes
        return "".join(process.communicate(timeout=10))[-20_000:]
    process.kill()
    return "it wrote nothing"


def arrived(server: Sandbox, what: str, count: int = 1, *, process: Process | None = None) -> None:
    """Wait until `count` requests of a kind, for example `GET sequence_enrollments`, have reached the sandbox."""
    until(lambda: server.control("GET", "counters")["arrived"].get(what, 0) >= count, process=process)
