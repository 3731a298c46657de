"""Runs a command and writes what it took: `python benchmarks/launch.py OUT COMMAND ...`.

A small process of its own, since Linux counts the memory of the process that starts a command as the command's peak
(getrusage(2): ru_maxrss survives exec), and whoever measures, a test session above all, may hold much.
"""

from __future__ import annotations

import os
import sys
import time


def main(out: str, command: list[str]) -> None:
    """Writes seconds of wall time, seconds of CPU time, peak memory in MB and the exit code, one a line."""
    began = time.perf_counter()
    child = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - began
    unit = 1024 if sys.platform == "darwin" else 1  # bytes there, kilobytes elsewhere
    found = [seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit / 1024, os.waitstatus_to_exitcode(status)]
    with open(out, "w") as file:  # noqa: PTH123 (pathlib takes memory and time to import)
        file.write("\n".join(map(str, found)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
