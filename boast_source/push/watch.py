"""Compare the ledger with this run's listing and rows: duplicates, removals that did not last, withdrawn rows."""

from __future__ import annotations

import functools
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from boast_source.push import requests
from boast_source.push.decide import Origin, is_after
from boast_source.push.model import State, Verdict
from boast_source.push.pending import is_there
from boast_source.push.settle import known_before

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from boast_source.push.context import Context
    from boast_source.push.ledger import Event
    from boast_source.push.requests import Request
    from boast_source.push.snapshot import Known

_CONTRADICTED = Verdict(State.HELD, "contradicted", "Boast said that it is removed, and lists it as active")
_UNLISTED = Verdict(State.HELD, "unlisted", "Boast said that it enrolled the contact, and its list never showed it")
_SETTLED = Verdict(State.ENROLLED, "settled", "only one of the enrollments is active now")
_UNASKED = Verdict(State.WITHDRAWN, "unasked", "it was not sent, and no row asks for it any more")


def review_sent(context: Context, began: datetime, mine: frozenset[str]) -> None:
    """Hold what the listing contradicts: removals that it shows as active, enrollments that it never showed. Decide
    again on removals whose contact is active in another enrollment.

    Call it before the pending table is read.
    """
    again: list[Event] = []
    held = [(event, _UNLISTED) for event in context.ledger.enrolled_and_unlisted()]
    for event, is_same in context.ledger.removed_and_active():
        if is_same:
            held.append((event, _CONTRADICTED))
        elif event.account_id is None or event.account_id in mine:
            again.append(event)
    long_ago = began - timedelta(seconds=context.acts_within)
    news = [
        requests.orphan(event).followed(verdict, context.run_id).event
        for event, verdict in held
        if (event.account_id is None or event.account_id in mine)
        and event.recorded_at
        and event.recorded_at <= long_ago
    ]
    context.record(news)
    requests.look_again(context.scratch, [*again, *news])


def is_over(request: Request, known: Known, origins: Mapping[str, Origin]) -> bool:
    """Return whether a removal that was carried out stays done although its contact is active in the sequence again.

    It does if every active enrollment was made by a later request; one made by hand contradicts the row. A row without
    `requested_at` counts as later than one that has it. If the row's address now belongs to another contact, that
    contact's enrollments count.
    """
    latest, changed = request.latest, request.changed and not request.by_person
    if latest is None or latest.state != State.REMOVED or changed or request.conflict:
        return False
    made = [origins.get(e.id) for e in known.of_ids(*known.pair(request)) if e.active]
    mine = request.requested_at
    return all(o and not (is_after(mine, o.requested_at) if mine else o.requested_at) for o in made)


def watched(context: Context, since: datetime, mine: frozenset[str]) -> list[Event]:
    """Return the newest events of requests that may have made, or did make, a second enrollment."""
    twice = context.ledger.active_twice(since, context.acts_within)
    found = [
        *requests.events(context.scratch, "duplicates"),
        *requests.events(context.scratch, "given_up", since=since),
        *(event for event in twice if event.account_id in mine),
    ]
    return list({event.request_key: event for event in found}.values())


def record_late(context: Context, events: Iterable[Event], known: Known, taken: dict[str, str]) -> list[Event]:
    """Record enrollments that no request accounts for, if a request for their contact and sequence was sent before.

    If that request was sent again or given up, the server acted later than `settle_after`. If it was sent once, the
    list had hidden the enrollment, or one POST made two. Each is recorded once. A duplicate is settled once at most one
    enrollment is active. Return the new events.
    """
    news: list[Event] = []
    for event in events:
        late = _late(context, event, known, taken)
        taken |= dict.fromkeys(late, event.request_key)
        request = requests.claimed(event)
        if late:
            verdict = _late_verdict(event, late)
            before = json.dumps(sorted({*(known_before(event) or ()), *late}))
            news.append(request.followed(verdict, context.run_id, before=before).event)
        elif event.error_code == State.DUPLICATE and sum(e.active for e in known.of(request)) <= 1:
            news.append(request.followed(_SETTLED, context.run_id).event)
    context.record(news)
    return news


def _late_verdict(event: Event, late: Sequence[str]) -> Verdict:
    first = event.enrollment_id or late[0]
    others = [key for key in late if key != first]
    if not others:
        return Verdict(State.ENROLLED, "late", "enrolled late, after it was given up", first)
    detail = f"enrolled more than once: {', '.join([first, *others])}"
    return Verdict(State.ENROLLED, State.DUPLICATE.value, detail, first)


def _late(context: Context, event: Event, known: Known, taken: dict[str, str]) -> list[str]:
    """Return the ids of new enrollments of a request's contact and sequence that no request made.

    If the row has changed since the request was sent, it is not known which enrollments were there before.
    """
    there = [e for e in known.of(requests.claimed(event)) if e.id != event.enrollment_id]
    before = known_before(event)
    unsure = before is None
    if unsure and event.state != State.ENROLLED:
        return []
    if event.state == State.ENROLLED and (event.attempt == 1 or unsure):
        mine = known.get(event.enrollment_id)
        there = [e for e in there if e.active and mine and mine.active]
    late = [e.id for e in there if e.id not in (before or ())]
    if late:
        taken |= context.ledger.attributed(late)
    return [key for key in late if key not in taken]


def withdraw_unasked(context: Context) -> None:
    """Withdraw the requests that were not sent and that no row asks for any more.

    Keep those of another pending table that still exists: its rows may ask for them.
    """
    read = {context.pending.name, context.options.pending_table}

    @functools.cache
    def is_unread(table: str) -> bool:
        return table not in read and is_there(context.ledger.client, table)

    unsent = requests.events(context.scratch, "unsent_unasked")
    # events without a table come from version 0.1.0
    unasked = [event for event in unsent if not is_unread(event.pending_table or context.settings.pending_table)]
    context.record([requests.claimed(event).followed(_UNASKED, context.run_id).event for event in unasked])
