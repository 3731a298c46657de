"""The records of a world: how they look at first, and how they change. All is drawn from one random generator."""

from __future__ import annotations

import copy
import random
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.support.world_server import LISTS, Living, Row

BEGIN = int(datetime(2025, 1, 10, tzinfo=timezone.utc).timestamp() * 1000)
DAY = 86_400_000
TIMES = {"responses": ("created", "updated")}  # else created_at, updated_at
STATUSES = ("active", "active", "active", "completed", "completed", "removed", "paused")
WORDS = (
    "Zoë",
    "",
    "O'Brien",
    'a "quoted" word',
    "line\nbreak",
    "tab\there",
    " blank ",
    "名前",
    "plain",
    "NULL",
    "\\N",
    "{}",
)
ODD = ("loud", "score", "vip", "details", "labels", "leadScore")


def spelled(moment: int) -> str:
    """Return milliseconds as the API spells times."""
    return (datetime.fromtimestamp(0, timezone.utc) + timedelta(milliseconds=moment)).strftime(
        "%Y-%m-%dT%H:%M:%S."
    ) + f"{moment % 1000:03d}Z"


def oddly_spelled(moment: int, chance: random.Random) -> str:
    """Return the same time in one of the ways in which a server might spell it."""
    plain = spelled(moment)
    there = spelled(moment + 3_600_000)[:-1]
    return chance.choice(
        (
            plain.lower(),
            plain.replace(".", ","),
            f"{there}+01:00",
            f"{there.replace('T', ' ')} +0100",
            plain[:-1] + "+00:00",
        )
    )


