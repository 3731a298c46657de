"""The process dies as of kill -9 before or after the n-th call: DIE_AT="after 2 boast_source.duck:_MergeJob.run"."""

from __future__ import annotations

import importlib
import os
import signal


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _install(when: str, number: int, where: str) -> None:
    module, _, path = where.partition(":")
    name, _, method = path.partition(".")
    owner = getattr(importlib.import_module(module), name)
    call, calls = getattr(owner, method), iter(range(1, 1_000_000))

    def dying(*arguments, **named):
        last = next(calls) == number
        if last and when == "before":
            _die()
        result = call(*arguments, **named)
        if last:
            _die()
        return result

    setattr(owner, method, dying)


if "DIE_AT" in os.environ:
    _when, _number, _where = os.environ["DIE_AT"].split()
    _install(_when, int(_number), _where)
