"""The process gets a signal (DIE_WITH, else KILL) before or after the n-th call of a function or method:
DIE_AT="after 2 boast_source.warehouse.duckdb:_MergeJob.run".
"""

from __future__ import annotations

import importlib
import os
import signal

SIGNAL = signal.Signals[f"SIG{os.environ.get('DIE_WITH', 'KILL')}"]


def _install(when: str, number: int, where: str) -> None:
    module, _, path = where.partition(":")
    *owners, name = path.split(".")
    owner = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    call, calls = getattr(owner, name), iter(range(1, 1_000_000))

    def dying(*arguments, **named):
        last = next(calls) == number
        if last and when == "before":
            os.kill(os.getpid(), SIGNAL)
        result = call(*arguments, **named)
        if last and when == "after":
            os.kill(os.getpid(), SIGNAL)
        return result

    setattr(owner, name, dying)


if "DIE_AT" in os.environ:
    _when, _number, _where = os.environ["DIE_AT"].split()
    _install(_when, int(_number), _where)
