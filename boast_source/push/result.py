"""The options and the result of a push."""

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
    """`accounts` None: all that the token sees. `limit`: send at most this many. `max_sends`: if more are ready, send
    nothing. `new_ledger`: create the ledger, for the first push; `accept_ledger`: continue with one that lost events.
    `request_timeout`: in seconds. `plan`: the file to write a plan to, HTML or JSON; `approve`: the hash of the plan to
    send; `only`: the key of the only request to send.
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
    """The result of a push. `counts`: rows by state.

    `planned`: in a dry run, every request with its verdict. `attention`: the number of requests that wait for an
    operator, by state, from all runs. `sent`: how many were carried out. `blocked`: accounts that the token may not
    write to, with the reason. `duplicates`: those found by this run. `too_many`: how many were ready, if more than
    max_sends. `stopped`: why it ended early. `error`: why nothing was sent: listing or reading the pending rows failed.
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
        """3 when requests wait for an operator, or were left undone for a reason other than `limit`."""
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
        """Count a request's rows: one in this state, the others as duplicates; all in this state if they conflict."""
        self.counts[state] += request.rows if request.conflict else 1
        self.counts[State.SKIPPED_DUPLICATE] += 0 if request.conflict else request.rows - 1

    @property
    def errors(self) -> list[str]:
        """The reasons why the exit code is not 0, as stored in `runs.error`."""
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
        """Return the values that `runs` stores, by column."""
        listed = self.loaded.tallies() if self.loaded else {}
        return {"sent": self.sent, **{s: self.counts[s] for s in ("refused", "unknown", "held")}, **listed}

    def as_json(self) -> dict[str, Any]:
        """Return the documented summary (`push --json`); for a dry run it includes the requests."""
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
