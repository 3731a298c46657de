"""What a person decides about requests that wait: each decision is one more event in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boast_source.errors import ConfigurationError
from boast_source.listing.index import Scratch
from boast_source.push import requests
from boast_source.push.decide import Verdict
from boast_source.push.dispatch import note
from boast_source.push.settle import RETRIED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boast_source.push.ledger import Event, Ledger

WAITING = ("held", "refused", "unknown", "claimed", "invalid")
# what may be decided about a request in which state
ALLOWED = {
    "release": ("held", "refused", "skipped_active"),
    "retry": ("unknown", "claimed", "refused", "held"),
    "drop": ("held", "refused", "unknown", "claimed", "invalid", "skipped_active", "released"),
}
_RELEASED = Verdict("released", "released", "a person released it: the next push sends it")
_RETRIED = Verdict("released", RETRIED, "a person says that it did not happen: the next push sends it again")
_DROPPED = Verdict("dropped", "dropped", "a person dropped it")


def listed(ledger: Ledger, states: Sequence[str]) -> list[Event]:
    """The newest event of each request in one of these states; default: those that wait for a person."""
    with_states = tuple(states) or WAITING
    return sorted(_newest(ledger, states=with_states), key=lambda e: (e.state, e.request_key))


def decide_on(ledger: Ledger, action: str, keys: Sequence[str], run_id: str) -> list[Event]:
    """Record the decision for each of these keys, or for none when one of them cannot be decided on.

    Raises ConfigurationError that names it.
    """
    found = {event.request_key: event for event in _newest(ledger, keys=keys)}
    for key in keys:
        if key not in found:
            raise ConfigurationError(f"There is no request {key}", hint="`boast requests list` shows those that wait.")
        state = found[key].state
        if state not in ALLOWED[action]:
            raise ConfigurationError(
                f"The request {key} is {state}: there is nothing to {action}",
                hint=f"This can be said of requests that are {', '.join(ALLOWED[action])}.",
            )
    events = [note(requests.orphan(found[key]), _verdict(action, found[key]), run_id) for key in dict.fromkeys(keys)]
    ledger.append(events)
    return events


def _verdict(action: str, event: Event) -> Verdict:
    if action == "drop":
        return _DROPPED
    return _RETRIED if event.state in {"unknown", "claimed"} else _RELEASED


def _newest(ledger: Ledger, *, states: Sequence[str] = (), keys: Sequence[str] = ()) -> list[Event]:
    scratch = Scratch()
    try:
        requests.read_ledger(scratch, ledger.newest(whole=True))
        return requests.newest_of(scratch, states, keys)
    finally:
        scratch.close()
