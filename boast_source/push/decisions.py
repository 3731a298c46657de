"""Operator decisions on pending requests. Each decision is one more event in the ledger."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from boast_source.errors import ConfigurationError
from boast_source.listing.scratch import Scratch
from boast_source.push import model, requests
from boast_source.push.model import RULES, Decision, State, Verdict
from boast_source.push.settle import RETRIED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from boast_source.push.ledger import Event, Ledger

T = TypeVar("T")

_RELEASED = Verdict(State.RELEASED, "released", "a person released it: the next push sends it")
_RETRIED = Verdict(State.RELEASED, RETRIED, "a person says that it did not happen: the next push sends it again")
_ACCEPTED = Verdict(State.ENROLLED, "accepted", "a person accepted that the contact is enrolled more than once")
_DROPPED = Verdict(State.DROPPED, "dropped", "a person dropped it")
_ALL_DROPPED = Verdict(State.DROPPED, "all_dropped", "a person dropped it, whatever the rows with its request_id say")


@dataclass(frozen=True)
class Choice:
    """A selection of requests: by keys, or by filters; with neither, all that wait for an operator.

    `states`: standings; `reasons`: error codes; `sequences`: ids; `before`: in their state since before this time.
    """

    keys: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    sequences: tuple[str, ...] = ()
    before: datetime | None = None

    @property
    def filters(self) -> bool:
        return bool(self.states or self.reasons or self.sequences or self.before)

    def has(self, event: Event) -> bool:
        """Return whether a request with this newest event matches `reasons`, `sequences` and `before`."""
        since = event.recorded_at
        return (
            (not self.reasons or event.error_code in self.reasons)
            and (not self.sequences or event.sequence_id in self.sequences)
            and (self.before is None or (since is not None and since < self.before))
        )


def listed(ledger: Ledger, choice: Choice) -> list[Event]:
    """Return the newest event of each matching request, sorted by state and key."""
    wanted = list(map(str, choice.states or model.states(lambda rule: rule.attention)))
    events = _read(ledger, lambda scratch: requests.events(scratch, "with_states", states=wanted))
    return sorted(filter(choice.has, events), key=lambda e: (e.state, e.request_key))


def chosen(ledger: Ledger, decision: str, choice: Choice) -> list[Event]:
    """Return the newest event of each chosen request that `decision` applies to.

    Raises ConfigurationError when nothing matches, or when a key does not exist or cannot be decided on.
    """
    decidable = [state for state, rule in RULES.items() if Decision(decision) in rule.decisions]
    if not choice.keys:
        states = [state for state in decidable if not choice.states or state in choice.states]
        found = listed(ledger, replace(choice, states=tuple(states))) if states else []
        if not found:
            raise ConfigurationError(
                f"There is no such request to {decision}", hint="`boast requests list` shows those that wait."
            )
        return found
    by_key = _read(ledger, lambda scratch: requests.with_keys(scratch, choice.keys))
    for key in choice.keys:
        if key not in by_key:
            raise ConfigurationError(f"There is no request {key}", hint="`boast requests list` shows those that wait.")
        if Decision(decision) not in model.rule(by_key[key]).decisions:
            raise ConfigurationError(
                f"The request {key} is {model.standing(by_key[key])}: there is nothing to {decision}",
                hint=f"This can be said of requests that are {', '.join(decidable)}.",
            )
    return list({by_key[key].request_key: by_key[key] for key in choice.keys}.values())


def decide_on(
    ledger: Ledger, decision: str, events: Sequence[Event], run_id: str, *, note: str | None = None
) -> list[Event]:
    """Record the decision on these requests, given their newest events: all or none. Return the new events."""
    decided = [requests.orphan(e).followed(_verdict(decision, e), run_id, note=note).event for e in events]
    ledger.append(decided)
    return decided


def _verdict(decision: str, event: Event) -> Verdict:
    if decision == Decision.DROP:
        if model.standing(event) == State.DUPLICATE:
            return _ACCEPTED
        return _ALL_DROPPED if event.error_code == "ambiguous" else _DROPPED
    return _RETRIED if event.state in {State.UNKNOWN, State.CLAIMED} else _RELEASED


def _read(ledger: Ledger, question: Callable[[Scratch], T]) -> T:
    with closing(Scratch()) as scratch:
        requests.read_ledger(scratch, ledger.newest(whole=True))
        return question(scratch)
