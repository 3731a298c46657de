"""Print the results of a push: the summary, the dry run, and requests with what to do about each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from boast_source.commands.terminal import cell, stdout
from boast_source.errors import one_line
from boast_source.push.result import STATES, Pushed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from boast_source.push.shown import Shown

SHOWN = 50  # requests per listing on a terminal; --json shows all
NEXT = {
    "held": "boast requests release KEY (send it) or drop KEY",
    "refused": "fix its row under a new request_id, or boast requests release KEY, or drop KEY",
    "unknown": "the next push reads back what became of it; boast requests retry KEY or drop KEY decides at once",
    "claimed": "the next push reads back what became of it",
    "invalid": "fix its row; the next push checks it again",
    "released": "the next push sends it",
    "duplicate": "remove the enrollment that is too much in Boast, or boast requests drop KEY accepts it",
}
_COLOURS = {"enrolled": "green", "removed": "green", "refused": "red", "unknown": "yellow", "held": "yellow"}


def pushed(result: Pushed) -> None:
    """Print the summary: a line per state, then pending actions and why the push ended early."""
    console = stdout()
    if result.dry_run:
        _planned(console, result)
    requests = "1 request" if result.queried == 1 else f"{result.queried:,} requests"
    console.print(f"{requests} checked in {result.seconds:.1f} s.")
    would = sum(verdict.send for _, verdict in result.planned)  # in a dry run these count as deferred
    for state in STATES:
        if count := result.counts[state] - (would if state == "deferred" else 0):
            console.print(f"  {state:<18}{count:>9,}", style=_COLOURS.get(state))
    _waiting(console, result)


def _waiting(console: Console, result: Pushed) -> None:
    for event in result.duplicates:
        console.print(one_line(f"! {event.request_key}: {event.error_detail}"), style="red", markup=False)
    if result.too_many is not None:
        console.print(
            f"! {result.too_many:,} requests are ready, more than may be sent at once, so nothing was sent. To approve:"
            f" boast push --max-sends {result.too_many}, or look first with --plan FILE, or send some with --limit N.",
            style="yellow",
        )
    if result.stopped:
        console.print(one_line(f"! Stopped early: {result.stopped}"), style="red", markup=False)
    for account, why in result.blocked.items():
        console.print(one_line(f"! Nothing more was sent to account {account}: {why}"), style="red", markup=False)
    for state, count in result.attention.items():
        console.print(f"{count:,} {state}: see `boast requests list --state {state}`; then {NEXT[state]}.")
    if result.loaded:
        for error in result.loaded.errors:
            console.print(one_line(f"! {error}"), style="red", markup=False)


def requests(found: Sequence[Shown], action: str) -> None:
    """Print one line per request: key, state and since when, action, contact, sequence, reason, what happens next."""
    console = stdout()
    if not found:
        console.print("No request waits for a person.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("request", "state", "since", "action", "contact", "sequence", "attempts", "reason", "next"):
        table.add_column(name, overflow="fold")
    for one in found[:SHOWN]:
        e = one.event
        reason = " ".join(str(part) for part in (e.http_status, e.error_code, e.error_detail, e.note) if part)
        since = f"{e.recorded_at:%Y-%m-%d %H:%M}" if e.recorded_at else ""
        sequence = one.sequence_name or e.sequence_id
        facts = (e.request_key, one.standing, since, e.action, e.contact_id, sequence, e.attempt, reason, one.next)
        table.add_row(*(cell(fact or "") for fact in facts))
    console.print(table)
    if len(found) > SHOWN:
        console.print(f"... and {len(found) - SHOWN:,} more; --json shows all.")
    if action == "list":
        for state in dict.fromkeys(one.standing.value for one in found):
            if state in NEXT:
                console.print(f"{state}: {NEXT[state]}.")


def _planned(console: Console, result: Pushed) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("request", "would", "contact", "sequence", "reason"):
        table.add_column(name, overflow="fold")
    for request, verdict in result.planned[:SHOWN]:
        would = str(request.action) if verdict.send else verdict.state
        facts = (request.request_key, would, request.contact_id, request.sequence_id, verdict.detail)
        table.add_row(*(cell(fact or "") for fact in facts))
    if result.planned:
        console.print(table)
    if len(result.planned) > SHOWN:
        console.print(f"... and {len(result.planned) - SHOWN:,} more; --json shows all.")
    to_send = sum(verdict.send for _, verdict in result.planned)
    if result.plan:
        console.print(f"The plan: {result.plan.said()}.", markup=False)
        approve = f"; `boast push --approve {result.plan.hash}` sends exactly that" if to_send else ""
        console.print(f"It is in {result.plan_file}{approve}.", markup=False)
    console.print(f"Dry run: {to_send:,} would be sent; nothing was sent or written.")
