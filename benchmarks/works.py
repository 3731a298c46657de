"""What is measured: rows, page size, latency, workers, and who runs how often."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Work:
    """One table: `contenders` by name with their number of runs; ratios are to the first of them.

    `latency` in ms a page; `scale` multiplies the rows that the command line asks for.
    """

    title: str
    per_page: int
    latency: int
    workers: int
    contenders: dict[str, int] = field(default_factory=dict)
    scale: int = 1


WORKS = {
    "extract-100": Work(
        "into an empty DuckDB file, 100 a page, no latency",
        per_page=100,
        latency=0,
        workers=4,
        contenders={"floor": 5, "ours": 5, "rest-api-parquet": 2, "rest-api": 1},
    ),
    "extract-20ms": Work(
        "into an empty DuckDB file, 100 a page, 20 ms a page",
        per_page=100,
        latency=20,
        workers=16,
        contenders={"floor": 5, "ours": 5, "rest-api-parquet": 2, "rest-api": 1},
    ),
    "extract-20": Work(
        "into an empty DuckDB file, 20 a page, no latency: what a request costs",
        per_page=20,
        latency=0,
        workers=4,
        contenders={"floor": 5, "ours": 5},
    ),
    "again-100": Work(
        "again with nothing changed, 100 a page, no latency",
        per_page=100,
        latency=0,
        workers=4,
        contenders={"fetch-requests": 5, "fetch-ours": 5, "ours-again": 5},
    ),
    "postgres-100": Work(
        "into an empty DuckDB file and into an empty local Postgres, 100 a page, no latency",
        per_page=100,
        latency=0,
        workers=4,
        contenders={"ours": 3, "ours-postgres": 3},
    ),
    "extract-million": Work(
        "five times the rows, 100 a page, no latency",
        per_page=100,
        latency=0,
        workers=4,
        contenders={"floor": 2, "ours": 2},
        scale=5,
    ),
}
