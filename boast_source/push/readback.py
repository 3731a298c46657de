"""What reading back changes: open requests that end, and enrollments that show up late."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from boast_source.push import requests
from boast_source.push.model import DONE, SETTLING, Evidence, State, Step, Verdict
from boast_source.push.settle import settle

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from boast_source.push.context import Context
    from boast_source.push.ledger import Event
    from boast_source.push.requests import Request
    from boast_source.push.settle import Proof
    from boast_source.push.snapshot import Known

# the error code and the words that are recorded
_WHY = {
    Evidence.HAPPENED: ("read_back", "found by reading back"),
    Evidence.ABSENT: ("absent", "it did not happen, and is no longer asked for"),
    Evidence.UNCLEAR: ("crashed", "the process ended between claim and answer"),
}


@dataclass
class Settled:
    """`ended`: the open requests, with their state now; `open`: those of them that stay open; `ready`: the requests to
    decide on, those that were proved absent and are still asked for among them.
    """

    ended: list[tuple[Request, State]] = field(default_factory=list)
    open: list[Request] = field(default_factory=list)
    ready: list[Request] = field(default_factory=list)


def settle_all(
    context: Context, asked: Iterable[Request], known: Known, taken: dict[str, str], proof: Proof
) -> Settled:
    """Settle the open requests by reading back, and record what that shows.

    `taken`: enrollments that this run has attributed, with the request's key; those found here come on top.
    """
    result, events = Settled(), []
    asked = list(asked)
    pairs = [e.id for request in asked if request.open for e in known.of(request.as_claimed())]
    taken |= requests.attributed(context.scratch, pairs)
    for request in asked:
        if not request.open:
            result.ready += [request] if request.asked else []
            continue
        evidence, found = settle(request, known, taken, proof, context.client)
        step, state = SETTLING[evidence, request.asked]
        if step is Step.SEND:
            result.ready.append(request)
            continue
        before = request.as_claimed()
        verdict = Verdict(state or DONE[str(before.action)], *_WHY[evidence], enrollment_id=found.id if found else None)
        if found:
            taken[found.id] = request.request_key
        if step is Step.RECORD or before.event.state == State.CLAIMED:
            before = before.followed(verdict, context.run_id)
            events.append(before.event)
        result.ended.append((request, verdict.state))
        if step is Step.WAIT:
            result.open.append(replace(request, latest=before.latest))
    context.ledger.append(events)
    return result


def record_late(context: Context, watched: Sequence[Event], known: Known, taken: dict[str, str]) -> list[Event]:
    """Record enrollments that no request accounts for, of a contact and sequence whose request was sent before.

    Where it was sent again or given up, the server acted later than `settle_after`. Where it was sent once, the list
    had hidden it. Each is recorded once. Returns the events of those that were enrolled more than once.
    """
    events = []
    for event in watched:
        if late := _late(context, event, known, taken):
            taken |= dict.fromkeys(late, event.request_key)
            first = event.enrollment_id or late[0]
            others = [key for key in late if key != first]
            twice = f"enrolled more than once: {', '.join([first, *others])}"
            detail = twice if others else "enrolled late, after it was given up"
            verdict = Verdict(State.ENROLLED, State.DUPLICATE.value if others else "late", detail, first)
            before = json.dumps(sorted({*json.loads(event.known_enrollment_ids or "[]"), *late}))
            events.append(requests.claimed(event).followed(verdict, context.run_id, before=before).event)
    context.ledger.append(events)
    return [event for event in events if event.error_code == State.DUPLICATE]


def _late(context: Context, event: Event, known: Known, taken: dict[str, str]) -> list[str]:
    """Return the enrollments of a request's contact and sequence that were not there before it and nobody made."""
    there = [e for e in known.of(requests.claimed(event)) if e.id != event.enrollment_id]
    if event.state == State.ENROLLED and event.attempt == 1:
        mine = known.get(event.enrollment_id)
        there = [e for e in there if e.active and mine and mine.active]
    before = set(json.loads(event.known_enrollment_ids or "[]"))
    late = [e.id for e in there if e.id not in before]
    if late:
        taken |= requests.attributed(context.scratch, late)
    return [key for key in late if key not in taken]
