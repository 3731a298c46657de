"""What becomes of one request, from its row, its past in the ledger and the enrollments that are known: no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from boast_source.push.requests import Request
    from boast_source.push.snapshot import Enrollment, Known


@dataclass(frozen=True)
class Verdict:
    """`state` is one of the push states; `send` means: claim it and send it. `enrollment_id`: which enrollment it is
    about; `code` and `detail` say why.
    """

    state: str
    code: str | None = None
    detail: str | None = None
    enrollment_id: str | None = None
    send: bool = False


def decide(request: Request, known: Known, repeated: AbstractSet[str], done: AbstractSet[str]) -> Verdict:
    """`repeated`: keys that say what another request said that was sent lately. `done`: the content keys that this
    run has sent already.
    """
    if request.conflict:
        return Verdict("held", "ambiguous", "rows with the same request_id do not say the same")
    if request.fault:
        return Verdict("invalid", "invalid", request.fault)
    latest = request.latest
    released = latest is not None and latest.state == "released" and not request.changed
    never_sent = latest is None or latest.attempt == 0 or (latest.state == "deferred" and latest.attempt == 1)
    if request.changed and not never_sent:
        return Verdict("held", "changed", "it was sent already, and its row now says something else")
    if latest and latest.state == "held" and not request.changed:
        return Verdict("held", latest.error_code, latest.error_detail)
    if request.content_key in done:
        return Verdict("skipped_duplicate", "duplicate", "an equal row came first")
    if request.action == "remove":
        return _removal(request, known)
    again = latest is not None and latest.attempt > 0
    return _enrollment(request, known, allowed=released or again, repeated=repeated)


def _enrollment(request: Request, known: Known, *, allowed: bool, repeated: AbstractSet[str]) -> Verdict:
    there = known.of(request)
    active = [e for e in there if e.active]
    if active:
        return Verdict("skipped_active", "active", "the contact is active in this sequence", active[0].id)
    unclear = [e for e in there if not e.over]
    if unclear and not allowed:
        detail = f"the contact's enrollment has the status {unclear[0].status}, which may mean that it goes on"
        return Verdict("held", "unclear_status", detail, unclear[0].id)
    if request.request_key in repeated and not allowed:
        return Verdict("held", "repeat", "another request enrolled this contact in this sequence a short time ago")
    return Verdict("claimed", send=True)


def _removal(request: Request, known: Known) -> Verdict:
    if request.enrollment_id:
        target = known.get(request.enrollment_id)
        if target is None and request.account_id is None:
            return Verdict("invalid", "invalid", "account_id is missing, and no account has this enrollment")
        if target and request.account_id and target.account_id != request.account_id:
            return Verdict("invalid", "invalid", "the enrollment belongs to another account")
        return _of_one(target, request.enrollment_id)
    there = known.of(request)
    active = [e for e in there if e.active]
    if not active and request.account_id not in known.whole:
        return Verdict("deferred", "moving", "the list did not hold still: what is to be removed may have been hidden")
    if len(active) > 1:
        detail = f"{len(active)} active enrollments of this contact in this sequence: name the enrollment_id"
        return Verdict("held", "ambiguous", detail)
    if not there:
        return Verdict("refused", "not_found", "the contact was never in this sequence")
    # the one that may still send messages, else the one that is removed already, else whatever there is
    best = min(there, key=lambda e: (not e.active, e.over, e.status != "removed", e.gone, e.id))
    return _of_one(best, best.id)


def _of_one(target: Enrollment | None, enrollment_id: str) -> Verdict:
    if target and (target.gone or target.status == "removed"):
        code = "gone" if target.gone else "already_removed"
        return Verdict("removed", code, "there was nothing left to remove", enrollment_id)
    return Verdict("claimed", enrollment_id=enrollment_id, send=True)
