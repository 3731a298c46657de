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
        contenders={"floor": 5, "ours": 5, "rest-api-parquet": 1, "rest-api": 1},
    ),
    "extract-20ms": Work(
        "into an empty DuckDB file, 100 a page, 20 ms a page",
        per_page=100,
        latency=20,
        workers=16,
        contenders={"floor": 5, "ours": 5, "rest-api-parquet": 5, "rest-api": 5},
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
        contenders={"ours": 5, "ours-postgres": 5},
    ),
    "extract-million": Work(
        "five times the rows, 100 a page, no latency",
        per_page=100,
        latency=0,
        workers=4,
        contenders={"floor": 1, "ours": 5, "ours-again": 1, "ours-whole": 1},
        scale=5,
    ),
}


@dataclass(frozen=True)
class Promise:
    """A line of the summary: the time of `who` in `work` by that of `than`, in the same work or in `than_work`."""

    title: str
    work: str
    who: str
    than: str
    than_work: str | None = None


PROMISES = (
    Promise("100 a page, no latency: load / bare floor", "extract-100", "ours", "floor"),
    Promise("100 a page, no latency: dlt `rest_api` with defaults / load", "extract-100", "rest-api", "ours"),
    Promise("100 a page, no latency: dlt `rest_api` with Parquet / load", "extract-100", "rest-api-parquet", "ours"),
    Promise("100 a page, 20 ms a page: load / bare floor", "extract-20ms", "ours", "floor"),
    Promise("100 a page, 20 ms a page: dlt `rest_api` with defaults / load", "extract-20ms", "rest-api", "ours"),
    Promise("100 a page, 20 ms a page: dlt `rest_api` with Parquet / load", "extract-20ms", "rest-api-parquet", "ours"),
    Promise("20 a page, no latency: load / bare floor", "extract-20", "ours", "floor"),
    Promise("nothing changed: load / fetch and parse alone (requests)", "again-100", "ours-again", "fetch-requests"),
    Promise("nothing changed: load / fetch and parse alone (our client)", "again-100", "ours-again", "fetch-ours"),
    Promise("into a local Postgres / into DuckDB", "postgres-100", "ours-postgres", "ours"),
    Promise("five times the rows: load / load of the rows", "extract-million", "ours", "ours", "extract-100"),
)
