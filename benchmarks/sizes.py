"""How long and how dear: from ten thousand to ten million enrollments, and `boast load` of every list. All measured.

`python -m benchmarks.sizes` prints the tables of docs/outgrow.md: a first load, the same again, one with one changed
row, one with --full-refresh; with --requests, how many requests full and incremental listings make.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import threading
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contenders import OURS
from benchmarks.measure import BOAST, Folder, Run, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = [10_000, 100_000, 1_000_000, 10_000_000]
PER_PAGE = 100
NIGHTS = 30.4  # a month
CHANGED = 100
RUNS = ("first", "again", "one changed", "full refresh")
MOST_MEMORY, MOST_SCRATCH = 1000, 2  # MB, times the JSON of what is listed
MOST_CHANGED, MOST_NOTHING = 10, 3  # requests of an incremental listing


@dataclass(frozen=True)
class Cost:
    """Each of RUNS; the DuckDB file after the last, and the most that a comparison took on disk, in MB."""

    rows: int
    runs: dict[str, Run] = field(default_factory=dict)
    file: float = 0.0
    scratch: float = 0.0

    @property
    def peak(self) -> float:
        return max(run.peak for run in self.runs.values())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes", description=__doc__)
    parser.add_argument("--rows", type=int, action="append", help="this size only; repeatable")
    parser.add_argument("--all-lists", action="store_true", help="a third as many contacts and responses too")
    parser.add_argument("--latency", type=int, default=100, help="ms that the API takes for a page")
    parser.add_argument("--workers", type=int, default=8, help="requests at once")
    parser.add_argument("--price", type=float, default=0.10, help="of an hour of the machine, in any currency")
    parser.add_argument("--requests", action="store_true", help="how many requests; a list sorted by updated_at")
    given = parser.parse_args()
    if given.requests:
        print_requests(given.rows or SIZES)
        return
    print(
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}; {PER_PAGE} enrollments a"
        f" page, {given.latency} ms a page, {given.workers} requests at once; DuckDB;"
        f" an hour costs {given.price:.2f}.\n"
    )
    print(f"| enrollments | requests | {' | '.join(RUNS)} | file | scratch | a month of nights |")
    print(f"|{'--:|' * (len(RUNS) + 5)}")
    for rows in given.rows or SIZES:
        print(line(cost(rows, given.latency, given.workers, every=given.all_lists), given.price), flush=True)


def cost(rows: int, latency: int, workers: int, *, every: bool = False) -> Cost:
    """Each of RUNS in one folder. `every`: all lists, with a third as many contacts and responses.

    Raises RuntimeError if rows are missing, or if a run takes more memory or disk than the bars above.
    """
    command = [BOAST, "load", "--json"] if every else OURS
    others = {"contacts": rows // 3, "responses": rows * 3 // 10} if every else {}
    found = Cost(rows)
    with serving(rows, PER_PAGE, latency, **others) as base_url, Folder() as folder, scratch_of(folder.path) as most:
        for name in RUNS:
            if name == "one changed":
                urllib.request.urlopen(f"{base_url.removesuffix('/v1')}/change?page=1").close()
            more = ["--full-refresh"] if name == "full refresh" else []
            found.runs[name] = folder.run([*command, *more], base_url, workers)
            print(rows, name, found.runs[name], f"scratch {max(most):.0f} MB", file=sys.stderr, flush=True)
        if folder.stored() != (rows, rows):
            raise RuntimeError(f"stored {folder.stored()} rows and distinct ids instead of {rows}")
        file = (folder.path / "boast.duckdb").stat().st_size / 1e6
        listed = sum(size_of(base_url, name, many) for name, many in {"sequence_enrollments": rows, **others}.items())
    found = Cost(rows, found.runs, file, max(most))
    if found.peak > MOST_MEMORY or found.scratch > MOST_SCRATCH * listed:
        raise RuntimeError(f"{found.peak:.0f} MB of memory, {found.scratch:.0f} MB of disk for {listed:.0f} MB of JSON")
    return found


def size_of(base_url: str, name: str, rows: int) -> float:
    """MB of JSON in a list, judged by its first page."""
    with urllib.request.urlopen(f"{base_url}/accounts/1/{name}?page=1") as answer:
        page = len(answer.read())
    return page * rows / min(rows, PER_PAGE) / 1e6


def print_requests(sizes: list[int]) -> None:
    """Print a table of what a full listing asks, and an incremental one after CHANGED changes and after none.

    Raises RuntimeError if an incremental listing makes more requests than the bars above.
    """
    print(f"| enrollments | full | {CHANGED} changed | nothing changed | full at 60 a minute | full at 10 a second |")
    print(f"|{'--:|' * 6}")
    for rows in sizes:
        full, changed, nothing = requests(rows)
        limits = " | ".join(duration(full / a_second) for a_second in (1, 10))
        print(f"| {rows:,} | {full:,} | {changed} | {nothing} | {limits} |", flush=True)
        if changed > MOST_CHANGED or nothing > MOST_NOTHING:
            raise RuntimeError(f"{changed} and {nothing} requests for {rows} enrollments")


def requests(rows: int) -> tuple[int, int, int]:
    """Requests for the enrollments: of a full listing, of an incremental one with changes, of one without."""
    with serving(rows, PER_PAGE, 0, order="updated_desc") as base_url, Folder() as folder:

        def asked() -> int:
            folder.run(OURS, base_url, 8)
            told = next(line for line in (folder.path / "output.txt").read_text().splitlines() if line[:1] == "{")
            return int(json.loads(told)["accounts"][0]["requests"])

        full, nothing = asked(), asked()
        urllib.request.urlopen(f"{base_url.removesuffix('/v1')}/change?page={CHANGED}").close()
        return full, asked(), nothing


@contextlib.contextmanager
def scratch_of(folder: Path) -> Iterator[list[float]]:
    """Sizes in MB of what scratch indexes, and DuckDB beside its file, keep in this folder, until the block ends."""
    sizes = [0.0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            total = 0
            for kept in [*folder.glob("boast-*"), folder / "boast.duckdb.tmp"]:
                for place, _, names in os.walk(kept):
                    for name in names:
                        with contextlib.suppress(OSError):
                            total += Path(place, name).stat().st_size
            sizes.append(total / 1e6)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield sizes
    finally:
        ended.set()
        watcher.join()


def line(one: Cost, price: float) -> str:
    runs = [f"{duration(one.runs[name].seconds)}, {one.runs[name].peak:,.0f} MB" for name in RUNS]
    month = NIGHTS * one.runs["again"].seconds / 3600 * price
    return (
        f"| {one.rows:,} | {-(-one.rows // PER_PAGE):,} | {' | '.join(runs)} | {one.file:,.0f} MB |"
        f" {one.scratch:,.0f} MB | {month:,.2f} |"
    )


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
