"""What an operator decides about requests that wait: each decision is one more event in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boast_source.errors import ConfigurationError
from boast_source.listing.scratch import Scratch
from boast_source.push import model, requests
from boast_source.push.model import RULES, Decision, State, Verdict
from boast_source.push.settle import RETRIED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boast_source.push.ledger import Event, Ledger

_RELEASED = Verdict(State.RELEASED, "released", "a person released it: the next push sends it")
_RETRIED = Verdict(State.RELEASED, RETRIED, "a person says that it did not happen: the next push sends it again")
_DROPPED = Verdict(State.DROPPED, "dropped", "a person dropped it")


def listed(ledger: Ledger, states: Sequence[str]) -> list[Event]:
    """Return the newest event of each request in one of these states; default: those that wait for an operator."""
    wanted = tuple(states) or model.states(lambda rule: rule.attention)
    return sorted(_newest(ledger, states=wanted), key=lambda e: (e.state, e.request_key))


def decide_on(ledger: Ledger, decision: str, keys: Sequence[str], run_id: str) -> list[Event]:
    """Record the decision for each of these keys, or for none when one of them cannot be decided on.

    Raises ConfigurationError that names it.
    """
    found = {event.request_key: event for event in _newest(ledger, keys=keys)}
    for key in keys:
        if key not in found:
            raise ConfigurationError(f"There is no request {key}", hint="`boast requests list` shows those that wait.")
        if Decision(decision) not in model.rule(found[key]).decisions:
            decidable = [state for state, rule in RULES.items() if Decision(decision) in rule.decisions]
            raise ConfigurationError(
                f"The request {key} is {model.standing(found[key])}: there is nothing to {decision}",
                hint=f"This can be said of requests that are {', '.join(decidable)}.",
            )
    each = [found[key] for key in dict.fromkeys(keys)]
    events = [requests.orphan(event).followed(_verdict(decision, event), run_id).event for event in each]
    ledger.append(events)
    return events


def _verdict(decision: str, event: Event) -> Verdict:
    if decision == Decision.DROP:
        return _DROPPED
    return _RETRIED if event.state in {State.UNKNOWN, State.CLAIMED} else _RELEASED


def _newest(ledger: Ledger, *, states: Sequence[str] = (), keys: Sequence[str] = ()) -> list[Event]:
    scratch = Scratch()
    try:
        requests.read_ledger(scratch, ledger.newest(whole=True))
        return requests.newest_of(scratch, states, keys)
    finally:
        scratch.close()
