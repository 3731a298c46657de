"""A living Boast API on loopback, written from the vendor's documents: its lists change at any time.

It remembers the truth: every state of every record with the tick at which it began, and what each answer delivered.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "token-of-a-world"
LISTS = ("sequence_enrollments", "contacts", "forms", "responses", "sequences")
ORDERS = ("created_asc", "created_desc", "updated_asc", "updated_desc")


@dataclass
class Row:
    """A record on the server. `created` and `updated` (milliseconds) order the list; `content` is what is shown."""

    id: str
    created: int
    updated: int
    content: dict[str, Any]


@dataclass(frozen=True)
class Delivery:
    """One record in one answer; `content` is None for a 404. `asked` and `answered` are seconds."""

    content: dict[str, Any] | None
    asked: float
    answered: float
    tick: int


@dataclass
class Pages:
    """How the server pages."""

    order: str
    size: int
    beyond: str  # empty, 404 or last
    latency: float  # seconds, at most
    least_pages: int  # what an empty list says it has
    bare_accounts: bool  # the list of accounts has no meta


@dataclass
class Living:
    """The state of the server. Its lock is held for each change and each page."""

    pages: Pages
    chance: random.Random
    lists: dict[tuple[str, str], dict[str, Row]] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    tick: int = 0
    truth: dict[tuple[str, str], dict[str, list[tuple[int, Any]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    updates: dict[tuple[str, str], dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    delivered: dict[tuple[str, str], dict[str, list[Delivery]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    counts: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    requests: int = 0
    log: list[str] = field(default_factory=list)  # of the run, for the reader of a failure
    stir: Any = None  # called under the lock before each answer: the world goes on
    write: Any = None  # (account, method, id, body) -> (status, document, fate)
    lock: Any = field(default_factory=threading.RLock)

    def put(self, where: tuple[str, str], row: Row) -> None:
        with self.lock:
            self.tick += 1
            self.lists[where][row.id] = row
            self.truth[where][row.id].append((self.tick, json.loads(json.dumps(row.content))))

    def remove(self, where: tuple[str, str], key: str) -> Row:
        with self.lock:
            self.tick += 1
            self.truth[where][key].append((self.tick, None))
            return self.lists[where].pop(key)

    def states(self, where: tuple[str, str], key: str, start: int, end: int) -> list[Any]:
        """Return all states (None: not there) that the record had between two ticks, both included, oldest first."""
        seen: list[Any] = [None]
        for tick, content in self.truth[where].get(key, ()):
            if tick <= start:
                seen = [content]
            elif tick <= end:
                seen.append(content)
        return seen

    def moved(self, where: tuple[str, str], start: int, end: int) -> bool:
        return any(start < tick <= end for events in self.truth[where].values() for tick, _ in events)

    def sizes(self, where: tuple[str, str], start: int, end: int) -> set[int]:
        """Return all counts that the list had between two ticks."""
        events = sorted((tick, key, c is not None) for key, log in self.truth[where].items() for tick, c in log)
        there: set[str] = set()
        sizes = {0}
        for tick, key, present in events:
            if tick > end:
                break
            (there.add if present else there.discard)(key)
            sizes = {len(there)} if tick <= start else sizes | {len(there)}
        return sizes

    def ordered(self, where: tuple[str, str]) -> list[Row]:
        by, way = self.pages.order.split("_")
        return sorted(self.lists[where].values(), key=lambda r: (getattr(r, by), r.id), reverse=way == "desc")

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, Any, str]:
        """Return status, document and what becomes of the answer: `whole`, `drop` (nothing is sent) or a delay."""
        asked = time.monotonic()
        with self.lock:
            self.requests += 1
            if token != TOKEN:
                return 401, problem("unauthorized"), "whole"
            if self.stir:
                self.stir(self.requests)
            self.log.append(f"{self.tick} {method} {path}")
            route, _, query = path.partition("?")
            parts = route.strip("/").split("/")[1:]
            if method != "GET":
                return self.write(parts[1], method, parts[3] if len(parts) > 3 else None, body)
            page = int(query.removeprefix("page=")) if query else 1
            if parts == ["accounts"]:
                everything = list(self.accounts.values())
                return (
                    200,
                    {"data": everything} if self.pages.bare_accounts else self._page(everything, page)[1],
                    "whole",
                )
            if len(parts) == 2:
                found = self.accounts.get(parts[1])
                return (200, {"data": found}, "whole") if found else (404, problem("not_found"), "whole")
            where = (parts[1], parts[2])
            if where not in self.lists:
                return 404, problem("not_found"), "whole"
            if len(parts) == 4:
                row = self.lists[where].get(parts[3])
                self._note(where, parts[3], row and row.content, asked)
                return (200, {"data": row.content}, "whole") if row else (404, problem("not_found"), "whole")
            status, document = self._page([row.content for row in self.ordered(where)], page)
            if status == 200:
                self.counts[where].add(document["meta"]["pagination"]["count"])
                for record in document["data"]:
                    self._note(where, record["id"], record, asked)
            return status, json.loads(json.dumps(document)), "whole"

    def note(self, where: tuple[str, str], key: str, content: Any) -> None:
        """Note what a write is about to answer with."""
        self._note(where, key, content, time.monotonic())

    def _note(self, where: tuple[str, str], key: str, content: Any, asked: float) -> None:
        copied = json.loads(json.dumps(content))
        self.delivered[where][key].append(Delivery(copied, asked, time.monotonic(), self.tick))

    def _page(self, records: list[Any], page: int) -> tuple[int, Any]:
        size = self.pages.size
        pages = max(-(-len(records) // size), self.pages.least_pages)
        if page > max(pages, 1):
            if self.pages.beyond == "404":
                return 404, problem("not_found")
            if self.pages.beyond == "last":
                page = pages or 1
        shown = records[(page - 1) * size : page * size]
        return 200, {
            "data": shown,
            "meta": {"pagination": {"count": len(records), "page": page, "items": size, "pages": pages}},
        }


def problem(code: str, detail: str = "no", status: int | None = None) -> dict[str, Any]:
    return {"errors": [{"code": code, "detail": detail} | ({"status": status} if status else {})]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet

    def _do(self) -> None:
        living: Living = self.server.living  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        token = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        status, document, fate = living.answer(self.command, self.path, token, body)
        if living.pages.latency:
            time.sleep(living.chance.random() * living.pages.latency)
        if fate == "drop":
            self.close_connection = True
            return
        text = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text[: len(text) // 2] if fate == "cut" else text)
        self.close_connection = self.close_connection or fate == "cut"

    do_GET = do_POST = do_DELETE = _do  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """A client that was killed is no news."""


@contextmanager
def serving(living: Living):
    """Yield the base URL."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.living = living  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()
