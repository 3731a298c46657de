"""Lanes: the requests of one contact, in the order in which they were asked for; one of them at a time is sent."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from boast_source.push.decide import Facts, decide
from boast_source.push.model import State, Verdict
from boast_source.push.snapshot import Enrollment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from boast_source.push.requests import Request
    from boast_source.push.snapshot import Known

_FOLLOWS = Verdict(State.DEFERRED, "blocked", "an open request of the same contact comes first")
_SAID_ANYWAY = {State.HELD, State.INVALID}  # an open request before it changes nothing about it


@dataclass
class Lane:
    """The requests of one contact, in order. `blocked`: one before them has no clear end."""

    requests: deque[Request] = field(default_factory=deque)
    blocked: bool = False
    done: set[str] = field(default_factory=set)

    def next(self, facts: Facts) -> tuple[Request, Verdict] | None:
        """Take the next request and decide on it; nothing is sent behind one without a clear end."""
        if not self.requests:
            return None
        request = self.requests.popleft()
        verdict = decide(request, facts, self.done)
        if self.blocked and verdict.state not in _SAID_ANYWAY:
            return request, _FOLLOWS
        self.blocked = self.blocked or verdict.state == State.DEFERRED
        return request, verdict

    def ended(self, request: Request, state: State) -> None:
        """Go on after a request was sent (or not, after all)."""
        if state in {State.ENROLLED, State.REMOVED, State.REFUSED}:
            self.done.add(request.content_key)
        else:
            self.blocked = True


def lanes_of(ready: Iterable[Request], open_: Iterable[Request], known: Known) -> list[Lane]:
    """Return the lanes of these requests, those blocked whose contact has an open one."""
    lanes: dict[str, Lane] = {}
    for request in ready:
        lanes.setdefault(_lane(request, known), Lane()).requests.append(request)
    for request in open_:
        if lane := lanes.get(_lane(request.as_claimed(), known)):  # whatever its row says by now
            lane.blocked = True
    return list(lanes.values())


def plan(lanes: Sequence[Lane], facts: Facts) -> list[tuple[Request, Verdict]]:
    """Return what would become of each request if every sending went well; change nothing."""
    facts = Facts(facts.known.copy(), facts.repeated)
    planned: list[tuple[Request, Verdict]] = []
    for lane in lanes:
        trial = Lane(deque(lane.requests), lane.blocked)
        while step := trial.next(facts):
            request, verdict = step
            planned.append(step)
            if verdict.send:
                facts.known.learn(_imagined(request, verdict, facts.known))
                trial.done.add(request.content_key)
    return planned


def is_listed(request: Request, accounts: Collection[str]) -> bool:
    """Return whether the account of a request is among those that could be listed."""
    return request.account_id in accounts if request.account_id else bool(accounts)


def _imagined(request: Request, verdict: Verdict, known: Known) -> Enrollment:
    target = known.get(verdict.enrollment_id)
    contact, sequence = (target.contact_id, target.sequence_id) if target else (request.contact_id, request.sequence_id)
    if request.action == "remove":
        return Enrollment(verdict.enrollment_id or "", request.account_id, contact, sequence, "removed")
    return Enrollment(f"new:{request.request_key}", request.account_id, contact, sequence, "active")


def _lane(request: Request, known: Known) -> str:
    target = known.get(request.enrollment_id)
    contact = target.contact_id if target else request.contact_id
    return contact or request.enrollment_id or request.request_key
