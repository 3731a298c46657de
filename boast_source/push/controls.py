"""Operator controls, stored as events in the ledger: pauses, plans, and the acceptance of lost events.

A control's key begins with a space; a request's never does.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from boast_source.errors import ConfigurationError
from boast_source.push.ledger import Event, Ledger
from boast_source.push.model import Control

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from boast_source.push.plan import Plan

EVERYTHING = "*"
_ACCEPTED = " accepted"
_PAUSE = " pause "
_PLAN = " plan "


@dataclass(frozen=True)
class Controls:
    """`paused`: `*`, `account ID` or `sequence ID`. `accepted`: when the last loss of events was accepted, by the
    warehouse's clock; `lost`: how many sends were lost.
    """

    paused: frozenset[str] = frozenset()
    accepted: datetime | None = None
    lost: int = 0


def read(ledger: Ledger) -> Controls:
    """Return what is paused and accepted."""
    newest = {event.request_key: event for event in ledger.controls()}
    paused = (key.removeprefix(_PAUSE) for key, event in newest.items() if event.state == Control.PAUSED)
    accepted = newest.get(_ACCEPTED)
    return Controls(frozenset(paused), accepted.recorded_at if accepted else None, accepted.attempt if accepted else 0)


def scopes(sequences: Iterable[str], accounts: Iterable[str]) -> list[str]:
    """Return the scopes of a pause with these ids; without ids, everything."""
    named = [*(f"sequence {one.lower()}" for one in sequences), *(f"account {one.lower()}" for one in accounts)]
    return named or [EVERYTHING]


def pause(ledger: Ledger, control: Control, what: Iterable[str], run_id: str, *, note: str | None = None) -> None:
    """Record that sending to these scopes is paused or resumed.

    Raises ConfigurationError when a scope to resume is not paused.
    """
    before = {event.request_key: event.event for event in ledger.controls()}
    paused = read(ledger).paused
    events = []
    for scope in what:
        if control == Control.RESUMED and scope not in paused:
            are = ", ".join(sorted(paused)) or "nothing is paused"
            named = "The whole push" if scope == EVERYTHING else scope
            raise ConfigurationError(f"{named} is not paused", hint=f"What is paused: {are}.")
        events.append(_event(before, _PAUSE + scope, control, run_id, note=note))
    ledger.append(events)


def keep_plan(ledger: Ledger, plan: Plan, run_id: str) -> None:
    """Store in the ledger what a plan would send, by its hash."""
    key = _PLAN + plan.hash
    if ledger.plan(key) is None:
        ledger.create()  # adds the columns that an older version lacked
        ledger.append([_event({}, key, Control.PLANNED, run_id, note=json.dumps(plan.members))])


def approved(ledger: Ledger, hash_: str) -> dict[str, str] | None:
    """Return the members of the plan with this hash; None: no such plan. Raises ConfigurationError: not a hash."""
    if not re.fullmatch("[0-9a-f]{16}", hash_):
        raise ConfigurationError("--approve takes the hash of a plan", hint="`boast push --plan FILE` shows it.")
    try:
        members = json.loads(ledger.plan(_PLAN + hash_) or "null")
    except ValueError:  # someone edited the ledger
        return None
    return members if isinstance(members, dict) else None


def check(ledger: Ledger, run_id: str, *, new: bool, accept: bool) -> None:
    """Check that it is safe to push with this ledger, then create or migrate it. `new`, `accept`: see PushOptions.

    Raises ConfigurationError when it is missing, lost events (the run records count more sends), has unreadable ones,
    or is not `new`.
    """
    there = ledger.exists()
    known = ledger.count("sends") if there else 0
    unreadable = ledger.count("unreadable") if there else 0
    if new:
        if known or unreadable or ledger.count("sends_of_runs"):
            where = "The run records count" if not (known or unreadable) else "It knows of"
            raise ConfigurationError(
                f"A new ledger is for the first push only. {where} requests that were sent, so nothing was sent",
                hint="Leave --new-ledger out." if known else _RESTORE,
            )
        ledger.create()
        return
    if accept:
        ledger.create()
        _accept(ledger, run_id)
        return
    if not there:
        lost = ledger.count("sends_of_runs")
        raise ConfigurationError(
            f"The ledger {ledger.name} does not exist: without it nobody knows who was enrolled already. Nothing was"
            " sent",
            hint=_RESTORE if lost else "If this is the first push, add --new-ledger to the command, once.",
        )
    lost = ledger.count("lost_sends") + unreadable - read(ledger).lost
    if lost > 0:
        what = f"lost events: the run records count {lost} sends that it does not know"
        if unreadable:
            what = f"has {unreadable} events that cannot be read, with a NULL in a key or number, or an unknown state"
        elif not known:
            what = what.replace("lost events", "is empty, though requests were sent before")
        raise ConfigurationError(f"The ledger {ledger.name} {what}. Nothing was sent", hint=_RESTORE)
    ledger.create()


def _accept(ledger: Ledger, run_id: str) -> None:
    """Record that the ledger's losses are accepted, and hold the requests whose newest event cannot be read."""
    before = {event.request_key: event.event for event in ledger.controls()}
    events = []
    for event in ledger.damaged(run_id):
        before[event.request_key] = event.event - 1
        if event.request_key.startswith(_PAUSE):
            events.append(_event(before, event.request_key, Control.PAUSED, run_id))
        elif not event.request_key.startswith(" "):
            events.append(event)
    lost = ledger.count("lost_sends") + ledger.count("unreadable")
    ledger.append([*events, _event(before, _ACCEPTED, Control.ACCEPTED, run_id, lost=lost)])


_RESTORE = (
    "Restore it from a backup (docs/push.md), or run `boast push --accept-ledger` once: it goes on with what is"
    " left, and holds every request that may have been sent before."
)


def _event(
    before: dict[str, int], key: str, control: Control, run_id: str, *, note: str | None = None, lost: int = 0
) -> Event:
    scope, _, named = key.strip().removeprefix("pause ").partition(" ")
    return Event(
        request_key=key,
        content_key="",
        run_id=run_id,
        event=before.get(key, 0) + 1,
        attempt=lost,
        account_id=named if scope == "account" else None,
        action=None,
        contact_id=None,
        sequence_id=named if scope == "sequence" else None,
        enrollment_id=None,
        known_enrollment_ids=None,
        state=control.value,
        note=note,
    )
