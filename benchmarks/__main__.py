"""Measure, and print Markdown tables: `make bench`, or `python -m benchmarks --only extract-100 --runs 5`.

Contenders of one work run in turns (A B A B ...) against the same server, so that what else the machine does hits
all of them; the ratio is the median of the ratios within the turns.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from contextlib import ExitStack
from importlib.metadata import version
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.contenders import CONTENDERS
from benchmarks.measure import PYTHON, ROOT, Folder, serving
from benchmarks.postgres import database, server
from benchmarks.works import PROMISES, WORKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measure import Run
    from benchmarks.works import Work


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=WORKS, help="this work only; repeatable")
    parser.add_argument("--contender", action="append", choices=CONTENDERS, help="this contender only; repeatable")
    parser.add_argument("--runs", type=int, help="runs of each contender; default: what each work says")
    parser.add_argument("--rows", type=int, default=200_000, help="enrollments in the list")
    given = parser.parse_args()
    names = ("boast-source", "dlt", "duckdb", "pyarrow")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}.")
    print("Medians; process start included; one process and one fresh folder a run; run in turns.")
    measured = {name: _work(name, WORKS[name], given.rows, given.runs, given.contender) for name in given.only or WORKS}
    _print_summary(measured)


def _work(name: str, work: Work, rows: int, runs: int | None, chosen: list[str] | None) -> dict[str, list[Run]]:
    rows *= work.scale
    contenders = {who: runs or times for who, times in work.contenders.items() if not chosen or who in chosen}
    print(
        f"\n{rows:,} enrollments {work.title}; {work.workers} workers. Repeat: `python -m benchmarks --only {name}`\n"
    )
    with serving(rows, work.per_page, work.latency) as base_url:
        measured = _measured(contenders, base_url, work.workers, rows)
        _print_table(measured)
        print(f"\nThe server hands out {_raw_rate(base_url, -(-rows // work.per_page)):,.0f} pages/s.", flush=True)
    return measured


def _measured(contenders: Mapping[str, int], base_url: str, workers: int, rows: int) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {who: [] for who in contenders}
    with ExitStack() as stack:
        kept: dict[str, Folder] = {}
        port = stack.enter_context(server()) if any(CONTENDERS[who].postgres for who in contenders) else None
        for turn in range(max(contenders.values(), default=0)):
            for who, times in contenders.items():
                if turn >= times:
                    continue
                contender = CONTENDERS[who]
                command = contender.command(base_url, workers)
                with ExitStack() as fresh:
                    folder = kept.get(who) or _folder(
                        stack if contender.again else fresh, port if contender.postgres else None
                    )
                    if contender.again and who not in kept:
                        kept[who] = folder
                        folder.run(command, base_url, workers)
                    runs[who].append(folder.run(command, base_url, workers))
                    if contender.stores and folder.stored() != (rows, rows):
                        raise RuntimeError(f"{who} stored {folder.stored()} rows and distinct ids instead of {rows}")
                print(f"{who}: {runs[who][-1]}", file=sys.stderr, flush=True)
    return runs


def _folder(stack: ExitStack, port: int | None) -> Folder:
    return stack.enter_context(Folder(stack.enter_context(database(port)) if port else None))


def _print_summary(measured: Mapping[str, Mapping[str, list[Run]]]) -> None:
    """One line per promise: the ratio of two contenders, turn by turn where they ran in one work."""
    print("\n| work | measured | runs |\n|---|--:|--:|")
    for promise in PROMISES:
        mine = measured.get(promise.work, {}).get(promise.who, [])
        theirs = measured.get(promise.than_work or promise.work, {}).get(promise.than, [])
        pairs = list(zip(mine, theirs, strict=False))
        if pairs:
            ratios = [a.seconds / b.seconds for a, b in pairs]
            spread = f"{median(ratios):.2f} x ({min(ratios):.2f}-{max(ratios):.2f})"
            print(f"| {promise.title} | {spread} | {len(pairs)} |")
    for who, runs in measured.get("extract-million", {}).items():
        print(
            f"| peak memory, five times the rows: {CONTENDERS[who].title} | {max(r.peak for r in runs):.0f} MB |"
            f" {len(runs)} |"
        )


def _print_table(runs: Mapping[str, list[Run]]) -> None:
    first = next(iter(runs.values()))
    print(f"| | s | ratio to {CONTENDERS[next(iter(runs))].title.split(':')[0]} (range) | CPU s | peak MB | runs |")
    print("|---|--:|--:|--:|--:|--:|")
    for who, mine in runs.items():
        ratios = [run.seconds / other.seconds for run, other in zip(mine, first, strict=False)]
        spread = f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        seconds, cpu, peak = (median(getattr(run, fact) for run in mine) for fact in ("seconds", "cpu", "peak"))
        print(f"| {CONTENDERS[who].title} | {seconds:.1f} | {spread} | {cpu:.1f} | {peak:.0f} | {len(mine)} |")


def _raw_rate(base_url: str, pages: int) -> float:
    port = base_url.removesuffix("/v1").rpartition(":")[2]
    told = subprocess.run(
        [*PYTHON, "benchmarks.raw", port, str(pages)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return float(told.stdout)


if __name__ == "__main__":
    main()
