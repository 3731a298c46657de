"""Pushing in a world: a pending table that grows, a server that fails writes, and what must hold after each run.

The server knows which POST and DELETE acted. So it knows who was enrolled, and how often.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.support.world_records import Nature
from tests.support.world_server import Row, problem
from tests.support.world_store import Rows

COLUMNS = ("request_id", "account_id", "contact_id", "sequence_id", "action", "requested_at")
FATES = ("500", "act, 500", "act, drop", "drop", "act, cut", "429", "503", "html")
OPEN = ("claimed", "unknown")
WAITING = ("held", "refused", "unknown", "invalid", "duplicate")
ENROLLMENTS = "sequence_enrollments"


@dataclass
class Office:
    """The server's side of writes, and the pending table. Its lock is the server's."""

    nature: Nature
    chance: random.Random
    faults: float  # how likely a write fails
    welcomes: bool  # a POST for somebody who is active makes a second enrollment, else a 422
    rows: list[dict[str, Any]] = field(default_factory=list)
    made: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # by enrollment id: account, contact, sequence
    removed: set[str] = field(default_factory=set)
    again: list[str] = field(default_factory=list)  # enrollments that were made although the contact was active
    sound: bool = True  # False: faults are over

    def __post_init__(self) -> None:
        self.nature.living.write = self.write

    def active(self, account: str, contact: str, sequence: str) -> list[str]:
        rows = self.nature.living.lists[account, ENROLLMENTS].values()
        return [
            row.id
            for row in rows
            if (row.content.get("contact_id"), row.content.get("sequence_id")) == (contact, sequence)
            and row.content.get("status") == "active"
        ]

    def write(self, account: str, method: str, key: str | None, body: bytes) -> tuple[int, Any, str]:
        fate = self.chance.choice(FATES) if self.chance.random() < self.faults else "act"
        if not fate.startswith("act"):
            answers = {"500": 500, "429": 429, "503": 503}
            if fate == "html":
                return 200, b"<html>busy</html>", "whole"
            return (answers[fate], problem("later"), "whole") if fate in answers else (0, {}, "drop")
        done = self._post(account, json.loads(body)) if method == "POST" else self._delete(account, str(key))
        if isinstance(done, str):
            return 422, problem(done), "whole"
        if fate == "act, 500":
            return 500, problem("oops"), "whole"
        if fate == "act":
            self.nature.living.note((account, ENROLLMENTS), done.id, done.content)
        return 200, {"data": done.content}, {"act, drop": "drop", "act, cut": "cut"}.get(fate, "whole")

    def _post(self, account: str, body: dict[str, Any]) -> Row | str:
        contact, sequence = body["contact_id"], body["sequence_id"]
        lists = self.nature.living.lists
        if contact not in lists[account, "contacts"] or sequence not in lists[account, "sequences"]:
            return "not_found"
        before = self.active(account, contact, sequence)
        if before and not self.welcomes:
            return "already_enrolled"
        row = self.nature.enroll(account, contact, sequence)
        self.made[row.id] = (account, contact, sequence)
        if before:
            self.again.append(row.id)
        return row

    def _delete(self, account: str, key: str) -> Row | str:
        row = self.nature.living.lists[account, ENROLLMENTS].get(key)
        if row is None or row.content.get("status") != "active":
            return "not_active"
        self.removed.add(key)
        return self.nature.unenroll(account, key)

    def ask(self, accounts: list[str], many: int) -> None:
        """Add rows to the pending table: mostly new people, some who are enrolled, some removals, some nonsense."""
        lists, chance = self.nature.living.lists, self.chance
        for _ in range(many):
            account = chance.choice(accounts)
            contacts, sequences = sorted(lists[account, "contacts"]), sorted(lists[account, "sequences"])
            if not contacts or not sequences:
                continue
            row = dict(
                zip(
                    COLUMNS,
                    (f"r{len(self.rows)}", account, chance.choice(contacts), chance.choice(sequences), "enroll", None),
                    strict=True,
                )
            )
            luck = chance.random()
            active = [r.content for r in lists[account, ENROLLMENTS].values() if r.content.get("status") == "active"]
            whole = [c for c in active if c.get("contact_id") and c.get("sequence_id")]
            if luck < 0.25 and whole:
                one = chance.choice(whole)
                row |= {"action": "remove", "contact_id": one["contact_id"], "sequence_id": one["sequence_id"]}
            elif luck < 0.3:
                row |= {"contact_id": None}
            elif luck < 0.35:
                row |= {"contact_id": self.nature.key()}
            elif luck < 0.45 and self.rows:
                other = chance.choice(self.rows)
                row |= {name: other[name] for name in ("account_id", "contact_id", "sequence_id")}
            row["requested_at"] = f"2026-01-01T{len(self.rows) // 60:02d}:{len(self.rows) % 60:02d}:00Z"
            self.rows.append(row)

    def sql(self, schema: str) -> str:
        """Return the statements that make the pending table anew."""
        values = ",\n".join(
            "(" + ", ".join("null" if row[name] is None else f"'{row[name]}'" for name in COLUMNS) + ")"
            for row in self.rows
        )
        table = f"{schema}pending_enrollments"
        names = ", ".join(f"{name} text" for name in COLUMNS)
        rows = f"insert into {table} values {values};" if self.rows else ""
        return f"drop table if exists {table}; create table {table} ({names}); {rows}"


def check_push(office: Office, ledger: Rows, requests: Rows, code: int, summary: dict[str, Any], still: bool) -> None:
    """`still`: nothing but the push changed enrollments, in the whole life of the world."""
    latest: dict[str, dict[str, Any]] = {}
    firsts: dict[str, Any] = {}
    for event in sorted(ledger, key=lambda event: event["event"]):
        latest[event["request_key"]] = event
        firsts.setdefault(event["request_key"], event["recorded_at"])
    view = {row["request_key"]: row for row in requests}
    assert set(view) == set(latest), f"push_requests: {set(view) ^ set(latest)}"
    for key, event in latest.items():
        row = view[key]
        for name in (
            "state",
            "action",
            "account_id",
            "contact_id",
            "sequence_id",
            "enrollment_id",
            "run_id",
            "error_code",
        ):
            if name != "run_id":
                assert row[name] == event[name], f"push_requests: {name} of {row}\n{event}"
        assert (row["attempts"], row["first_seen"]) == (event["attempt"], firsts[key]), f"{row}\n{event}"
        assert not row["attention"] or row["state"] in (*WAITING, "claimed"), row
    states = Counter(row["state"] for row in view.values())
    counts = {name: number for name, number in summary.items() if isinstance(number, int) and name != "queried"}
    if summary:
        assert summary["queried"] == sum(counts.values()), summary
        assert code == 3 or not any(states[name] for name in WAITING), f"exit code {code}: {states}"
    asked = {row["request_id"]: row for row in office.rows}
    groups: dict[Any, Rows] = defaultdict(list)
    for row in view.values():
        mine = asked.get(row["request_key"])
        assert mine, f"nobody asked for {row}"
        if row["state"] != "invalid":
            same = [mine[name] == row[name] for name in ("account_id", "contact_id", "sequence_id", "action")]
            assert all(same), f"asked for {mine}\nledger {row}"
        groups[row["account_id"], row["contact_id"], row["sequence_id"]].append(row)
    _check_enrolled(office, groups, still)
    _check_removed(office, asked, groups, still)


def _check_enrolled(office: Office, groups: dict[Any, Rows], still: bool) -> None:
    taken = Counter(
        row["enrollment_id"]
        for rows in groups.values()
        for row in rows
        if row["action"] == "enroll" and row["state"] == "enrolled"
    )
    twice = [key for key, many in taken.items() if many > 1]
    assert not twice, f"two requests say that they made {twice}"
    made: dict[Any, list[str]] = defaultdict(list)
    for key, triple in office.made.items():
        made[triple].append(key)
    assert not office.again or not still, f"enrolled although active: {[office.made[key] for key in office.again]}"
    for triple in {*made, *groups}:
        enrolls = [row for row in groups.get(triple, []) if row["action"] == "enroll"]
        tried = [row for row in enrolls if row["attempts"] and row["state"] not in ("enrolled", "refused")]
        mine, claimed = set(made[triple]), {row["enrollment_id"] for row in enrolls if row["state"] == "enrolled"}
        story = f"{triple}\nthe server made {mine}\n" + "\n".join(map(str, groups.get(triple, [])))
        assert not still or claimed <= mine, f"`enrolled` by nobody: {story}"
        assert len(mine - claimed) <= len(tried), f"enrolled, and no request says so: {story}"
        assert len(mine) <= len(enrolls), f"more enrollments than requests: {story}"


def _check_removed(office: Office, asked: dict[str, Any], groups: dict[Any, Rows], still: bool) -> None:
    wanted = {
        (row["account_id"], row["contact_id"], row["sequence_id"]) for row in office.rows if row["action"] == "remove"
    }
    living = office.nature.living
    for key in office.removed:
        found = next(w for w in living.truth if w[1] == ENROLLMENTS and key in living.truth[w])
        content = next(content for _, content in living.truth[found][key] if content)
        assert (found[0], content.get("contact_id"), content.get("sequence_id")) in wanted or not still, (
            f"removed {key}"
        )
    for triple, rows in groups.items():
        for row in rows:
            if row["action"] == "remove" and row["state"] == "removed" and still:
                there = living.lists[triple[0], ENROLLMENTS].get(row["enrollment_id"])
                assert there is None or there.content["status"] != "active", f"`removed`, and active: {row}"
        last = max((asked[row["request_key"]] for row in rows), key=lambda one: int(one["request_id"][1:]))
        settled = all(row["state"] in ("removed", "enrolled", "skipped_active", "skipped_duplicate") for row in rows)
        if last["action"] == "remove" and settled and still:
            assert not office.active(*triple), f"opted out, and active: {rows}"
