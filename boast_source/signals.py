"""Stopping on SIGTERM, SIGHUP and Ctrl-C: at once in work that can be repeated, and noted in the run record."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_STOPS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
_requested = threading.Event()
_to_wake: list[Callable[[], None]] = []
_finishing: list[_Finishing] = []


@dataclass
class _Finishing:
    """A block in which the first signal interrupts nothing."""

    wake: Callable[[], None]
    asked: threading.Event = field(default_factory=threading.Event)
    signals: int = 0


def install() -> None:
    """Make these signals raise KeyboardInterrupt in the main thread and wake blocked calls (see `waking`).

    An ignored SIGHUP stays ignored, as `nohup` asks. Wake functions run in their own threads: the main thread may hold
    a lock that they need, or be blocked in a driver's call that ends only when its statement is cancelled.
    """
    heard, bell = socket.socketpair()
    bell.setblocking(False)  # the signal handler writes to it
    signal.set_wakeup_fd(bell.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_hear, args=(heard,), daemon=True).start()
    for number in _STOPS:
        if number in {signal.SIGTERM, signal.SIGINT} or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def ignore() -> None:
    """Ignore all further signals: the command is done."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def finishing(wake: Callable[[], None]) -> Iterator[threading.Event]:
    """Inside the block the first signal interrupts nothing: it sets the event and calls `wake`, so that work in flight
    can finish and be recorded. A second signal stops at once.
    """
    block = _Finishing(wake)
    _finishing.append(block)
    try:
        yield block.asked
    finally:
        _finishing.pop()


def _stop(_number: int, _frame: FrameType | None) -> None:
    if _finishing and not _finishing[-1].asked.is_set():
        _finishing[-1].asked.set()
        threading.Thread(target=_finishing[-1].wake, daemon=True).start()
        return
    _requested.set()
    raise KeyboardInterrupt


def _hear(heard: socket.socket) -> None:
    """Call the wake functions at each signal while the process lives; inside `finishing`, from the second signal on."""
    while number := heard.recv(1):
        if number[0] not in _STOPS:
            continue
        if _finishing:
            _finishing[-1].signals += 1
            if _finishing[-1].signals == 1:
                continue
        for wake in tuple(_to_wake):
            threading.Thread(target=_call, args=(wake,), daemon=True).start()


def _call(wake: Callable[[], None]) -> None:
    with contextlib.suppress(Exception):  # already closed: nothing to wake
        wake()


def chain(error: BaseException, *, shown: bool = False) -> list[BaseException]:
    """Return an error and its causes, each once (a chain may be circular); `shown`: those that a traceback shows."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or (None if shown and link.__suppress_context__ else link.__context__)
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
    """Whether an error merely reports a requested stop (dlt and DuckDB wrap it in their own errors)."""
    return _requested.is_set() or any(isinstance(link, KeyboardInterrupt) for link in chain(error))


def leave(code: int) -> NoReturn:
    """Exit now, without waiting for requests that are still in flight."""
    with contextlib.suppress(OSError):  # stdout may be what failed
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
