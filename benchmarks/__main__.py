"""Measure, and print Markdown tables: `make bench`, or `python -m benchmarks --only extract-100 --runs 5`.

Contenders of one work run in turns (A B A B ...) against the same server, so that what else the machine does hits
all of them; the ratio is the median of the ratios within the turns. Beside each stands the last one that was kept
(`--keep` writes benchmarks/last.json): seconds of two machines cannot be compared, ratios can.
"""

from __future__ import annotations

import argparse
import json
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

LAST = ROOT / "benchmarks" / "last.json"
Kept = dict[str, float]  # median, lowest, highest, runs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=WORKS, help="this work only; repeatable")
    parser.add_argument("--contender", action="append", choices=CONTENDERS, help="this contender only; repeatable")
    parser.add_argument("--runs", type=int, help="runs of each contender; default: what each work says")
    parser.add_argument("--rows", type=int, default=200_000, help="enrollments in the list")
    parser.add_argument("--keep", action="store_true", help="keep these ratios as the last ones")
    given = parser.parse_args()
    names = ("boast-source", "dlt", "duckdb", "pyarrow")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}.")
    print("Medians; process start included; one process and one fresh folder a run; run in turns.")
    measured = {name: _work(name, WORKS[name], given.rows, given.runs, given.contender) for name in given.only or WORKS}
    found = _ratios(measured)
    _print_summary(found)
    if given.keep:
        LAST.write_text(json.dumps(_last() | found, indent=2) + "\n")


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


def _ratios(measured: Mapping[str, Mapping[str, list[Run]]]) -> dict[str, Kept]:
    """By promise the ratio of two contenders, turn by turn where they ran in one work; and peaks of memory."""
    found: dict[str, Kept] = {}
    for promise in PROMISES:
        mine = measured.get(promise.work, {}).get(promise.who, [])
        theirs = measured.get(promise.than_work or promise.work, {}).get(promise.than, [])
        ratios = [a.seconds / b.seconds for a, b in zip(mine, theirs, strict=False)]
        if ratios:
            found[promise.title] = {
                "median": round(median(ratios), 2),
                "lowest": round(min(ratios), 2),
                "highest": round(max(ratios), 2),
                "runs": len(ratios),
            }
    for who, runs in measured.get("extract-million", {}).items():
        peaks = [round(run.peak) for run in runs]
        found[f"peak MB, five times the rows: {CONTENDERS[who].title}"] = {
            "median": median(peaks),
            "lowest": min(peaks),
            "highest": max(peaks),
            "runs": len(peaks),
        }
    return found


def _print_summary(found: Mapping[str, Kept]) -> None:
    last = _last()
    print("\n| work | measured | runs | last |\n|---|--:|--:|--:|")
    for title, kept in found.items():
        spread = f"{kept['median']:g} ({kept['lowest']:g}-{kept['highest']:g})"
        print(f"| {title} | {spread} | {kept['runs']} | {last[title]['median'] if title in last else ''} |")


def _last() -> dict[str, Kept]:
    return json.loads(LAST.read_text()) if LAST.exists() else {}  # type: ignore[no-any-return]


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
