"""A model of the API for pushes: the outcome of each write is set beforehand, and time passes on demand.

The client's writes and its one read are faked, because a schedule makes dozens of pushes. Everything else is real,
above all the ledger in a real warehouse.
"""

from __future__ import annotations

import copy
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from boast_source.errors import ForbiddenError, NotFoundError, RefusedError, UnavailableError

ACCOUNTS = [str(uuid.UUID(int=1 + n, version=4)) for n in range(3)]
ACCOUNT = ACCOUNTS[0]
BORN = datetime(2026, 1, 1, tzinfo=timezone.utc)
# outcomes of a write; after an unclear one, the server may or may not have acted
CLEAR = ("acts", "refuses")
UNCLEAR = ("acts unheard", "is lost", "acts late", "conflicts", "is redirected", "finds nothing")
DEATHS = ("dies before", "dies after")
FATES = (*CLEAR, *UNCLEAR, *DEATHS, "is not reached", "doubles first", "doubles last", "lies", "is forbidden")

Pair = tuple[str, str, str]  # account, contact, sequence


class ProcessDiedError(BaseException):
    """Simulates the death of the process: nothing catches it, and nothing more is recorded."""


@dataclass
class World:
    """`enrollments`: by id (`ours`: a POST of the push made it); `late`: writes to come; `fates`: of the next writes.

    `lag`: seconds until a list shows a change. `poisoned`: contacts whose enrollment always fails; `limited`: contacts
    whose enrollment is always answered 429.
    """

    enrollments: dict[str, dict[str, Any]] = field(default_factory=dict)
    late: list[tuple[float, Pair | str]] = field(default_factory=list)
    fates: list[str] = field(default_factory=list)
    now: float = 0.0
    lateness: float = 500.0
    lag: float = 0.0
    poisoned: set[str] = field(default_factory=set)
    limited: set[str] = field(default_factory=set)
    posts: list[tuple[Pair, float]] = field(default_factory=list)  # POSTs that acted, with their time
    asked: list[str] = field(default_factory=list)  # contacts of all POSTs, whatever the outcome
    not_found: int = 0  # number of reads of a record that falsely answer 404
    past: list[tuple[float, dict[str, dict[str, Any]]]] = field(default_factory=list)

    def enroll(self, pair: Pair, *, ours: bool) -> dict[str, Any]:
        account, contact, sequence = pair
        key = str(uuid.UUID(int=10_000 + len(self.enrollments), version=4))
        made_at = BORN + timedelta(seconds=self.now, milliseconds=len(self.enrollments))
        self.enrollments[key] = {
            "id": key,
            "account_id": account,
            "contact_id": contact,
            "sequence_id": sequence,
            "status": "active",
            "ours": ours,
            "created_at": made_at.isoformat(),
        }
        self._happened()
        return self.enrollments[key]

    def change(self, key: str, status: str) -> dict[str, Any]:
        self.enrollments[key] = self.enrollments[key] | {"status": status}
        self._happened()
        return self.enrollments[key]

    def pass_time(self, seconds: float) -> None:
        """Let time pass. Late writes happen at their own time: at the end, a list with a lag may already show them."""
        end = self.now + seconds
        due = sorted((one for one in self.late if one[0] <= end), key=lambda one: one[0])
        self.late = [one for one in self.late if one[0] > end]
        for self.now, what in due:
            if isinstance(what, tuple):
                self._post(what)
            elif self.enrollments[what]["status"] == "active":
                self.change(what, "removed")
        self.now = end

    def listed(self) -> list[dict[str, Any]]:
        """Return what a list shows now."""
        if not self.lag:
            return list(self.enrollments.values())
        seen = [there for moment, there in self.past if moment <= self.now - self.lag]
        return list(seen[-1].values()) if seen else []

    def status_of(self, pair: Pair) -> set[str]:
        return {e["status"] for e in self.enrollments.values() if _pair(e) == pair}

    # What the push calls.

    def create_sequence_enrollment(
        self, account_id: str, *, contact_id: str, sequence_id: str, within: float | None = None
    ) -> dict[str, Any]:
        pair = (account_id, contact_id, sequence_id)
        fate = "is lost" if contact_id in self.poisoned else self.fates.pop(0) if self.fates else "acts"
        if contact_id in self.limited:
            fate = "is limited"
        self.asked.append(contact_id)
        if fate in {"doubles first", "doubles last"}:
            made = [self._post(pair), self.enroll(pair, ours=True)]
            return dict(made[fate == "doubles last"])
        if fate == "is removed at once":
            return self.change(self._post(pair)["id"], "removed")
        return self._write("POST", fate, lambda: self._post(pair), pair)

    def remove_sequence_enrollment(
        self, account_id: str, enrollment_id: str, *, within: float | None = None
    ) -> dict[str, Any]:
        there = self.enrollments.get(enrollment_id)
        if there is None or there["account_id"] != account_id or there["status"] != "active":
            raise RefusedError("no", hint="no", method="DELETE", path="/", status=422, code="not_active")
        fate = self.fates.pop(0) if self.fates else "acts"
        if fate == "lies":
            return there | {"status": "removed"}
        if fate == "is stale":
            self.change(enrollment_id, "removed")
        if fate in {"is stale", "does nothing"}:
            return dict(there)
        return self._write("DELETE", fate, lambda: self.change(enrollment_id, "removed"), enrollment_id)

    def sequence_enrollment(self, account_id: str, enrollment_id: str) -> dict[str, Any]:
        self.not_found -= 1
        if self.not_found >= 0 or enrollment_id not in self.enrollments:
            raise NotFoundError("none", hint="none", method="GET", path="/", status=404, code="not_found")
        return self.enrollments[enrollment_id]

    def close(self) -> None:
        pass

    def _post(self, pair: Pair) -> dict[str, Any]:
        self.posts.append((pair, self.now))
        return self.enroll(pair, ours=True)

    def _write(self, method: str, fate: str, act: Any, about: Pair | str) -> dict[str, Any]:
        if fate == "dies before":
            raise ProcessDiedError
        if fate == "refuses":
            raise RefusedError("no", hint="no", method=method, path="/", status=422, code="no")
        if fate == "is forbidden":
            raise ForbiddenError("no", hint="no", method=method, path="/", status=403, code="no")
        if fate == "is limited":
            raise UnavailableError("too many", hint="later", method=method, path="/", status=429, code="limit")
        if fate == "is not reached":
            raise UnavailableError("no connection", hint="later", method=method, path="/")
        if fate == "acts late":
            self.late.append((self.now + self.lateness, about))
        unclear = {"conflicts": 409, "is redirected": 302, "finds nothing": 404, "is lost": 500, "acts late": None}
        if fate in unclear:
            raise _no_answer(method, unclear[fate])
        made = act()
        if fate == "dies after":
            raise ProcessDiedError
        if fate == "acts unheard":
            raise _no_answer(method, None)
        return dict(made)

    def _happened(self) -> None:
        if self.lag:
            self.past.append((self.now, copy.deepcopy(self.enrollments)))


def _no_answer(method: str, status: int | None) -> UnavailableError:
    return UnavailableError("no answer", hint="later", method=method, path="/", status=status, may_have_acted=True)


def _pair(enrollment: dict[str, Any]) -> Pair:
    return enrollment["account_id"], enrollment["contact_id"], enrollment["sequence_id"]
