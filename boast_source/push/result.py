"""What a push is asked to do, and what it did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from boast_source.push.model import COUNTED, State, Verdict
from boast_source.runs.record import ATTENTION, DONE, FAILED, STATUS

if TYPE_CHECKING:
    from boast_source.errors import BoastError
    from boast_source.load.result import Loaded
    from boast_source.push.ledger import Event
    from boast_source.push.plan import Plan
    from boast_source.push.requests import Request

STATES = tuple(state.value for state in COUNTED)


@dataclass(frozen=True)
class PushOptions:
    """`accounts` None: all that the token sees. `limit`: send at most so many; with more than `max_sends` to send,
    nothing is sent. `new_ledger`: start one where there is none; `accept_ledger`: go on with one that lost events.
    `request_timeout` in seconds. `plan`: a file for what would be sent, HTML or JSON; `approve`: the hash of a plan of
    which exactly this is sent; `only`: the key of the one request that is sent.
    """

    accounts: tuple[str, ...] | None
    pending_table: str
    max_sends: int
    workers: int
    request_timeout: float
    limit: int | None = None
    new_ledger: bool = False
    accept_ledger: bool = False
    dry_run: bool = False
    plan: str | None = None
    approve: str | None = None
    only: str | None = None


@dataclass
class Pushed:
    """Rows by state, what a person should look at, and the exit code that follows.

    `planned`: of a dry run, every request with what would become of it. `attention`: how many requests wait for an
    operator, by state, whichever run left them so. `sent`: how many were carried out. `blocked`: accounts that the
    token may not write to, and why. `duplicates`: found by this run. `too_many`: how many were ready to be sent when
    that was more than max_sends. `stopped`: why it ended early; `error`: the listing failed, so nothing was sent.
    """

    counts: Counter[str] = field(default_factory=Counter)
    loaded: Loaded | None = None
    planned: list[tuple[Request, Verdict]] = field(default_factory=list)
    attention: dict[State, int] = field(default_factory=dict)
    sent: int = 0
    blocked: dict[str, str] = field(default_factory=dict)
    duplicates: list[Event] = field(default_factory=list)
    too_many: int | None = None
    plan: Plan | None = None
    plan_file: str | None = None
    stopped: str | None = None
    interrupted: bool = False
    dry_run: bool = False
    error: BoastError | None = None
    run_id: str = ""
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """3 when something waits for a person, or was left undone for another reason than a limit."""
        if self.error:
            return self.error.exit_code
        if self.dry_run:
            return DONE
        if self.loaded and self.loaded.exit_code == FAILED:
            return FAILED
        undone = self.stopped is not None and (self.counts[State.DEFERRED] or not self.interrupted)
        listed_badly = self.loaded is not None and self.loaded.exit_code != DONE
        return ATTENTION if self.attention or undone or listed_badly or self.too_many or self.blocked else DONE

    @property
    def queried(self) -> int:
        return sum(self.counts[state] for state in COUNTED)

    def count(self, request: Request, state: State) -> None:
        """A request's rows: the first has the state, the others are its duplicates, unless they contradict it."""
        self.counts[state] += request.rows if request.conflict else 1
        self.counts[State.SKIPPED_DUPLICATE] += 0 if request.conflict else request.rows - 1

    @property
    def errors(self) -> list[str]:
        """Why it did not end with 0, in the words of `runs.error`."""
        said = [self.stopped] if self.stopped else []
        said += [f"account {account}: {why}" for account, why in self.blocked.items()]
        if self.too_many is not None:
            said.append(
                f"{self.too_many} requests are ready, more than may be sent at once, so nothing was sent. To approve:"
                f" boast push --max-sends {self.too_many}, or look first: boast push --plan plan.html"
            )
        if self.duplicates:
            said.append(
                f"{len(self.duplicates)} requests enrolled somebody more than once: see push_ledger, where error_code"
                " is 'duplicate', and remove what is too much in Boast"
            )
        said += [str(self.error)] if self.error else []
        return [*said, *(self.loaded.errors if self.loaded else [])]

    def tallies(self) -> dict[str, Any]:
        """Return what `runs` keeps of it: column and value."""
        listed = self.loaded.tallies() if self.loaded else {}
        return {"sent": self.sent, **{s: self.counts[s] for s in ("refused", "unknown", "held")}, **listed}

    def as_json(self) -> dict[str, Any]:
        """Return the summary of the contract (`push --json`); of a dry run also the requests."""
        summary: dict[str, Any] = {
            "run_id": self.run_id,
            "status": STATUS[self.exit_code],
            "queried": self.queried,
            **{state.value: self.counts[state] for state in COUNTED},
            "attention": {state.value: count for state, count in self.attention.items()},
            "duplicates": [event.request_key for event in self.duplicates],
            "blocked": self.blocked,
            "too_many": self.too_many,
            "stopped": self.stopped,
            "errors": self.errors,
            "plan": self.plan_file,
            "plan_hash": self.plan.hash if self.plan else None,
        }
        if self.dry_run:
            summary["requests"] = [
                {
                    "request_key": request.request_key,
                    "action": request.action,
                    "would": request.action if verdict.send else verdict.state,
                    "reason": verdict.detail,
                }
                for request, verdict in self.planned
            ]
        return summary
