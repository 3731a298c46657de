"""How long and how dear: from ten thousand to a hundred million enrollments, measured where it can be, else computed.

`python -m benchmarks.sizes` prints the table of docs/outgrow.md. Computed rows continue the line through the two
largest measured ones; what a line cannot know (an API that slows down, a disk that fills) is not in them.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from dataclasses import dataclass

from benchmarks.contenders import OURS
from benchmarks.measure import Folder, serving

SIZES = [10_000, 100_000, 1_000_000, 10_000_000, 100_000_000]
PER_PAGE = 100
NIGHTS = 30.4  # a month


@dataclass(frozen=True)
class Cost:
    """A first load and a night in which nothing changed, in seconds; peak memory and the DuckDB file in MB."""

    rows: int
    first: float
    night: float
    peak: float | None
    file: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes", description=__doc__)
    parser.add_argument("--largest", type=int, default=1_000_000, help="the largest size that is measured")
    parser.add_argument("--latency", type=int, default=100, help="ms that the API takes for a page")
    parser.add_argument("--workers", type=int, default=8, help="requests at once")
    parser.add_argument("--price", type=float, default=0.10, help="of an hour of the machine, in any currency")
    given = parser.parse_args()
    measured = [cost(rows, given.latency, given.workers) for rows in SIZES if rows <= given.largest]
    print(
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}; {PER_PAGE} enrollments a"
        f" page, {given.latency} ms a page, {given.workers} requests at once; DuckDB;"
        f" an hour costs {given.price:.2f}.\n"
    )
    print("| enrollments | requests a night | first load | a night | peak memory | file | a month of nights | |")
    print("|--:|--:|--:|--:|--:|--:|--:|---|")
    for one in measured:
        print(line(one, given.price, "measured"))
    for rows in SIZES[len(measured) :]:
        print(line(continued(rows, *measured[-2:]), given.price, "computed"))


def cost(rows: int, latency: int, workers: int) -> Cost:
    """Load twice into a fresh folder."""
    with serving(rows, PER_PAGE, latency) as base_url, Folder() as folder:
        first = folder.run(OURS, base_url, workers)
        night = folder.run(OURS, base_url, workers)
        if folder.stored() != (rows, rows):
            raise RuntimeError(f"stored {folder.stored()} rows and distinct ids instead of {rows}")
        file = (folder.path / "boast.duckdb").stat().st_size / 1e6
    found = Cost(rows, first.seconds, night.seconds, max(first.peak, night.peak), file)
    print(found, file=sys.stderr, flush=True)
    return found


def continued(rows: int, smaller: Cost, larger: Cost) -> Cost:
    """On the line through two measured costs; memory is on no line."""
    share = (rows - larger.rows) / (larger.rows - smaller.rows)

    def on_line(low: float, high: float) -> float:
        return high + share * (high - low)

    return Cost(
        rows,
        on_line(smaller.first, larger.first),
        on_line(smaller.night, larger.night),
        None,
        on_line(smaller.file, larger.file),
    )


def line(one: Cost, price: float, how: str) -> str:
    memory = "not computed" if one.peak is None else f"{one.peak:,.0f} MB"
    month = NIGHTS * one.night / 3600 * price
    return (
        f"| {one.rows:,} | {-(-one.rows // PER_PAGE):,} | {duration(one.first)} | {duration(one.night)} |"
        f" {memory} | {one.file:,.0f} MB | {month:,.2f} | {how} |"
    )


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
