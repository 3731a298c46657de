"""The API as a plain Python object, for tests with thousands of loads: its lists change between any two requests.

It has the client's methods `page` and `record`, and remembers what was true at each point in time.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from boast_source.api import Page
from boast_source.errors import NotFoundError

NEW_YEAR = datetime(2026, 1, 1, tzinfo=timezone.utc)
ORDERS = ("created_asc", "created_desc", "updated_asc", "updated_desc")
STATUSES = ("active", "completed", "removed")
# each change comes with a number that picks its row (or account)
CHANGES = ("insert", "update", "silent", "touch", "delete", "restore", "back", "tie", "note", "move")
Change = tuple[str, int]
Content = tuple[Any, ...]  # account, status, updated_at, note


def stamp(milliseconds: int) -> str:
    moment = NEW_YEAR + timedelta(milliseconds=milliseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


@dataclass
class Row:
    """An enrollment. `created`, `updated`: milliseconds of the API's clock."""

    key: str
    account: str
    created: int
    updated: int
    status: int = 0
    note: str | None = None
    listed: bool = True

    def record(self) -> dict[str, Any]:
        known = {"id": self.key, "status": STATUSES[self.status % 3], "updated_at": stamp(self.updated)}
        return known | ({"note": self.note} if self.note else {})

    def content(self) -> Content | None:
        return (self.account, STATUSES[self.status % 3], stamp(self.updated), self.note) if self.listed else None


@dataclass
class PlainApi:
    """`drift`: the changes to make before each of the next requests."""

    order: str = "created_asc"
    size: int = 3
    accounts: list[str] = field(default_factory=lambda: ["A"])
    rows: dict[str, Row] = field(default_factory=dict)
    drift: list[list[Change]] = field(default_factory=list)
    moments: dict[str, list[tuple[int, Content | None]]] = field(default_factory=dict)
    clock: int = 1000
    lock: threading.Lock = field(default_factory=threading.Lock)

    # What the client is asked

    def page(self, path: str, number: int = 1, _tally: object = None) -> Page:
        with self.lock:
            self._pass_time()
            account = path.strip("/").split("/")[1:2]
            if not account:
                return self._paged([{"id": name, "updated_at": stamp(0)} for name in self.accounts], number)
            if account[0] not in self.accounts:
                raise _not_found(path)
            by, _, direction = self.order.partition("_")
            mine = [row for row in self.rows.values() if row.listed and row.account == account[0]]
            mine.sort(key=lambda row: (getattr(row, by), row.key), reverse=direction == "desc")
            return self._paged([row.record() for row in mine], number)

    def record(self, path: str, _tally: object = None) -> dict[str, Any]:
        with self.lock:
            self._pass_time()
            _, account, _, key = path.strip("/").split("/")
            row = self.rows.get(key)
            if row is None or not row.listed or row.account != account:
                raise _not_found(path)
            return row.record()

    def _paged(self, records: list[dict[str, Any]], number: int) -> Page:
        pages = max(1, -(-len(records) // self.size))
        here = records[(number - 1) * self.size : number * self.size]
        return Page(number, here, len(records), self.size, pages, paginated=True)

    def _pass_time(self) -> None:
        for change in self.drift.pop(0) if self.drift else ():
            self.change(change)

    # What happens

    def change(self, change: Change) -> None:
        kind, pick = change
        self.clock += 1
        if kind == "insert":
            key = f"e{len(self.rows):03}"
            self.rows[key] = Row(key, self.accounts[pick % len(self.accounts)], self.clock, self.clock)
            return self._remember(self.rows[key])
        there = [row for row in self.rows.values() if row.listed == (kind != "restore")]
        if not there:
            return None
        row = there[pick % len(there)]
        if kind in {"update", "silent", "back", "tie"}:
            row.status += 1
        if kind in {"update", "touch"}:
            row.updated = self.clock
        elif kind == "back":
            row.updated -= 500
        elif kind == "tie":
            row.updated = there[(pick + 1) % len(there)].updated
        elif kind == "note":
            row.note = None if row.note else f"note {self.clock}"
        elif kind == "move":
            row.account = self.accounts[(self.accounts.index(row.account) + 1) % len(self.accounts)]
        elif kind in {"delete", "restore"}:
            row.listed = kind == "restore"
        return self._remember(row)

    def open_account(self) -> None:
        self.accounts.append(chr(ord("A") + len(self.accounts)))

    def _remember(self, row: Row) -> None:
        self.moments.setdefault(row.key, []).append((self.clock, row.content()))

    # What was true

    def truth(self) -> dict[str, Content]:
        return {key: content for key, row in self.rows.items() if (content := row.content())}

    def during(self, key: str, begin: int) -> set[Content | None]:
        """Return every content that an enrollment had from `begin` until now; None: it was not listed."""
        moments = self.moments[key]
        before = [content for at, content in moments if at <= begin][-1:] or [None]
        return {*before, *(content for at, content in moments if at > begin)}


def _not_found(path: str) -> NotFoundError:
    return NotFoundError("gone", hint="-", method="GET", path=path, status=404)
