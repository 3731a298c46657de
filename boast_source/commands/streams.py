"""Make stdin, stdout and stderr safe to use: they may be closed, on a full disk, a broken pipe, or not in UTF-8."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any, TextIO, cast


class _Stderr:
    """stderr that ignores write errors, so that no run fails because of them."""

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
    """Open the closed streams, so that no other file takes their numbers. Ignore errors of stderr. Escape characters
    that stdout's encoding lacks, as stderr does.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(number)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if not isinstance(sys.stderr, _Stderr):
        sys.stderr = cast("TextIO", _Stderr(sys.stderr))