class Nature:
    """Draws records and changes, at the server's own clock."""

    def __init__(self, living: Living, chance: random.Random, odd: float) -> None:
        self.living = living
        self.chance = chance
        self.odd = odd  # how often a field is unusual
        self.now = BEGIN
        self.gone: dict[tuple[str, str], list[Row]] = {}
        self.done: list[str] = []  # what happened, for the reader of a failure

    def key(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def pass_time(self, most: int = 3 * DAY) -> None:
        """Let the clock go on, mostly; now and then it jumps back by seconds."""
        self.now += self.chance.randint(1, most) if self.chance.random() < 0.9 else -self.chance.randint(0, 5000)

    def populate(self, accounts: list[str], rows: int) -> None:
        for number, account in enumerate(accounts):
            times = {"created_at": spelled(self.now), "updated_at": spelled(self.now)}
            self.living.accounts[account] = {"id": account, "name": f"Account {number}"} | times
            for name in LISTS:
                self.living.lists[account, name] = {}
            for name, count in (("forms", 2), ("sequences", self.chance.randint(1, 3)), ("contacts", rows // 2 + 2)):
                for _ in range(count):
                    self.insert((account, name))
            for name, count in (("responses", rows // 4 + 1), ("sequence_enrollments", rows)):
                for _ in range(self.chance.randint(count // 2, count)):
                    self.insert((account, name))

    def insert(self, where: tuple[str, str], late: bool = False) -> Row:
        self.pass_time(DAY)
        moment = self.now - (self.chance.randint(30, 90) * DAY // 3 if late else 0)
        key = self.key()
        row = Row(key, moment, moment, {"id": key} | getattr(self, f"_{where[1]}")(where[0]))
        self._stamp(where[1], row, both=True)
        self._unusual(where[1], row)
        self.living.put(where, row)
        return row

    def _stamp(self, name: str, row: Row, both: bool = False) -> None:
        created, updated = TIMES.get(name, ("created_at", "updated_at"))
        row.content[updated] = spelled(row.updated)
        if both:
            row.content[created] = spelled(row.created)

    def _any(self, account: str, name: str) -> str | None:
        rows = self.living.lists[account, name]
        return self.chance.choice(sorted(rows)) if rows else None

    def _sequence_enrollments(self, account: str) -> dict[str, Any]:
        status = self.chance.choice(STATUSES)
        answered = self.chance.random() < (0.5 if status == "completed" else 0.1)
        return {
            "contact_id": self._any(account, "contacts"),
            "sequence_id": self._any(account, "sequences"),
            "response_id": self._any(account, "responses") if answered else None,
            "status": status,
        }

    def _contacts(self, account: str) -> dict[str, Any]:
        number = self.chance.randint(0, 9999)
        return {
            "first_name": self.chance.choice(WORDS),
            "last_name": self.chance.choice(WORDS),
            "email": f"p{number}@example.com",
            "mobile_phone": None if number % 2 else f"+1555555{number:04d}",
            "organization": None,
            "job_title": self.chance.choice(WORDS),
            "source": "api",
            "links": {"detail": f"https://d/{number}", "edit": f"https://e/{number}"},
        }

    def _forms(self, account: str) -> dict[str, Any]:
        return {"name": self.chance.choice(WORDS), "status": "active"}

    def _sequences(self, account: str) -> dict[str, Any]:
        forms = self._any(account, "forms")
        return {
            "collection_form_id": forms,
            "enrollment_form_id": None,
            "name": f"S{self.key()[:6]}",
            "status": "active",
        }

    def _responses(self, account: str) -> dict[str, Any]:
        return {
            "status": self.chance.choice(("published", "needs_review")),
            "thumbnail": {"url": "https://t/1", "open_graph_url": None, "unprocessed_url": "https://t/2"},
            "consent": "received",
            "display_weight": self.chance.choice((1, 2.5, None)),
            "form_id": self._any(account, "forms"),
            "contact_id": self._any(account, "contacts"),
            "accepted": None,
            "fields": {
                "first_name": self.chance.choice(WORDS),
                "feedback": self.chance.choice(WORDS),
                "rating": self.chance.choice((1, 4.5, 5)),
                "rating_max": 5,
                "photo": self.chance.choice((None, {"url": "https://p/1"})),
            },
            "additional_fields": self.chance.choice(({}, {"a": 1, "b": ["x", None]}, {"ü": "ß"})),
            "tags": self.chance.choice(([], [{"name": "one"}], [{"name": "two"}, {"name": "three"}])),
            "links": {"detail": "https://d/r", "edit": None, "share": "https://s/r"},
        }

    def _unusual(self, name: str, row: Row) -> None:
        """Give the record unknown fields, leave known ones out, or null them."""
        chance = self.chance
        if chance.random() < self.odd:
            field = chance.choice(ODD)
            row.content[field] = chance.choice(
                (1, 2, -7, 10**15, 2.5, True, False, None, "", "text", "12", {"a": [1, None]}, [1, "b"], "2025-02-03")
            )
        if chance.random() < self.odd / 2 and name in ("sequence_enrollments", "contacts"):
            row.content["created_at"] = oddly_spelled(row.created, chance)
        if chance.random() < self.odd / 2 and name == "sequence_enrollments":
            field = chance.choice(("response_id", "status", "created_at", "contact_id", "sequence_id"))
            if chance.random() < 0.5:
                row.content[field] = None
            else:
                row.content.pop(field, None)

    def change(self, where: tuple[str, str]) -> None:
        """Let one thing happen in a list."""
        rows = self.living.lists[where]
        kinds = ["insert", "insert", "update", "update", "update", "silent", "vanish", "return", "late", "undo"]
        kind = self.chance.choice(kinds)
        if kind in ("silent", "late", "undo") and self.chance.random() < 0.6:
            kind = "update"
        self.pass_time()
        if kind in ("insert", "late"):
            self._log(where, kind, self.insert(where, late=kind == "late").id)
        elif kind == "return":
            if self.gone.get(where):
                row = self.gone[where].pop(self.chance.randrange(len(self.gone[where])))
                self.living.put(where, row)
                self._log(where, kind, row.id)
        elif rows and kind == "vanish":
            row = self.living.remove(where, self.chance.choice(sorted(rows)))
            self.gone.setdefault(where, []).append(row)
            self._log(where, kind, row.id)
        elif rows:
            self.update(where, self.chance.choice(sorted(rows)), silent=kind == "silent")

    def update(self, where: tuple[str, str], key: str, silent: bool = False) -> None:
        old = self.living.lists[where][key]
        row = Row(old.id, old.created, old.updated if silent else self.now, copy.deepcopy(old.content))
        fresh = getattr(self, f"_{where[1]}")(where[0])
        for field in self.chance.sample(sorted(fresh), self.chance.randint(1, 2)):
            row.content[field] = fresh[field]
        if self.chance.random() < self.odd:
            for field in ODD:
                if self.chance.random() < 0.5:
                    row.content.pop(field, None)
        self._unusual(where[1], row)
        if not silent:
            self._stamp(where[1], row)
        self.living.put(where, row)
        self._log(where, "silent" if silent else "update", key)

    def enroll(self, account: str, contact: str, sequence: str) -> Row:
        """Make the enrollment that a POST asks for."""
        self.pass_time()
        content = {"contact_id": contact, "sequence_id": sequence, "response_id": None, "status": "active"}
        row = Row(self.key(), self.now, self.now, {})
        row.content |= {"id": row.id} | content
        self._stamp("sequence_enrollments", row, both=True)
        self.living.put((account, "sequence_enrollments"), row)
        self._log((account, "sequence_enrollments"), "POST", row.id)
        return row

    def unenroll(self, account: str, key: str) -> Row:
        """Do what a DELETE asks for."""
        self.pass_time()
        old = self.living.lists[account, "sequence_enrollments"][key]
        row = Row(old.id, old.created, self.now, old.content | {"status": "removed"})
        self._stamp("sequence_enrollments", row)
        self.living.put((account, "sequence_enrollments"), row)
        self._log((account, "sequence_enrollments"), "DELETE", key)
        return row

    def _log(self, where: tuple[str, str], kind: str, key: str) -> None:
        self.done.append(f"{self.living.tick}: {kind} {where[1]} {key[:8]}")
