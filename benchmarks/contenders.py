"""Who runs, by name: the command, and whether it starts from a load that is there already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.measure import BOAST, PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable

OURS = [BOAST, "load", "--resources", "sequence_enrollments", "--json"]


@dataclass(frozen=True)
class Contender:
    """`command(base_url, workers)`; `again`: measured on what it has loaded before; `stores`: it leaves rows, in a
    DuckDB file or in `postgres`.
    """

    title: str
    command: Callable[[str, int], list[str]]
    again: bool = False
    stores: bool = True
    postgres: bool = False


CONTENDERS = {
    "floor": Contender(
        "bare floor: requests, orjson, Arrow, one insert",
        lambda url, workers: [*PYTHON, "benchmarks.floor", url, str(workers)],
    ),
    "fetch-requests": Contender(
        "fetch and parse alone, requests",
        lambda url, workers: [*PYTHON, "benchmarks.fetch", "requests", url, str(workers)],
        stores=False,
    ),
    "fetch-ours": Contender(
        "fetch and parse alone, our client",
        lambda url, workers: [*PYTHON, "benchmarks.fetch", "ours", url, str(workers)],
        stores=False,
    ),
    "ours": Contender("**boast load**, with history, compared and verified", lambda *_: OURS),
    "ours-again": Contender("**boast load** again, nothing changed", lambda *_: OURS, again=True),
    "ours-whole": Contender(
        "**boast load --full-refresh** over all rows", lambda *_: [*OURS, "--full-refresh"], again=True
    ),
    "ours-postgres": Contender(
        "**boast load** into a local Postgres", lambda *_: [*OURS, "--destination", "postgres"], postgres=True
    ),
    "rest-api": Contender("dlt `rest_api`, defaults", lambda url, _: [*PYTHON, "benchmarks.rest_api", url]),
    "rest-api-parquet": Contender(
        'dlt `rest_api`, `loader_file_format="parquet"`',
        lambda url, _: [*PYTHON, "benchmarks.rest_api", url, "parquet"],
    ),
}
