"""What reading back changes: open requests that end, and enrollments that show up late."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from boast_source.push import requests
from boast_source.push.decide import Verdict
from boast_source.push.dispatch import note
from boast_source.push.ledger import OPEN, Event
from boast_source.push.settle import claimed, settle

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from boast_source.api import BoastClient
    from boast_source.listing.index import Scratch
    from boast_source.push.requests import Request
    from boast_source.push.settle import Proof
    from boast_source.push.snapshot import Known


def is_open(request: Request) -> bool:
    """Whether nobody knows yet what became of it."""
    return request.latest is not None and request.latest.state in OPEN and request.latest.attempt > 0


def settle_all(
    scratch: Scratch,
    asked: Iterable[Request],
    known: Known,
    taken: dict[str, str],
    proof: Proof,
    client: BoastClient,
    run_id: str,
) -> tuple[list[tuple[Request, str]], list[Request], list[Event]]:
    """(request, its state now) of the open ones that stay open or ended; the requests to decide on, those that were
    proved absent and are still asked for among them; the events.

    `taken`: enrollments that this run has attributed, with the request's key; those found here come on top.
    """
    ended: list[tuple[Request, str]] = []
    ready: list[Request] = []
    events: list[Event] = []
    asked = list(asked)
    pairs = [e.id for request in asked if is_open(request) for e in known.of(claimed(request))]
    taken |= requests.attributed(scratch, pairs)
    for request in asked:
        if not is_open(request):
            if request.asked:
                ready.append(request)
            continue
        settled = settle(request, known, taken, proof, client)
        before = claimed(request)
        if settled.enrollment:
            taken[settled.enrollment.id] = request.request_key
            verdict = Verdict(settled.fate, "read_back", "found by reading back", settled.enrollment.id)
            events.append(note(before, verdict, run_id))
            ended.append((request, settled.fate))
        elif settled.fate == "absent" and request.asked:
            ready.append(request)
        elif settled.fate == "absent":
            verdict = Verdict("withdrawn", "absent", "it did not happen, and is no longer asked for")
            events.append(note(before, verdict, run_id))
            ended.append((request, "withdrawn"))
        else:
            if request.latest and request.latest.state == "claimed":
                verdict = Verdict("unknown", "crashed", "the process ended between claim and answer")
                events.append(note(before, verdict, run_id))
                request.latest = before.latest
            ended.append((request, "unknown"))
    return ended, ready, events


def late_enrollments(
    scratch: Scratch, watched: Sequence[Event], known: Known, taken: dict[str, str], run_id: str
) -> list[Event]:
    """Events for enrollments that no request accounts for, of a contact and sequence whose request was sent before.

    Where it was sent again or given up, the server acted later than `settle_after`. Where it was sent once, the list
    had hidden it. Each is recorded once.
    """
    events = []
    for event in watched:
        request = requests.orphan(event)
        there = [e for e in known.of(claimed(request)) if e.id != event.enrollment_id]
        if event.state == "enrolled" and event.attempt == 1:
            mine = known.get(event.enrollment_id)
            there = [e for e in there if e.active and mine and mine.active]
        before: Collection[str] = json.loads(event.known_enrollment_ids or "[]")
        late = [e.id for e in there if e.id not in before]
        if not late:
            continue
        taken |= requests.attributed(scratch, late)
        late = [key for key in late if key not in taken]
        if not late:
            continue
        taken |= dict.fromkeys(late, event.request_key)
        first = event.enrollment_id or late[0]
        others = [key for key in late if key != first]
        detail = (
            f"enrolled more than once: {', '.join([first, *others])}"
            if others
            else "enrolled late, after it was given up"
        )
        verdict = Verdict("enrolled", "duplicate" if others else "late", detail, first)
        events.append(note(claimed(request), verdict, run_id, before=json.dumps(sorted({*before, *late}))))
    return events


def watched(scratch: Scratch, since: datetime) -> list[Event]:
    """The requests that may have made a second enrollment: sent again, or given up, since that moment."""
    return [e for e in requests.sent_more_than_once(scratch) if e.recorded_at and e.recorded_at >= since]
