"""Decide on one request from its row, its past in the ledger and the known enrollments. No I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from boast_source.push.model import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from boast_source.push.ledger import Event
    from boast_source.push.requests import Request
    from boast_source.push.snapshot import Enrollment, Known

DEFAULT_ATTEMPTS = 3
LIMITED = 429


@dataclass(frozen=True)
class Origin:
    """A request that made or removed an enrollment. `made`: a request made it; False: it was only removed by one."""

    request_key: str
    state: str
    requested_at: str | None = None
    made: bool = True


@dataclass(frozen=True)
class Facts:
    """What is known before anything is sent.

    `repeated`: keys of requests equal to another one sent recently. `origins`: the request that made or removed each
    enrollment, by its id. `recent`, `doubtful`: a request is held if its contact has an enrollment that no request made
    and that was created after `recent` (the API's clock), or up to `doubtful` (when lost ledger events were accepted).
    `history`: the unclear answers to requests sent `max_attempts` times. `limited`: in how many runs a request was
    answered 429 while others were carried out. `paused`: scopes that an operator paused (controls.py). `opted_out`: the
    later or ambiguous removal of the contact, by key of the enrollment request. `only`: the key of the only request to
    send. `approved`: short hashes of the contents that may be sent, by short hash of the key.
    """

    known: Known
    repeated: AbstractSet[str] = frozenset()
    origins: dict[str, Origin] = field(default_factory=dict)
    recent: datetime | None = None
    doubtful: datetime | None = None
    max_attempts: int = DEFAULT_ATTEMPTS
    history: Mapping[str, Collection[str]] = field(default_factory=dict)
    limited: Mapping[str, int] = field(default_factory=dict)
    paused: AbstractSet[str] = frozenset()
    opted_out: Mapping[str, Origin] = field(default_factory=dict)
    only: str | None = None
    approved: Mapping[str, str] | None = None

    def stranger(self, there: Collection[Enrollment]) -> Enrollment | None:
        """Return an enrollment that no request made and that is recent or doubtful; None: there is none."""
        return next((e for e in there if not self.is_made(e.id) and self._counts(e)), None)

    def is_made(self, enrollment_id: str) -> bool:
        """Return whether a request made this enrollment, even if it was removed since."""
        origin = self.origins.get(enrollment_id)
        return origin is not None and origin.made

    def _counts(self, enrollment: Enrollment) -> bool:
        made = enrollment.created_at
        in_doubt = self.doubtful is not None and (made is None or made <= self.doubtful)
        return in_doubt or (self.recent is not None and (made is None or made > self.recent))


def decide(request: Request, facts: Facts, *, before: str | None = None, prevented: bool = False) -> Verdict:
    """Return the verdict on a request that is not open.

    `before`: the content key of the last request that this run carried out for the same contact and sequence.
    `prevented`: an earlier enrollment was not sent, since this request removes it.
    """
    latest = request.latest
    # version 0.1.0 counted a claim that was not sent as an attempt
    never_sent = latest is None or latest.attempt == 0 or (latest.state == State.DEFERRED and latest.attempt == 1)
    if unfit := _unfit(request, never_sent=never_sent):
        return unfit
    released = latest is not None and latest.state == State.RELEASED and not request.changed
    if request.content_key == before:
        return Verdict(State.SKIPPED_DUPLICATE, "duplicate", "an equal row came first")
    if request.action == "remove":
        verdict = _removal(request, facts, released=released, prevented=prevented)
    else:
        verdict = _enrollment(request, facts, allowed=released or not never_sent)
    if verdict.send and not released and (given_up := _given_up(request, facts)):
        return given_up
    if verdict.send and not facts.paused.isdisjoint(_scopes(request, facts)):
        return Verdict(State.DEFERRED, "paused", "an operator paused it")
    return _as_approved(request, facts) or verdict if verdict.send else verdict


def _unfit(request: Request, *, never_sent: bool) -> Verdict | None:
    """Return why a request's row cannot be sent; None: it can."""
    latest = request.latest
    if latest and latest.state == State.HELD and not request.conflict:  # whatever the row says: an operator decides
        return Verdict(State.HELD, latest.error_code, latest.error_detail)
    if request.conflict:
        return Verdict(State.HELD, "ambiguous", "rows with the same request_id do not say the same")
    if latest and latest.state == State.DROPPED and request.changed:
        return Verdict(State.HELD, "changed", "it was dropped, and its row now says something else")
    if request.changed and not never_sent:
        return Verdict(State.HELD, "changed", "it was sent already, and its row now says something else")
    if request.several:
        return Verdict(State.HELD, "candidates", f"several fit: {request.several}")
    if request.fault:
        return Verdict(State.INVALID, "invalid", request.fault)
    return None


def _given_up(request: Request, facts: Facts) -> Verdict | None:
    """Return why a request is not sent again after `max_attempts` attempts or runs with a 429; None: it may be."""
    key, attempts = request.request_key, request.latest.attempt if request.latest else 0
    if attempts >= facts.max_attempts:
        past = ", ".join(facts.history.get(key, ())) or "no clear answer"
        return Verdict(State.HELD, "attempts", f"sent {attempts} times and never there: {past}")
    if (runs := facts.limited.get(key, 0)) >= facts.max_attempts:
        detail = f"answered with HTTP 429 in {runs} runs that carried out others"
        return Verdict(State.HELD, "limited", detail, http_status=LIMITED)
    return None


def _as_approved(request: Request, facts: Facts) -> Verdict | None:
    """Return why a ready request is not sent, if this push is limited to one request or to a plan; None: it is sent."""
    if facts.only not in {None, request.request_key}:
        return Verdict(State.DEFERRED, "unchosen", "only another request was to be sent")
    if facts.approved is None:
        return None
    planned = facts.approved.get(short(request.request_key))
    if planned is None:
        return Verdict(State.DEFERRED, "unplanned", "it is not in the plan that was approved")
    if planned != short(request.content_key):
        return Verdict(State.HELD, "replanned", "its row changed after the plan that was approved")
    return None


def short(text: str) -> str:
    """Return the short hash by which a plan identifies a key or content: 12 hexadecimal digits."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:12]


def _scopes(request: Request, facts: Facts) -> set[str]:
    account, _, sequence = facts.known.pair(request)
    return {"*", f"account {account}", f"sequence {sequence}"}


def _enrollment(request: Request, facts: Facts, *, allowed: bool) -> Verdict:
    there = facts.known.of(request)
    if active := [e for e in there if e.active]:
        if facts.doubtful and not allowed and len(active) > 1 and (stranger := facts.stranger(active)):
            detail = f"the contact is active {len(active)} times, and the ledger lost events: one may be too much"
            return Verdict(State.HELD, "unaccounted", detail, stranger.id)
        return Verdict(State.SKIPPED_ACTIVE, "active", "the contact is active in this sequence", active[0].id)
    if out := facts.opted_out.get(request.request_key):
        if out.state == State.HELD:
            return Verdict(State.DEFERRED, "doubted", "a removal that waits for an operator comes after it")
        return Verdict(
            State.WITHDRAWN, "superseded", f"a later request asks for the contact's removal: {out.request_key}"
        )
    if allowed:
        return Verdict(State.CLAIMED, send=True)
    if unclear := [e for e in there if not e.over]:
        detail = f"the contact's enrollment has the status {unclear[0].status}, which may mean that it goes on"
        return Verdict(State.HELD, "unclear_status", detail, unclear[0].id)
    if request.request_key in facts.repeated:
        return Verdict(State.HELD, "repeat", "another request enrolled this contact in this sequence a short time ago")
    if stranger := facts.stranger(there):
        when = f" of {stranger.created_at:%Y-%m-%d}" if stranger.created_at else ""
        detail = f"there is an enrollment{when} that no request accounts for"
        return Verdict(State.HELD, "unaccounted", detail, stranger.id)
    return Verdict(State.CLAIMED, send=True)


def _removal(request: Request, facts: Facts, *, released: bool, prevented: bool) -> Verdict:
    known = facts.known
    if request.enrollment_id:
        target = known.get(request.enrollment_id)
        if target is None and request.account_id is None:
            return Verdict(State.INVALID, "invalid", "account_id is missing, and no account has this enrollment")
        if target and request.account_id and target.account_id != request.account_id:
            return Verdict(State.INVALID, "invalid", "the enrollment belongs to another account")
        return _of_one(target, request.enrollment_id, request, facts, released=released)
    there = known.of(request)
    active = [e for e in there if e.active]
    if not active and request.account_id not in known.whole:
        detail = "the list did not hold still: what is to be removed may have been hidden"
        return Verdict(State.DEFERRED, "moving", detail)
    if len(active) > 1:
        detail = f"{len(active)} active enrollments of this contact in this sequence: name the enrollment_id"
        return Verdict(State.HELD, "several", detail)
    if prevented and not active:
        return Verdict(State.REMOVED, "prevented", "the enrollment that was asked for before it was not sent")
    if not there:
        return Verdict(State.REFUSED, "not_found", "the contact was never in this sequence")
    # prefer one that may still send messages, then one that is already removed, then any
    best = min(there, key=lambda e: (not e.active, e.over, e.status != "removed", e.gone, e.id))
    return _of_one(best, best.id, request, facts, released=released)


def _of_one(
    target: Enrollment | None, enrollment_id: str, request: Request, facts: Facts, *, released: bool
) -> Verdict:
    maker = facts.origins.get(enrollment_id)
    if target and target.gone and maker and target.account_id not in facts.known.whole:
        return Verdict(State.DEFERRED, "moving", "the list did not hold still, and an enrollment of ours seems gone")
    if target and (target.gone or target.status == "removed"):
        code = "gone" if target.gone else "already_removed"
        return Verdict(State.REMOVED, code, "there was nothing left to remove", enrollment_id)
    if target and target.active and not released:
        if request.latest and request.latest.state == State.REMOVED:
            detail = "it was carried out, and the contact is active in this sequence again"
            return Verdict(State.HELD, "active_again", detail, enrollment_id)
        if _is_later(maker, State.ENROLLED, request):
            detail = "a request with a later requested_at enrolled the contact"
            return Verdict(State.HELD, "older", detail, enrollment_id)
        past = [e for e in facts.known.of(target) if e.status == "removed" and e.id not in facts.origins]
        if facts.doubtful and any(e.created_at is None or e.created_at <= facts.doubtful for e in past):
            detail = "the ledger lost events, and the contact was removed once: it may have been this request"
            return Verdict(State.HELD, "unaccounted", detail, enrollment_id)
    return Verdict(State.CLAIMED, enrollment_id=enrollment_id, send=True)


def _is_later(origin: Origin | None, state: State, request: Request) -> bool:
    """Return whether `origin` is another request, in this state, with a later `requested_at`."""
    if origin is None or origin.state != state or origin.request_key == request.request_key:
        return False
    return is_after(origin.requested_at, request.requested_at)


def is_moment(requested_at: str | None) -> bool:
    return bool(requested_at) and str(requested_at)[10:11] == "T"


def was_limited(event: Event | None) -> bool:
    """Return whether a request's newest event is a 429 answer. After a 429 the server has not acted."""
    return event is not None and event.state == State.DEFERRED and event.http_status == LIMITED


def is_after(one: str | None, other: str | None) -> bool:
    """Return whether both are timestamps and `one` is later than `other`."""
    return bool(one and other and is_moment(one) and is_moment(other) and one > other)
