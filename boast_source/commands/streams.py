"""stdin, stdout and stderr as the caller left them: closed, on a full disk, a pipe that nobody reads."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, TextIO, cast


class _Stderr:
    """What cannot be said there is lost: no run ends of it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def settle() -> None:
    """Open what is closed, so that no file of ours takes its number; let stderr fail without a word."""
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(number)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 -- as long as the process
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if not isinstance(sys.stderr, _Stderr):
        sys.stderr = cast("TextIO", _Stderr(sys.stderr))
