"""Settle requests with an unclear outcome by reading back.

If the contact has an enrollment in the sequence that was not known before the claim and that no other request made,
this request made it. If there is none in two agreeing passes that both began `settle_after` after the attempt ended,
the server did not act: it acts within `settle_after` of a request's last byte, or never. Only ids and the warehouse's
own times are compared, never the clocks of two machines.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from boast_source.errors import ApiError, ConfigurationError, NotFoundError
from boast_source.push.model import DONE, SETTLING, Evidence, State, Step, Verdict
from boast_source.push.snapshot import Enrollment, Known, enrollment_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from boast_source.api import BoastClient
    from boast_source.push.context import Context
    from boast_source.push.ledger import Event
    from boast_source.push.requests import Request

RETRIED = "retried"  # error code: an operator repeats an open request, although the server may still act on it
# the error code and detail to record
_WHY = {
    Evidence.HAPPENED: ("read_back", "found by reading back"),
    Evidence.ABSENT: ("absent", "it was not carried out, and no row asks for it any more"),
    Evidence.UNCLEAR: ("crashed", "the process ended between claim and answer"),
}


@dataclass(frozen=True)
class Proof:
    """What this run's listing can prove. `began`: its start, by the warehouse's clock; `exact`: the accounts for which
    two passes in a row agreed; `settle_after`: how long the server may take, in seconds (None: absence is never
    proved); `sending_for`: how long after its claim a request can still be in flight, in seconds.
    """

    began: datetime
    exact: Collection[str]
    settle_after: float | None
    sending_for: float

    def of_absence(self, event: Event) -> bool:
        """Return whether an open request that the listing does not show can no longer take effect."""
        return event.account_id in self.exact and self.is_over(event)

    def is_over(self, event: Event) -> bool:
        """Return whether the server can no longer act on the request that this event left open."""
        if self.settle_after is None or event.recorded_at is None:
            return False
        ended = event.recorded_at + timedelta(seconds=self.sending_for if event.state == State.CLAIMED else 0)
        return self.began >= ended + timedelta(seconds=self.settle_after)


def settle(
    request: Request, known: Known, taken: Mapping[str, str], proof: Proof, client: BoastClient
) -> tuple[Evidence, Enrollment | None]:
    """Return the evidence about an open request, and the enrollment found (None: none).

    `taken`: request keys by the id of the enrollment that they made. A removal is looked up by its enrollment id. API
    errors are not raised: without an answer the evidence is UNCLEAR.
    """
    event = request.event
    if event.state == State.RELEASED and event.error_code != RETRIED:
        return Evidence.ABSENT, None  # it was refused or held: there is nothing to settle
    if event.action == "remove":
        return _removal(event, known, taken, proof, client)
    before = known_before(event)
    since = [
        e
        for e in known.of(request.as_claimed())
        if e.id not in (before or ()) and taken.get(e.id, event.request_key) == event.request_key
    ]
    if since and before is not None:  # without `before`, any of them may have been there already
        return Evidence.HAPPENED, since[0]
    absent = event.state == State.RELEASED or (proof.of_absence(event) and not since)
    return (Evidence.ABSENT if absent else Evidence.UNCLEAR), None


def known_before(event: Event) -> frozenset[str] | None:
    """Return the ids of the contact's enrollments in the sequence before the claim; None: unknown."""
    try:
        found = json.loads(event.known_enrollment_ids or "null")
    except ValueError:  # someone edited the ledger
        return None
    return frozenset(map(str, found)) if isinstance(found, list) else None


def _removal(
    event: Event, known: Known, taken: Mapping[str, str], proof: Proof, client: BoastClient
) -> tuple[Evidence, Enrollment | None]:
    account, key = event.account_id or "", event.enrollment_id or ""
    try:
        found = enrollment_of(account, client.sequence_enrollment(account, key))
    except NotFoundError as error:
        there = known.get(key)
        unlisted = event.account_id in proof.exact and (there is None or there.gone)
        if not error.code or (key in taken and not unlisted):  # for an enrollment of ours, a single 404 proves nothing
            return Evidence.UNCLEAR, None
        return Evidence.HAPPENED, Enrollment(key, account, event.contact_id, event.sequence_id, None, gone=True)
    except (ApiError, ConfigurationError):  # or an id that does not fit in a URL
        return Evidence.UNCLEAR, None
    if found.status == "removed":
        return Evidence.HAPPENED, found
    absent = event.state == State.RELEASED or proof.is_over(event)
    return (Evidence.ABSENT if absent else Evidence.UNCLEAR), None


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
