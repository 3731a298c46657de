"""Print results: summaries, status, checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from boast_source.commands import render_push
from boast_source.commands.terminal import SafeConsole, cell, stdout
from boast_source.errors import one_line
from boast_source.listing.report import MEANING

if TYPE_CHECKING:
    from boast_source.jobs.check import Checked
    from boast_source.jobs.nightly import Night
    from boast_source.load.result import Loaded
    from boast_source.runs.health import Status

_COLOURS = {"exact": "green", "covered": "green", "recent": "green", "moving": "yellow", "failed": "red", "None": "dim"}


def loaded(result: Loaded) -> None:
    """Print the summary of a load: a line per account, then the other lists, errors, and how it was verified."""
    console = stdout()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("account")
    for name in ("listed", "loaded", "missing", "pages", "retries"):
        table.add_column(name, justify="right")
    table.add_column("verified")
    for r in result.enrollments:
        counts = (r.listed, r.loaded, r.missing, r.tally.pages, r.tally.retries)
        word = "failed" if r.error else str(r.verified)
        table.add_row(cell(r.account_id), *(f"{count:,}" for count in counts), f"[{_COLOURS[word]}]{word}[/]")
    if result.enrollments:
        console.print(table)
    for name in dict.fromkeys(r.resource for r in result.others):
        mine = [r for r in result.others if r.resource == name]
        console.print(f"{name}: {sum(r.listed for r in mine):,} listed, {sum(r.loaded for r in mine):,} loaded")
    if any(r.verified == "recent" for r in result.reports):
        for reason, names in result.whole.items():
            console.print(f"Read in full: {', '.join(names)} ({reason}).")
    for error in result.errors:
        console.print(one_line(f"! {error}"), style="red", markup=False)
    what = f"{result.total('loaded'):,} enrollments loaded of {result.total('listed'):,} listed"
    console.print(f"{what if result.enrollments else 'Done'}, in {result.seconds:.1f} s, into {result.place}.")
    if result.verified:
        console.print(f"Verified: {result.verified} ({MEANING[result.verified]}).")


def night(result: Night) -> None:
    """Print the summaries of a nightly run's load and push."""
    if result.loaded:
        loaded(result.loaded)
    if result.pushed:
        render_push.pushed(result.pushed)


def status(found: Status) -> None:
    """Print the health judgement, freshness, counts, the last run and pauses."""
    console = stdout()
    health = found.health
    console.print(found.judgement, style="green" if found.is_well else "red", markup=False)
    if health is not None and found.age is not None:
        ago = f"{found.age / 60:.0f} minutes" if abs(found.age) < 7200 else f"{found.age / 3600:.1f} hours"
        console.print(
            f"Last verified load: {ago} ago ({health['verified']})."
            f" It listed {health['listed']:,} enrollments; stored now: {health['stored']:,},"
            f" missing: {health['missing']:,}."
        )
    if health and health["last_command"]:
        console.print(
            f"Last run: {health['last_command']}, {health['last_status']} (exit code {health['last_exit_code']}),"
            f" {health['last_finished_at']:%Y-%m-%d %H:%M} UTC. {one_line(health['last_error'] or '')}".rstrip(),
            markup=False,
        )
    for scope in found.paused:
        what = "everything" if scope == "*" else scope
        option = "" if scope == "*" else f" --{scope}"
        console.print(f"Paused by an operator: {what}; `boast requests resume{option}` resumes it.", style="yellow")
    if found.rows:
        console.print("Rows: " + ", ".join(f"{name} {count:,}" for name, count in found.rows.items()) + ".")
    console.print(f"Warehouse: {found.where}.", markup=False)


def checked(result: Checked) -> None:
    """Print one line per check."""
    console = SafeConsole(highlight=False)
    for point in result.points:
        mark = "[green]ok  [/green]" if point.ok else "[red]FAIL[/red]"
        console.print(mark, f"{point.name}:", end=" ")
        console.print(one_line(point.detail), markup=False, soft_wrap=True)
