"""What becomes of one request, from its row, its past in the ledger and the enrollments that are known: no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from boast_source.push.model import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from boast_source.push.requests import Request
    from boast_source.push.snapshot import Enrollment, Known


@dataclass(frozen=True)
class Facts:
    """What is known before anything is sent. `repeated`: keys that repeat what another request said lately."""

    known: Known
    repeated: AbstractSet[str]


def decide(request: Request, facts: Facts, done: AbstractSet[str]) -> Verdict:
    """Return the verdict on a request that is not open. `done`: the content keys that this run has sent already."""
    if request.conflict:
        return Verdict(State.HELD, "ambiguous", "rows with the same request_id do not say the same")
    if request.fault:
        return Verdict(State.INVALID, "invalid", request.fault)
    latest = request.latest
    released = latest is not None and latest.state == State.RELEASED and not request.changed
    never_sent = latest is None or latest.attempt == 0 or (latest.state == State.DEFERRED and latest.attempt == 1)
    if request.changed and not never_sent:
        return Verdict(State.HELD, "changed", "it was sent already, and its row now says something else")
    if latest and latest.state == State.HELD and not request.changed:
        return Verdict(State.HELD, latest.error_code, latest.error_detail)
    if request.content_key in done:
        return Verdict(State.SKIPPED_DUPLICATE, "duplicate", "an equal row came first")
    if request.action == "remove":
        return _removal(request, facts.known)
    again = latest is not None and latest.attempt > 0
    return _enrollment(request, facts, allowed=released or again)


def _enrollment(request: Request, facts: Facts, *, allowed: bool) -> Verdict:
    there = facts.known.of(request)
    active = [e for e in there if e.active]
    if active:
        return Verdict(State.SKIPPED_ACTIVE, "active", "the contact is active in this sequence", active[0].id)
    unclear = [e for e in there if not e.over]
    if unclear and not allowed:
        detail = f"the contact's enrollment has the status {unclear[0].status}, which may mean that it goes on"
        return Verdict(State.HELD, "unclear_status", detail, unclear[0].id)
    if request.request_key in facts.repeated and not allowed:
        return Verdict(State.HELD, "repeat", "another request enrolled this contact in this sequence a short time ago")
    return Verdict(State.CLAIMED, send=True)


def _removal(request: Request, known: Known) -> Verdict:
    if request.enrollment_id:
        target = known.get(request.enrollment_id)
        if target is None and request.account_id is None:
            return Verdict(State.INVALID, "invalid", "account_id is missing, and no account has this enrollment")
        if target and request.account_id and target.account_id != request.account_id:
            return Verdict(State.INVALID, "invalid", "the enrollment belongs to another account")
        return _of_one(target, request.enrollment_id)
    there = known.of(request)
    active = [e for e in there if e.active]
    if not active and request.account_id not in known.whole:
        detail = "the list did not hold still: what is to be removed may have been hidden"
        return Verdict(State.DEFERRED, "moving", detail)
    if len(active) > 1:
        detail = f"{len(active)} active enrollments of this contact in this sequence: name the enrollment_id"
        return Verdict(State.HELD, "ambiguous", detail)
    if not there:
        return Verdict(State.REFUSED, "not_found", "the contact was never in this sequence")
    # the one that may still send messages, else the one that is removed already, else whatever there is
    best = min(there, key=lambda e: (not e.active, e.over, e.status != "removed", e.gone, e.id))
    return _of_one(best, best.id)


def _of_one(target: Enrollment | None, enrollment_id: str) -> Verdict:
    if target and (target.gone or target.status == "removed"):
        code = "gone" if target.gone else "already_removed"
        return Verdict(State.REMOVED, code, "there was nothing left to remove", enrollment_id)
    return Verdict(State.CLAIMED, enrollment_id=enrollment_id, send=True)
