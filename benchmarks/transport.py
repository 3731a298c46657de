"""The transport against what it replaced and against libcurl: `python -m benchmarks.transport [--runs N]`.

All fetch and parse the same pages from the same server, in turns, each in a process of its own; the ratios are medians
of the ratios within a turn. The one before comes out of git: run it in a clone.
It needs `httptools`, and libcurl `pycurl`: `make bench` installs them.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import tempfile
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.measure import PYTHON, ROOT, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

BEFORE = "b27ec2a^"  # the last commit whose answers were not compared with their questions
BARS = {0: 1.15, 20: 1.05}  # ms a page: what the wall time may be of that of the one before
WORKERS = {0: 4, 20: 16}
PER_PAGE = 100
Taken = tuple[float, float]  # seconds of wall time and of CPU time


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transport", description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--pages", type=int, default=2000)
    given = parser.parse_args()
    ways = {"ours": str(ROOT), "libcurl": str(ROOT)} if importlib.util.find_spec("pycurl") else {"ours": str(ROOT)}
    with tempfile.TemporaryDirectory(prefix="boast-bench-") as before:
        archive = subprocess.run(
            ["git", "archive", BEFORE, "boast_source"], cwd=ROOT, check=True, stdout=subprocess.PIPE
        ).stdout
        subprocess.run(["tar", "-x", "-C", before], input=archive, check=True)
        ways["before"] = f"{before}{os.pathsep}{ROOT}"
        print("| ms a page | ours / before: wall time | bar | CPU | ours / libcurl: wall time | CPU | pages/s | runs |")
        print("|--:|--:|--:|--:|--:|--:|--:|--:|")
        for latency, bar in BARS.items():
            with serving(given.pages * PER_PAGE, PER_PAGE, latency) as url:
                turns = [
                    {way: _fetch(way, path, url, WORKERS[latency]) for way, path in ways.items()}
                    for _ in range(given.runs)
                ]
            rate = given.pages / median(turn["ours"][0] for turn in turns)
            cells = [_ratio(turns, "before", 0), f"{bar:.2f}", _ratio(turns, "before", 1)]
            cells += [_ratio(turns, "libcurl", 0), _ratio(turns, "libcurl", 1), f"{rate:,.0f}", str(given.runs)]
            print(f"| {latency} | {' | '.join(cells)} |", flush=True)


def _fetch(way: str, path: str, url: str, workers: int) -> Taken:
    name = "libcurl" if way == "libcurl" else "ours"
    told = subprocess.run(
        [*PYTHON, "benchmarks.fetch", name, url, str(workers)],
        cwd=tempfile.gettempdir(),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (path, os.environ.get("PYTHONPATH"))))},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split()
    return float(told[1]), float(told[2])


def _ratio(turns: list[Mapping[str, Taken]], than: str, fact: int) -> str:
    ratios = [turn["ours"][fact] / turn[than][fact] for turn in turns if than in turn]
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})" if ratios else ""


if __name__ == "__main__":
    main()
