"""Stopping on SIGTERM, SIGHUP and Ctrl-C: at once in what can be repeated, with a run record that says so."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_STOPS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
_requested = threading.Event()
_to_wake: list[Callable[[], None]] = []
_finishing: list[tuple[threading.Event, Callable[[], None]]] = []


def install() -> None:
    """They raise KeyboardInterrupt in the main thread and wake what waits (see `waking`).

    A SIGHUP that is ignored stays so: that is what `nohup` asks for.
    """
    for number in _STOPS:
        if number in {signal.SIGTERM, signal.SIGINT} or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def ignore() -> None:
    """It is done: a signal that comes now stops nothing."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def finishing(wake: Callable[[], None]) -> Iterator[threading.Event]:
    """Inside the block the first signal interrupts nothing: it sets the event and calls `wake`, so that what is in
    flight can end and be recorded. A second one stops at once.
    """
    asked = threading.Event()
    _finishing.append((asked, wake))
    try:
        yield asked
    finally:
        _finishing.pop()


def _stop(_number: int, _frame: FrameType | None) -> None:
    if _finishing and not _finishing[-1][0].is_set():
        asked, wake = _finishing[-1]
        asked.set()
        threading.Thread(target=wake, daemon=True).start()
        return
    _requested.set()
    for wake in _to_wake:  # in a thread of its own: what it locks may be held by the code that was interrupted
        threading.Thread(target=wake, daemon=True).start()
    raise KeyboardInterrupt


def chain(error: BaseException) -> list[BaseException]:
    """An error and what is behind it, each once (a chain may run in a circle)."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    return links


@contextlib.contextmanager
def waking(wake: Callable[[], None]) -> Iterator[None]:
    """Call `wake` when a stop is requested inside the block."""
    _to_wake.append(wake)
    try:
        yield
    finally:
        _to_wake.remove(wake)


def caused(error: BaseException) -> bool:
    """Whether an error is only how a requested stop came through (dlt and DuckDB wrap it in their own)."""
    return _requested.is_set() or any(isinstance(link, KeyboardInterrupt) for link in chain(error))


def leave(code: int) -> NoReturn:
    """Exit now, without waiting for requests that are still in flight."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
