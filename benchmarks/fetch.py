"""Fetching and parsing all pages and nothing else: what a load in which nothing changed cannot do without.

`python -m benchmarks.fetch requests|ours BASE_URL WORKERS`
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import orjson

from benchmarks.pages import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterator

LIST = f"/accounts/{ACCOUNT}/sequence_enrollments"
_thread = threading.local()


def with_requests(base_url: str, workers: int) -> Iterator[list[dict[str, Any]]]:
    """The records of each page; `requests` with a session per thread, as people write it."""
    import requests  # noqa: PLC0415 -- the other way does not pay for it

    def fetch(number: int) -> Any:
        if not hasattr(_thread, "session"):
            _thread.session = requests.Session()
            _thread.session.headers["Authorization"] = "Bearer x"
        answer = _thread.session.get(f"{base_url}{LIST}", params={"page": number}, timeout=60)
        answer.raise_for_status()
        return orjson.loads(answer.content)

    first = fetch(1)
    yield first["data"]
    with ThreadPoolExecutor(workers) as pool:
        for page in pool.map(fetch, range(2, first["meta"]["pagination"]["pages"] + 1)):
            yield page["data"]


def with_ours(base_url: str, workers: int) -> Iterator[list[dict[str, Any]]]:
    """The same through the connector's client."""
    from boast_source import BoastClient  # noqa: PLC0415 -- the other way does not pay for it

    with BoastClient("x", base_url=base_url, max_concurrency=workers) as client:
        first = client.page(LIST, 1)
        yield first.records
        with ThreadPoolExecutor(workers) as pool:
            for page in pool.map(lambda number: client.page(LIST, number), range(2, (first.pages or 1) + 1)):
                yield page.records


if __name__ == "__main__":
    ways = {"requests": with_requests, "ours": with_ours}
    total = sum(len(records) for records in ways[sys.argv[1]](sys.argv[2], int(sys.argv[3])))
    print(total)
