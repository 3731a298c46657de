"""Fetching and parsing all pages and nothing else: what a load in which nothing changed cannot do without.

`python -m benchmarks.fetch requests|ours|libcurl BASE_URL WORKERS` prints records, seconds and seconds of CPU, imports
left out.
"""

from __future__ import annotations

import sys
import threading
import time
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


def with_libcurl(base_url: str, workers: int) -> Iterator[list[dict[str, Any]]]:
    """The same through pycurl with a handle per thread: libcurl at its best, without any of our checks."""
    import pycurl  # noqa: PLC0415 -- the other ways do not need it

    def fetch(number: int) -> Any:
        if not hasattr(_thread, "handle"):
            _thread.handle = pycurl.Curl()
            _thread.handle.setopt(pycurl.HTTPHEADER, ["Authorization: Bearer x"])
            _thread.handle.setopt(pycurl.ACCEPT_ENCODING, "gzip")
            _thread.handle.setopt(pycurl.TIMEOUT, 60)
        _thread.handle.setopt(pycurl.URL, f"{base_url}{LIST}?page={number}")
        body = _thread.handle.perform_rb()
        if _thread.handle.getinfo(pycurl.RESPONSE_CODE) != 200:
            raise RuntimeError(f"page {number} failed")
        return orjson.loads(body)

    first = fetch(1)
    yield first["data"]
    with ThreadPoolExecutor(workers) as pool:
        for page in pool.map(fetch, range(2, first["meta"]["pagination"]["pages"] + 1)):
            yield page["data"]


def main(way: str, base_url: str, workers: int) -> None:
    pages = {"requests": with_requests, "ours": with_ours, "libcurl": with_libcurl}[way](base_url, workers)
    total = len(next(pages))  # with the first page come the imports
    began, busy = time.perf_counter(), time.process_time()
    total += sum(map(len, pages))
    print(total, time.perf_counter() - began, time.process_time() - busy)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
