"""A model of the API for pushes: its fate of each write is told beforehand, and its time passes on demand.

The client's writes and its one read are faked here, because a state machine makes thousands of pushes; everything
else, the ledger in a DuckDB file first of all, is the real thing.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from boast_source.errors import NotFoundError, RefusedError, UnavailableError

ACCOUNT = str(uuid.UUID(int=1, version=4))
FATES = ("acts", "acts unheard", "is lost", "acts late", "refuses", "is not reached", "dies before", "dies after")


class ProcessDiedError(BaseException):
    """The process ends here: nothing catches it and nothing more is recorded."""


@dataclass
class World:
    """Enrollments by id (`ours`: a POST of the push made it); what will still happen; the fates of the next writes."""

    enrollments: dict[str, dict[str, Any]] = field(default_factory=dict)
    late: list[tuple[float, str, str]] = field(default_factory=list)
    fates: list[str] = field(default_factory=list)
    now: float = 0.0
    lateness: float = 500.0

    def enroll(self, contact: str, sequence: str, *, ours: bool) -> dict[str, Any]:
        key = str(uuid.UUID(int=10_000 + len(self.enrollments), version=4))
        made = {"id": key, "contact_id": contact, "sequence_id": sequence, "status": "active", "ours": ours}
        made["created_at"] = f"2026-01-01T00:{len(self.enrollments) // 60:02}:{len(self.enrollments) % 60:02}Z"
        self.enrollments[key] = made
        return made

    def remove(self, key: str) -> dict[str, Any]:
        self.enrollments[key]["status"] = "removed"
        return self.enrollments[key]

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        due = [one for one in self.late if one[0] <= self.now]
        self.late = [one for one in self.late if one[0] > self.now]
        for _, first, second in due:
            if second:
                self.enroll(first, second, ours=True)
            elif self.enrollments[first]["status"] == "active":
                self.remove(first)

    def ours_of(self, pair: tuple[str, str]) -> int:
        """How often the push enrolled a pair, with what is under way."""
        there = sum(e["ours"] and (e["contact_id"], e["sequence_id"]) == pair for e in self.enrollments.values())
        return there + sum((first, second) == pair for _, first, second in self.late)

    # What the push calls.

    def create_sequence_enrollment(
        self, account_id: str, *, contact_id: str, sequence_id: str, within: float | None = None
    ) -> dict[str, Any]:
        assert account_id == ACCOUNT
        return self._write("POST", lambda: self.enroll(contact_id, sequence_id, ours=True), (contact_id, sequence_id))

    def remove_sequence_enrollment(
        self, account_id: str, enrollment_id: str, *, within: float | None = None
    ) -> dict[str, Any]:
        assert account_id == ACCOUNT
        if self.enrollments.get(enrollment_id, {}).get("status") != "active":
            raise RefusedError("no", hint="no", method="DELETE", path="/", status=422, code="not_active")
        return self._write("DELETE", lambda: self.remove(enrollment_id), (enrollment_id, ""))

    def sequence_enrollment(self, account_id: str, enrollment_id: str) -> dict[str, Any]:
        if enrollment_id not in self.enrollments:
            raise NotFoundError("none", hint="none", method="GET", path="/", status=404, code="not_found")
        return self.enrollments[enrollment_id]

    def close(self) -> None:
        pass

    def _write(self, method: str, act: Any, about: tuple[str, str]) -> dict[str, Any]:
        fate = self.fates.pop(0) if self.fates else "acts"
        if fate == "dies before":
            raise ProcessDiedError
        if fate == "refuses":
            raise RefusedError("no", hint="no", method=method, path="/", status=422, code="no")
        if fate == "is not reached":
            raise UnavailableError("no connection", hint="later", method=method, path="/")
        if fate == "acts late":
            self.late.append((self.now + self.lateness, *about))
        if fate in {"is lost", "acts late"}:
            raise UnavailableError("no answer", hint="later", method=method, path="/", may_have_acted=True)
        made = act()
        if fate == "dies after":
            raise ProcessDiedError
        if fate == "acts unheard":
            raise UnavailableError("no answer", hint="later", method=method, path="/", may_have_acted=True)
        return dict(made)
