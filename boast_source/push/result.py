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
    from boast_source.push.requests import Request

STATES = tuple(state.value for state in COUNTED)


@dataclass(frozen=True)
class PushOptions:
    """`accounts` None: all that the token sees. `limit`: send at most so many; with more than `max_sends` to send,
    nothing is sent. `new_ledger`: start one where there is none. `request_timeout` in seconds.
    """

    accounts: tuple[str, ...] | None
    pending_table: str
    max_sends: int
    workers: int
    request_timeout: float
    limit: int | None = None
    new_ledger: bool = False
    dry_run: bool = False


@dataclass
class Pushed:
    """Rows by state, what a person should look at, and the exit code that follows.

    `planned`: of a dry run, every request with what would become of it. `attention`: requests that wait for a person.
    `too_many`: how many were ready to be sent when that was more than max_sends. `stopped`: why it ended early;
    `error`: the listing failed, so nothing was sent.
    """

    counts: Counter[str] = field(default_factory=Counter)
    loaded: Loaded | None = None
    planned: list[tuple[Request, Verdict]] = field(default_factory=list)
    attention: list[Event] = field(default_factory=list)
    duplicates: list[Event] = field(default_factory=list)
    too_many: int | None = None
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
        waiting = any(self.counts[s] for s in (State.REFUSED, State.UNKNOWN, State.HELD)) or self.duplicates
        undone = self.stopped is not None and (self.counts[State.DEFERRED] or not self.interrupted)
        listed_badly = self.loaded is not None and self.loaded.exit_code != DONE
        return ATTENTION if waiting or undone or listed_badly or self.too_many else DONE

    @property
    def queried(self) -> int:
        return sum(self.counts[state] for state in COUNTED)

    def count(self, request: Request, state: State, rows: int = 1) -> None:
        """A request's rows: the first has the state, the others are its duplicates, unless they contradict it."""
        self.counts[state] += rows * (request.rows if request.conflict else 1)
        self.counts[State.SKIPPED_DUPLICATE] += 0 if request.conflict else rows * (request.rows - 1)

    @property
    def errors(self) -> list[str]:
        """Why it did not end with 0, in the words of `runs.error`."""
        said = [self.stopped] if self.stopped else []
        if self.too_many is not None:
            said.append(
                f"{self.too_many} requests are ready, more than may be sent at once, so nothing was sent. To approve:"
                f" boast push --max-sends {self.too_many}"
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
        counts = self.counts
        sent = counts["enrolled"] + counts["removed"]
        listed = self.loaded.tallies() if self.loaded else {}
        return {"sent": sent, **{state: counts[state] for state in ("refused", "unknown", "held")}, **listed}

    def as_json(self) -> dict[str, Any]:
        """Return the summary of the contract (`push --json`); of a dry run also the requests."""
        summary = {
            "run_id": self.run_id,
            "status": STATUS[self.exit_code],
            "queried": self.queried,
            **{state.value: self.counts[state] for state in COUNTED},
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
