"""A paged list that changes between any two requests, and a sweep's index in plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from boast_source.api import Page

if TYPE_CHECKING:
    import random

ORDERS = ("created_up", "created_down", "updated_up", "updated_down")
KINDS = ("insert", "update", "delete")


class Memory:
    """An index in plain Python."""

    def __init__(self):
        self.delivered: dict[int, list[dict]] = {}
        self.paged: dict[int, list[dict]] = {}  # what had arrived when `distinct` was first called

    def add(self, records, number, size=0):
        self.delivered.setdefault(number, []).extend(records)

    def distinct(self, number):
        pages = self.paged.setdefault(number, list(self.delivered.get(number, [])))
        return len({r["id"] for r in pages})

    def total(self, number):
        return len({r["id"] for r in self.delivered.get(number, [])})

    def same_as_before(self, number):
        def content(n):
            return {tuple(sorted(r.items())) for r in self.paged.get(n, self.delivered.get(n, []))}

        return content(number) == content(number - 1)

    def everything(self):
        return {r["id"] for records in self.delivered.values() for r in records}


def record(key, version=0):
    return {"id": key, "updated_at": f"2026-01-01T00:00:{version:02}Z"}


def paged(rows, number, size=3, **lies):
    pages = max(1, -(-len(rows) // size))
    facts = {"count": len(rows), "items": size, "pages": pages} | lies
    return Page(paginated=True, number=number, records=rows[(number - 1) * size : number * size], **facts)


@dataclass
class Moving:
    """A list in one of the API's orders that changes between page requests."""

    rows: list[dict]
    order: str
    rng: random.Random
    changes: list[list[str]]
    size: int = 3
    made: int = 0
    tick: int = 0
    still: bool = True

    def pass_time(self):
        changes = self.changes.pop() if self.changes else []
        for change in changes:
            self.change(change)
        return changes

    def fetch(self, number):
        changes = self.pass_time()
        self.still = number == 1 or (self.still and not changes)  # since the pass began
        field, down = self.order.split("_")
        ordered = sorted(self.rows, key=lambda r: (r[field], r["id"]), reverse=down == "down")
        return paged(ordered, number, self.size)

    def change(self, kind):
        self.tick += 1
        if kind == "insert":
            self.made += 1
            self.rows.append({"id": f"n{self.made:04}", "created": self.tick, "updated": self.tick})
        elif self.rows:
            row = self.rng.choice(self.rows)
            if kind == "delete":
                self.rows.remove(row)
            else:
                row_now = row | {"updated": self.tick}
                self.rows[self.rows.index(row)] = row_now
