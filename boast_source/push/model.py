"""The states of a push request: one table, from which everything that speaks of states is made.

The table is the code: the ledger's queries, what an operator may decide, the summaries, `boast requests`, the views,
the webhook and docs/push.md read it. An event stores a `State`; how a request *stands* is its newest event's state,
except that a contact enrolled twice stands as `DUPLICATE` (stored as `enrolled` with the error code `duplicate`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from boast_source.push.ledger import Event


class Word(str, Enum):
    """An enum whose members are their own text, also in an f-string on every Python."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(str(self.value), spec)


class State(Word):
    """How a request stands; the table below says what each means."""

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
    """What an operator may decide about a request."""

    RELEASE = "release"
    RETRY = "retry"
    DROP = "drop"


class Control(Word):
    """The states of events that are about no request: what an operator controls (controls.py)."""

    PAUSED = "paused"
    RESUMED = "resumed"
    ACCEPTED = "accepted"
    PLANNED = "planned"


@dataclass(frozen=True)
class Rule:
    """One state. `meaning`: what happened; `next`: what the next push does by itself, in words for people.

    `final`: not looked at again while its row says the same. `open`: settled before anything else is decided, if it
    was ever sent. `sent`: counts in `runs.sent`. `attention`: waits for an operator. `decisions`: what may be decided.
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
        "it did not happen, and is no longer asked for", "nothing, until a row asks for it again", final=True
    ),
    State.DROPPED: Rule("an operator dropped it", "nothing; `held`, if its row changes", final=True),
}

# of the summary (`push --json`): what a run counts, in the order in which people read it
COUNTED = (
    *(State.ENROLLED, State.REMOVED, State.SKIPPED_ACTIVE, State.SKIPPED_DUPLICATE, State.INVALID, State.HELD),
    *(State.REFUSED, State.UNKNOWN, State.WITHDRAWN, State.DEFERRED),
)


class Evidence(Word):
    """What reading back shows of an open request."""

    HAPPENED = "it is there, and nothing else accounts for it"
    ABSENT = "it is not there, and will not come any more"
    UNCLEAR = "nobody can tell yet"


class Step(Word):
    """What a push does next with a request that it read back."""

    RECORD = "record that it ended"
    SEND = "decide on it as on a new one"
    WAIT = "leave it open"


DONE = {"enroll": State.ENROLLED, "remove": State.REMOVED}

# (what reading back shows, whether a row still asks for it) -> the step, and the state that is recorded
# (None: that of its action)
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
    """What becomes of a request. `send`: claim it and send it. `enrollment_id`: which enrollment it is about; `code`
    and `detail` say why.
    """

    state: State
    code: str | None = None
    detail: str | None = None
    enrollment_id: str | None = None
    http_status: int | None = None
    send: bool = False


def standing(event: Event) -> State:
    """Return how a request stands whose newest event this is."""
    twice = event.state == State.ENROLLED and event.error_code == State.DUPLICATE
    return State.DUPLICATE if twice else State(event.state)


def rule(event: Event) -> Rule:
    """Return the rule of a request whose newest event this is."""
    return RULES[standing(event)]


def states(which: Callable[[Rule], object]) -> tuple[State, ...]:
    """Return the states whose rule is like this."""
    return tuple(state for state, rule in RULES.items() if which(rule))


def in_sql(which: Callable[[Rule], object]) -> str:
    """Return these states as a list for SQL's `in (...)`."""
    return ", ".join(f"'{state.value}'" for state in states(which))
