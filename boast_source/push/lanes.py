"""Lanes: a lane holds the requests of one contact in the order of `requested_at`, sent one at a time.

Per contact and sequence the last row counts: an enrollment that a later row removes is not sent at all.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from boast_source.push.decide import Facts, Origin, decide, was_limited
from boast_source.push.model import State, Verdict
from boast_source.push.snapshot import Enrollment, Known

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from boast_source.push.requests import Request

    Pair = tuple[str | None, ...]

_FOLLOWS = Verdict(State.DEFERRED, "blocked", "an open request of the same contact comes first")
_SUPERSEDED = Verdict(State.WITHDRAWN, "superseded", "a later row asks for its removal")
_DOUBTED = Verdict(State.DEFERRED, "doubted", "a removal that waits for an operator comes after it")
_SAID_ANYWAY = {State.HELD, State.INVALID}  # these verdicts hold even behind an open request
_FOR_A_PERSON = {"paused", "doubted"}  # codes of deferrals that do not block the rest of the lane
_CARRIED_OUT = {State.ENROLLED, State.REMOVED, State.REFUSED}


@dataclass(slots=True)
class Lane:
    """The requests of one contact, in order. `blocked`: an earlier one has no clear outcome. `said`: the content key
    last carried out, by account, contact and sequence; `prevented`: those in which an enrollment was superseded.
    """

    requests: deque[Request] = field(default_factory=deque)
    blocked: bool = False
    said: dict[Pair, str | None] = field(default_factory=dict)
    prevented: set[Pair] = field(default_factory=set)

    @property
    def rank(self) -> tuple[int, float]:
        """Sort key, by the first request: new ones, then retried ones, then those answered 429 (oldest first)."""
        latest = self.requests[0].latest if self.requests else None
        if latest is None or (latest.attempt == 0 and latest.state != State.DEFERRED):
            return 0, 0.0
        if not was_limited(latest):
            return 1, 0.0
        return 2, latest.recorded_at.timestamp() if latest.recorded_at else 0.0

    def next(self, facts: Facts) -> tuple[Request, Verdict] | None:
        """Take the next request and decide on it; None: the lane is empty. Nothing is sent in a blocked lane."""
        if not self.requests:
            return None
        request = self.requests.popleft()
        pair = facts.known.pair(request)
        verdict = decide(request, facts, before=self.said.get(pair), prevented=pair in self.prevented)
        if self.blocked and verdict.state not in _SAID_ANYWAY:
            return request, _FOLLOWS
        if verdict.send and request.action == "enroll" and (later := self._removals(pair, facts)):
            if any(one.conflict or one.fault or (one.latest and one.latest.state == State.HELD) for one in later):
                return request, _DOUBTED
            verdict = _SUPERSEDED
            self.said[pair] = None
            self.prevented.add(pair)
        self.blocked = self.blocked or (verdict.state == State.DEFERRED and verdict.code not in _FOR_A_PERSON)
        return request, verdict

    def ended(self, request: Request, state: State, known: Known) -> None:
        """Update the lane after a request was sent, or was not sent after all."""
        if state in _CARRIED_OUT:
            self.said[known.pair(request)] = request.content_key
        else:
            self.blocked = True

    def _removals(self, pair: Pair, facts: Facts) -> list[Request]:
        """Return the later requests, even faulty ones, that remove the same contact from the same sequence."""
        later = (one for one in self.requests if one.action == "remove")
        return [one for one in later if facts.known.pair(one) == pair]


def lanes_of(ready: Iterable[Request], open_: Iterable[Request], known: Known) -> list[Lane]:
    """Return the lanes of these requests, sorted by rank. A lane whose contact has an open request is blocked."""
    lanes: dict[str, Lane] = {}
    for request in ready:
        lanes.setdefault(_lane(request, known), Lane()).requests.append(request)
    for request in open_:
        if lane := lanes.get(_lane(request.as_claimed(), known)):  # its row may have changed since
            lane.blocked = True
    return sorted(lanes.values(), key=lambda lane: lane.rank)


def plan(lanes: Sequence[Lane], facts: Facts) -> list[tuple[Request, Verdict]]:
    """Return each request with its verdict, assuming that every send succeeds. Changes nothing."""
    facts = replace(facts, known=facts.known.copy(), origins=dict(facts.origins))
    planned: list[tuple[Request, Verdict]] = []
    for lane in lanes:
        trial = Lane(deque(lane.requests), lane.blocked)
        while step := trial.next(facts):
            request, verdict = step
            planned.append(step)
            if verdict.send and trial.requests:  # no other lane is about this contact
                made = _imagined(request, verdict, facts.known)
                state = State.REMOVED if request.action == "remove" else State.ENROLLED
                facts.known.learn(made)
                ours = request.action == "enroll" or facts.is_made(made.id)
                facts.origins[made.id] = Origin(request.request_key, state, request.requested_at, ours)
                trial.ended(request, state, facts.known)
    return planned


def is_listed(request: Request, accounts: Collection[str]) -> bool:
    """Return whether a request's account was listed; without an account, whether any was."""
    return request.account_id in accounts if request.account_id else bool(accounts)


def _imagined(request: Request, verdict: Verdict, known: Known) -> Enrollment:
    contact, sequence = request.contact_id, request.sequence_id
    if request.action == "remove":
        target = known.get(verdict.enrollment_id)
        unseen = Enrollment(verdict.enrollment_id or "", request.account_id, contact, sequence, "removed")
        return replace(target, status="removed") if target else unseen
    return Enrollment(f"new:{request.request_key}", request.account_id, contact, sequence, "active")


def _lane(request: Request, known: Known) -> str:
    target = known.get(request.enrollment_id)
    contact = target.contact_id if target else request.contact_id
    return contact or request.enrollment_id or request.request_key
