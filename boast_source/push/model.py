"""The states of a push request, in one table.

The ledger's queries, the operator's decisions, the summaries, `boast requests`, the views, the webhook and
docs/push.md are all derived from it. An event stores a `State`. A request's *standing* is the state of its newest
event, except that a contact enrolled twice stands as `DUPLICATE` (stored as `enrolled` with error code `duplicate`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from boast_source.push.ledger import Event


class Word(str, Enum):
    """A string enum whose members format as their values on every Python version."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(str(self.value), spec)


class State(Word):
    """The state of a request; RULES explains each."""

    CLAIMED = "claimed"
    ENROLLED = "enrolled"
    REMOVED = "removed"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    SKIPPED_ACTIVE = "skipped_active"
    SKIPPED_DUPLICATE = "skipped_duplicate"
    INVALID = "invalid"
    HELD = "held"
    DEFERRED = "deferred"
    RELEASED = "released"
    WITHDRAWN = "withdrawn"
    DROPPED = "dropped"


class Decision(Word):
    """An operator's decision on a request."""

    RELEASE = "release"
    RETRY = "retry"
    DROP = "drop"


class Control(Word):
    """States of the ledger's other events, which belong to no request (controls.py)."""

    PAUSED = "paused"
    RESUMED = "resumed"
    ACCEPTED = "accepted"
    PLANNED = "planned"


@dataclass(frozen=True)
class Rule:
    """What a state means. `meaning`: what happened; `next`: what the next push does on its own (both shown to users).

    `final`: ignored until its row changes. `open`: if ever sent, settled before anything else is decided.
    `sent`: counts in `runs.sent`. `attention`: waits for an operator. `decisions`: what the operator may decide.
    """

    meaning: str
    next: str
    final: bool = False
    open: bool = False
    sent: bool = False
    attention: bool = False
    decisions: tuple[Decision, ...] = ()


RELEASE, RETRY, DROP = Decision
RULES: dict[State, Rule] = {
    State.CLAIMED: Rule(
        "about to be sent; if its process died, Boast may have acted",
        "reads back what became of it",
        open=True,
        attention=True,
        decisions=(RETRY, DROP),
    ),
    State.ENROLLED: Rule("Boast enrolled the contact, or reading back found it", "nothing", final=True, sent=True),
    State.REMOVED: Rule(
        "Boast removed the enrollment, or reading back found it",
        "compares it with the listing",
        final=True,
        sent=True,
    ),
    State.DUPLICATE: Rule(
        "the contact is active more than once in this sequence",
        "nothing, until only one of the enrollments is active",
        final=True,
        sent=True,
        attention=True,
        decisions=(DROP,),
    ),
    State.UNKNOWN: Rule(
        "no clear answer: Boast may have acted",
        "reads back what became of it, and sends it again once it is proved absent",
        open=True,
        attention=True,
        decisions=(RETRY, DROP),
    ),
    State.REFUSED: Rule(
        "Boast answered with a clear no",
        "nothing",
        final=True,
        attention=True,
        decisions=(RELEASE, RETRY, DROP),
    ),
    State.SKIPPED_ACTIVE: Rule(
        "the contact is active in this sequence already", "nothing", final=True, decisions=(RELEASE, DROP)
    ),
    State.SKIPPED_DUPLICATE: Rule("an equal row came first", "nothing", final=True),
    State.INVALID: Rule("its row cannot be sent as it is", "looks at its row again", attention=True, decisions=(DROP,)),
    State.HELD: Rule(
        "it may be a repetition or a mistake", "nothing", attention=True, decisions=(RELEASE, RETRY, DROP)
    ),
    State.DEFERRED: Rule("not sent: a limit, a stop, or an open request of the same contact", "looks at it again"),
    State.RELEASED: Rule("an operator approved sending it", "sends it", open=True, decisions=(DROP,)),
    State.WITHDRAWN: Rule(
        "it was not carried out, and no row asks for it any more", "nothing, until a row asks for it again", final=True
    ),
    State.DROPPED: Rule("an operator dropped it", "nothing; `held`, if its row changes", final=True),
}

# the states that a run counts, in the order of the summary (`push --json`)
COUNTED = (
    *(State.ENROLLED, State.REMOVED, State.SKIPPED_ACTIVE, State.SKIPPED_DUPLICATE, State.INVALID, State.HELD),
    *(State.REFUSED, State.UNKNOWN, State.WITHDRAWN, State.DEFERRED),
)


class Evidence(Word):
    """What reading back shows about an open request."""

    HAPPENED = "it is there, and nothing else accounts for it"
    ABSENT = "it is not there, and will not come any more"
    UNCLEAR = "nobody can tell yet"


class Step(Word):
    """What a push does with a request after reading it back."""

    RECORD = "record that it ended"
    SEND = "decide on it as on a new one"
    WAIT = "leave it open"


DONE = {"enroll": State.ENROLLED, "remove": State.REMOVED}

# (evidence, whether a row still asks for it) -> (step, state to record); state None: DONE[action]
SETTLING: dict[tuple[Evidence, bool], tuple[Step, State | None]] = {
    (Evidence.HAPPENED, True): (Step.RECORD, None),
    (Evidence.HAPPENED, False): (Step.RECORD, None),
    (Evidence.ABSENT, True): (Step.SEND, None),
    (Evidence.ABSENT, False): (Step.RECORD, State.WITHDRAWN),
    (Evidence.UNCLEAR, True): (Step.WAIT, State.UNKNOWN),
    (Evidence.UNCLEAR, False): (Step.WAIT, State.UNKNOWN),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision on a request, or its result. `send`: claim it and send it. `code` and `detail`: the reason.
    `enrollment_id`: the enrollment it is about.
    """

    state: State
    code: str | None = None
    detail: str | None = None
    enrollment_id: str | None = None
    http_status: int | None = None
    send: bool = False


def standing(event: Event) -> State:
    """Return the standing of a request, given its newest event."""
    twice = event.state == State.ENROLLED and event.error_code == State.DUPLICATE
    return State.DUPLICATE if twice else State(event.state)


def rule(event: Event) -> Rule:
    """Return the rule that applies to a request, given its newest event."""
    return RULES[standing(event)]


def states(which: Callable[[Rule], object]) -> tuple[State, ...]:
    """Return the states whose rule satisfies `which`."""
    return tuple(state for state, rule in RULES.items() if which(rule))


def in_sql(which: Callable[[Rule], object]) -> str:
    """Return the states whose rule satisfies `which`, as a list for SQL's `in (...)`."""
    return ", ".join(f"'{state.value}'" for state in states(which))
