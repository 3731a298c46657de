"""A changing list and a warehouse for it in plain Python, for tests of incremental passes (listing/recent.py)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from boast_source.api import Page
from boast_source.errors import NotFoundError
from boast_source.listing.order import ListState
from boast_source.listing.recent import read_recent

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
HOUR = 3600
OVERLAP = timedelta(hours=1)
ORDERS = ("updated_asc", "updated_desc", "created_asc", "created_desc")


def at(second):
    return START + timedelta(seconds=second)


def text(second):
    return at(second).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Server:
    """A paged list. `rows`: (created, updated, content) by id, times in seconds of its clock; `order`: of the list."""

    def __init__(self, rng, order, size, rows, past_end="empty"):
        self.rng, self.order, self.size, self.past_end = rng, order, size, past_end
        self.now = 400 * 24 * HOUR
        self.rows, self.serial, self.requests, self.between = {}, 0, 0, lambda: None
        self.shown = None  # if a list: gets each page sent, with the rows at that time
        for _ in range(rows):
            created = rng.randrange(self.now)
            changed = created + rng.choice([0, rng.randrange(90 * 24 * HOUR)])
            self.put(created, changed if changed < self.now else created)

    def put(self, created, updated):
        self.serial += 1
        self.rows[f"r{self.serial}"] = (created, updated, 0)

    def keys(self):
        by = 0 if self.order.startswith("created") else 1
        return sorted(self.rows, key=lambda key: (self.rows[key][by], key), reverse=self.order.endswith("desc"))

    def listed(self):
        return [self.record(key) for key in self.keys()]

    def record(self, key):
        created, updated, content = self.rows[key]
        return {"id": key, "created_at": text(created), "updated_at": text(updated), "content": content}

    def page(self, number):
        self.between()
        self.requests += 1
        keys = self.keys()
        pages = max(1, -(-len(keys) // self.size))
        if number > pages and self.past_end == "404":
            raise NotFoundError("no such page", hint="", method="GET", path="")
        shown = pages if number > pages and self.past_end == "last" else number
        records = [self.record(key) for key in keys[(shown - 1) * self.size : shown * self.size]]
        page = Page(number, records, len(keys), self.size, pages, paginated=True)
        if self.shown is not None:
            self.shown.append((page, dict(self.rows)))
        return page

    def ask(self, key):
        self.requests += 1
        return self.record(key) if key in self.rows else None

    # what happens to it

    def update(self):
        if self.rows:
            key = self.rng.choice(sorted(self.rows))
            created, _, content = self.rows[key]
            self.now += 1
            self.rows[key] = (created, self.now, content + 1)

    def silently(self):
        if self.rows:
            key = self.rng.choice(sorted(self.rows))
            created, updated, content = self.rows[key]
            self.rows[key] = (created, updated, content + 1)

    def insert(self):
        self.now += 1
        self.put(self.now, self.now)

    def late(self):
        moment = self.now - self.rng.randrange(HOUR // 2)
        self.put(moment, moment)

    def very_late(self):
        moment = self.rng.randrange(self.now - 2 * HOUR)
        self.put(moment, moment)

    def delete(self):
        if self.rows:
            del self.rows[self.rng.choice(sorted(self.rows))]

    def delete_new(self):
        if self.rows:
            del self.rows[max(self.rows, key=lambda key: self.rows[key][1])]

    def reorder(self):
        self.order = self.rng.choice(ORDERS)

    def rest(self):
        self.now += self.rng.randrange(3 * HOUR)


class Rest:
    def __init__(self, rows):
        self.rows, self.cursors = rows, sorted(rows.values())

    def between(self, low, high):
        return {k for k, c in self.rows.items() if (low is None or c > low) and (high is None or c <= high)}


class Warehouse:
    """The stored records, by id."""

    def __init__(self):
        self.rows, self.counted = {}, None

    def count(self):
        return len(self.rows) if self.counted is None else self.counted

    def equal(self, records):
        return {r["id"]: self.rows[r["id"]] == r for r in records if r["id"] in self.rows}

    def above(self, moment):
        return {key for key, r in self.rows.items() if r["updated_at"] > text((moment - START).total_seconds())}

    def rest(self, without):
        return Rest({key: micro(r["updated_at"]) for key, r in self.rows.items() if key not in without})

    def load(self, server):
        """Load a full, stable listing; return its state with the order it found (order.py has its own tests)."""
        records = server.listed()
        self.rows = {r["id"]: r for r in records}
        order = {"updated_asc": "oldest_first", "updated_desc": "newest_first"}.get(server.order)
        moment = at(server.now)
        newest = max((r["updated_at"] for r in records), default=None)
        pages = max(1, -(-len(records) // server.size))
        return ListState("a", "contacts", moment, order, moment, newest and parsed(newest), len(records), pages)

    def take(self, recent):
        for page in recent.pages:
            self.rows.update({r["id"]: r for r in page.records})
        for key in recent.gone:
            del self.rows[key]


def micro(moment):
    return round(parsed(moment).timestamp() * 1_000_000)


def parsed(moment):
    return datetime.fromisoformat(moment.replace("Z", "+00:00"))


def incremental(server, warehouse, state, *, marks_gone=True):
    """Read a recent pass and load it; return the next state and the pass."""
    moment = at(server.now)
    warehouse.counted = None if marks_gone else state.counted
    recent = read_recent(
        server.page, server.ask, warehouse, state, cursor="updated_at", overlap=OVERLAP, marks_gone=marks_gone
    )
    warehouse.take(recent)
    newest = max(parsed(r["updated_at"]) for page in recent.pages for r in page.records)
    return replace(state, read_at=moment, newest=newest, counted=recent.count, pages=recent.pages[0].pages), recent
