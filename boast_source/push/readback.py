"""Settle the open requests of a run by reading back, and record the outcomes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from boast_source.push.model import DONE, SETTLING, Evidence, State, Step, Verdict
from boast_source.push.settle import settle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from boast_source.push.context import Context
    from boast_source.push.requests import Request
    from boast_source.push.settle import Proof
    from boast_source.push.snapshot import Known

# the error code and detail to record
_WHY = {
    Evidence.HAPPENED: ("read_back", "found by reading back"),
    Evidence.ABSENT: ("absent", "it was not carried out, and no row asks for it any more"),
    Evidence.UNCLEAR: ("crashed", "the process ended between claim and answer"),
}


@dataclass
class Settled:
    """`ended`: the open requests with their new state, except those to send again; `open`: those that stay open;
    `ready`: the requests to decide on, including those proved absent and still asked for.
    """

    ended: list[tuple[Request, State]] = field(default_factory=list)
    open: list[Request] = field(default_factory=list)
    ready: list[Request] = field(default_factory=list)


def settle_all(
    context: Context, asked: Iterable[Request], known: Known, taken: dict[str, str], proof: Proof
) -> Settled:
    """Settle the open requests by reading back, and record the outcomes.

    `taken`: request keys by the id of the enrollment attributed to them in this run; enrollments found here are added.
    """
    result, events = Settled(), []
    asked = list(asked)
    claims = [request.as_claimed() for request in asked if request.open]
    there = {e.id for claim in claims for e in known.of(claim)} | {claim.enrollment_id for claim in claims}
    taken |= context.ledger.attributed(key for key in there if key)
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
    context.record(events)
    return result
