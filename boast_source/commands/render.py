"""Print results: summaries, status, checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from boast_source.commands import render_push
from boast_source.commands.terminal import stdout

if TYPE_CHECKING:
    from boast_source.jobs.check import Checked
    from boast_source.jobs.nightly import Night
    from boast_source.load.result import Loaded
    from boast_source.runs.health import Status

_WORDS = {
    "exact": "two passes in a row agree, and the warehouse equals them",
    "covered": "nothing moved during the listing, and the warehouse equals it",
    "moving": "the list changed while it was read, or its count exceeds its rows; the warehouse has all that was seen",
    "failed": "the warehouse does not hold what was seen, or suspiciously many rows are gone",
}
_COLOURS = {"exact": "green", "covered": "green", "moving": "yellow", "failed": "red", "None": "dim"}


def loaded(result: Loaded) -> None:
    """Print the summary of a load: a line per account, then the other lists, what failed, and how sure it is."""
    console = stdout()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("account")
    for name in ("listed", "loaded", "missing", "pages", "retries"):
        table.add_column(name, justify="right")
    table.add_column("verified")
    for r in result.enrollments:
        counts = (r.listed, r.loaded, r.missing, r.tally.pages, r.tally.retries)
        word = "failed" if r.error else str(r.verified)
        table.add_row(Text(str(r.account_id)), *(f"{count:,}" for count in counts), f"[{_COLOURS[word]}]{word}[/]")
    if result.enrollments:
        console.print(table)
    for name in dict.fromkeys(r.resource for r in result.others):
        mine = [r for r in result.others if r.resource == name]
        console.print(f"{name}: {sum(r.listed for r in mine):,} listed, {sum(r.loaded for r in mine):,} loaded")
    for error in result.errors:
        console.print(f"! {error}", style="red", markup=False)
    what = f"{result.total('loaded'):,} enrollments loaded of {result.total('listed'):,} listed"
    console.print(f"{what if result.enrollments else 'Done'}, in {result.seconds:.1f} s, into {result.place}.")
    if result.verified:
        console.print(f"Verified: {result.verified} ({_WORDS[result.verified]}).")


def night(result: Night) -> None:
    """Print the summaries of a night's load and push."""
    if result.loaded:
        loaded(result.loaded)
    if result.pushed:
        render_push.pushed(result.pushed)


def status(found: Status) -> None:
    """Print freshness, counts, the last run and pending actions."""
    console = stdout()
    health = found.health
    if health is None or found.age is None:
        console.print(f"No load has succeeded yet in {found.where}: run `boast load`.", style="red")
    else:
        hours = found.age / 3600
        judged = "" if found.max_age is None else "Fresh. "
        if found.stale and found.max_age is not None:
            judged = f"Stale: older than {found.max_age / 3600:g} h. "
        console.print(
            f"{judged}Last verified load: {hours:.1f} hours ago ({health['verified']}).",
            style="red" if found.stale else None,
        )
        console.print(
            f"Enrollments: {health['listed']:,} listed, {health['stored']:,} stored, {health['missing']:,} missing."
        )
    wrong = health is not None and health["last_error"] is not None
    if health and health["last_command"]:
        console.print(
            f"Last run: {health['last_command']}, {health['last_status']} (exit code {health['last_exit_code']}),"
            f" {health['last_finished_at']:%Y-%m-%d %H:%M} UTC." + (f" {health['last_error']}" if wrong else ""),
            style="red" if wrong else None,
            markup=False,
        )
        if health["waiting"]:
            console.print(
                f"Needs attention: {health['held']} held, {health['refused']} refused,"
                f" {health['unknown']} unknown; see `boast requests list`.",
                style="yellow",
            )
        elif wrong:
            console.print("No request needs attention, but the last run does.")
        else:
            console.print("Nothing needs attention.")
    if found.rows:
        console.print("Rows: " + ", ".join(f"{name} {count:,}" for name, count in found.rows.items()) + ".")


def checked(result: Checked) -> None:
    """Print one line per check."""
    console = Console(highlight=False)
    for point in result.points:
        mark = "[green]ok  [/green]" if point.ok else "[red]FAIL[/red]"
        console.print(mark, f"{point.name}:", end=" ")
        console.print(point.detail, markup=False, soft_wrap=True)
