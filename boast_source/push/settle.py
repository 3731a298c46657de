"""Settling by reading back: what became of requests of which nobody knows whether the server acted.

An enrollment of that contact and sequence that was not known before the claim, and that no other request has made, was
ours. Its absence from two agreeing passes that both began `settle_after` after the attempt had ended proves that the
server did not act, since it acts within `settle_after` of a request's last byte or never. Ids are compared, never the
clocks of two machines: both times are the warehouse's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from boast_source.errors import ApiError, ConfigurationError, NotFoundError
from boast_source.push.model import Evidence, State
from boast_source.push.snapshot import Enrollment, enrollment_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from boast_source.api import BoastClient
    from boast_source.push.ledger import Event
    from boast_source.push.requests import Request
    from boast_source.push.snapshot import Known

RETRIED = "retried"  # how a person repeats what is open, in spite of what it may still do


@dataclass(frozen=True)
class Proof:
    """What this run's listing can prove. `began`: its start on the warehouse's clock; `exact`: the accounts of which
    two passes in a row agreed; `settle_after`, `sending_for` in seconds: how long the server may take, and how long
    after its claim a request can still be on its way. `settle_after` None: absence is never proved.
    """

    began: datetime
    exact: Collection[str]
    settle_after: float | None
    sending_for: float

    def of_absence(self, event: Event) -> bool:
        """Whether what this event left open, and is not there, will not come any more."""
        return event.account_id in self.exact and self.is_over(event)

    def is_over(self, event: Event) -> bool:
        """Whether the server will not act any more on what this event left open."""
        if self.settle_after is None or event.recorded_at is None:
            return False
        ended = event.recorded_at + timedelta(seconds=self.sending_for if event.state == State.CLAIMED else 0)
        return self.began >= ended + timedelta(seconds=self.settle_after)


def settle(
    request: Request, known: Known, taken: Mapping[str, str], proof: Proof, client: BoastClient
) -> tuple[Evidence, Enrollment | None]:
    """Return what reading back shows of an open request, and the enrollment that it found.

    `taken`: enrollments that requests have made, with the request's key. A removal is asked for by its id. Raises
    nothing that the API says: what it does not answer stays unclear.
    """
    event = request.event
    if event.state == State.RELEASED and event.error_code != RETRIED:
        return Evidence.ABSENT, None  # it was refused or held: nothing of it is open
    if event.action == "remove":
        return _removal(event, known, taken, proof, client)
    before = known_before(event)
    since = [
        e
        for e in known.of(request.as_claimed())
        if e.id not in (before or ()) and taken.get(e.id, event.request_key) == event.request_key
    ]
    if since and before is not None:  # else nothing says which of them were there before
        return Evidence.HAPPENED, since[0]
    absent = event.state == State.RELEASED or (proof.of_absence(event) and not since)
    return (Evidence.ABSENT if absent else Evidence.UNCLEAR), None


def known_before(event: Event) -> frozenset[str] | None:
    """Return the enrollments of its contact and sequence that were there before it was claimed; None: nobody knows."""
    try:
        found = json.loads(event.known_enrollment_ids or "null")
    except ValueError:  # somebody altered it
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
        if not error.code or (key in taken and not unlisted):  # of one of ours, one answer is no proof
            return Evidence.UNCLEAR, None
        return Evidence.HAPPENED, Enrollment(key, account, event.contact_id, event.sequence_id, None, gone=True)
    except (ApiError, ConfigurationError):  # there are ids that cannot be asked for
        return Evidence.UNCLEAR, None
    if found.status == "removed":
        return Evidence.HAPPENED, found
    absent = event.state == State.RELEASED or proof.is_over(event)
    return (Evidence.ABSENT if absent else Evidence.UNCLEAR), None
