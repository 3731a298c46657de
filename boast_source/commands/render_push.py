"""What a person sees of a push: progress, the summary, what to do about each request that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from boast_source.commands.terminal import stdout
from boast_source.push.result import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from boast_source.push.ledger import Event
    from boast_source.push.result import Pushed

SHOWN = 50  # requests in a listing on a terminal; --json shows all
NEXT = {
    "held": "boast requests release KEY (send it) or drop KEY",
    "refused": "mend its row under a new request_id, or boast requests release KEY, or drop KEY",
    "unknown": "the next push reads back what became of it; boast requests retry KEY or drop KEY decides at once",
    "claimed": "the next push reads back what became of it",
    "invalid": "mend its row; the next push looks at it again",
    "released": "the next push sends it",
}
_COLOURS = {"enrolled": "green", "removed": "green", "refused": "red", "unknown": "yellow", "held": "yellow"}


def pushed(result: Pushed) -> None:
    """The summary: a line per state, what waits for a person, why it ended early."""
    console = stdout()
    if result.dry_run:
        _planned(console, result)
    console.print(f"{result.queried:,} requests looked at in {result.seconds:.1f} s.")
    for state in STATES:
        if result.counts[state]:
            console.print(f"  {state:<18}{result.counts[state]:>9,}", style=_COLOURS.get(state))
    _waiting(console, result)


def _waiting(console: Console, result: Pushed) -> None:
    for event in result.duplicates:
        console.print(f"! {event.request_key}: {event.error_detail}", style="red", markup=False)
    if result.too_many is not None:
        console.print(
            f"! {result.too_many:,} requests are ready, more than may be sent at once, so nothing was sent. To approve:"
            f" boast push --max-sends {result.too_many}, or send some with --limit N.",
            style="yellow",
        )
    if result.stopped:
        console.print(f"! Stopped early: {result.stopped}", style="red", markup=False)
    for state in ("refused", "unknown", "held"):
        if result.counts[state] and not result.dry_run:
            console.print(f"{state}: see `boast requests list --state {state}`; then {NEXT[state]}.")
    if result.loaded:
        for error in result.loaded.errors:
            console.print(f"! {error}", style="red", markup=False)


def requests(events: Sequence[Event], action: str) -> None:
    """One line per request: key, state, what it is about, why, and what to do about each state."""
    console = stdout()
    if not events:
        console.print("No request waits for a person.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("request", "state", "action", "contact", "sequence", "attempts", "reason"):
        table.add_column(name, overflow="fold")
    for e in events[:SHOWN]:
        reason = " ".join(str(part) for part in (e.http_status, e.error_code, e.error_detail) if part)
        table.add_row(
            *(
                Text(str(v or ""))
                for v in (e.request_key, e.state, e.action, e.contact_id, e.sequence_id, e.attempt, reason)
            )
        )
    console.print(table)
    if len(events) > SHOWN:
        console.print(f"... and {len(events) - SHOWN:,} more; --json shows all.")
    if action == "list":
        for state in dict.fromkeys(event.state for event in events):
            if state in NEXT:
                console.print(f"{state}: {NEXT[state]}.")


def as_json(event: Event) -> dict[str, Any]:
    """A request as `boast requests list --json` prints it."""
    return {name: getattr(event, name) for name in type(event).__dataclass_fields__}


def _planned(console: Console, result: Pushed) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("request", "would", "contact", "sequence", "reason"):
        table.add_column(name, overflow="fold")
    for request, verdict in result.planned[:SHOWN]:
        would = str(request.action) if verdict.send else verdict.state
        facts = (request.request_key, would, request.contact_id, request.sequence_id, verdict.detail)
        table.add_row(*(Text(str(fact or "")) for fact in facts))
    if result.planned:
        console.print(table)
    if len(result.planned) > SHOWN:
        console.print(f"... and {len(result.planned) - SHOWN:,} more; --json shows all.")
    to_send = sum(verdict.send for _, verdict in result.planned)
    console.print(f"Dry run: {to_send:,} would be sent (counted as deferred below); nothing was sent or written.")
