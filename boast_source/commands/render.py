"""What a person sees: progress on a terminal, notes, stages, summaries, checks. Colours only on a terminal.

With JSON logs, notes and stages are log lines (logs.py).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from boast_source import logs
from boast_source.warehouse import pipeline as destinations

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dlt
    from rich.progress import TaskID

    from boast_source.api import Page
    from boast_source.commands.check import Point
    from boast_source.listing.listing import ListReport
    from boast_source.load.load import Loaded
    from boast_source.runs.health import Status
    from boast_source.runs.record import Run

_WORDS = {
    "exact": "two passes in a row agree, and the warehouse equals them",
    "covered": "nothing moved while it was read, and the warehouse holds all of it",
    "moving": "the list kept changing, or counts more than it lists; the warehouse holds all that was seen",
    "failed": "the warehouse does not hold what was seen, or too much is gone",
}
_COLOURS = {"exact": "green", "covered": "green", "moving": "yellow", "failed": "red", "None": "dim"}


def note(text: str) -> None:
    """A line beside the result."""
    if logs.is_json():
        logs.say(text)
    else:
        Console(stderr=True, highlight=False).print(text, soft_wrap=True, markup=False)


def stage(name: str, seconds: float, run_id: str, **counts: Any) -> None:
    """One line when a stage of a run is over: what it counted, and how long it took."""
    counts = {what: count for what, count in counts.items() if count is not None}
    if logs.is_json():
        logs.say(f"{name} done", stage=name, run_id=run_id, seconds=round(seconds, 3), **counts)
        return
    if "exit_code" in counts:  # of a whole run; its error is printed after it
        counts = {f"{counts['status']} (exit code {counts['exit_code']})": ""}
    parts = [
        f"{count:,} {what}" if isinstance(count, int) else f"{what} {count}".strip() for what, count in counts.items()
    ]
    note(f"{name}: {', '.join([*parts, f'{seconds:.1f} s'])}")


class Shown:
    """Progress per list and account; notes between. Safe to call from one thread at a time."""

    def __init__(self, bars: Progress | None) -> None:
        self._bars = bars
        self._tasks: dict[int, TaskID] = {}

    def page(self, report: ListReport, page: Page) -> None:
        if self._bars is None:
            return
        label = report.resource if report.account_id is None else f"{report.resource} {report.account_id[:8]}"
        if id(report) not in self._tasks:
            self._tasks[id(report)] = self._bars.add_task(escape(label), total=page.pages or 1)
        self._bars.update(self._tasks[id(report)], advance=1, total=max(page.pages or 1, page.number))

    def note(self, text: str) -> None:
        if self._bars is None:
            note(text)
        else:
            self._bars.console.print(text, soft_wrap=True, markup=False, highlight=False)


@contextlib.contextmanager
def progress() -> Iterator[Shown]:
    """Bars while a terminal watches, nothing otherwise."""
    console = Console(stderr=True)
    if logs.is_json() or not console.is_terminal:
        yield Shown(None)
        return
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("pages"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with bars:
        yield Shown(bars)


def show_load(loaded: Loaded, pipeline: dlt.Pipeline, run: Run) -> None:
    """The summary of a load: a line per account, then the other lists, what failed, and how sure it is."""
    console = _stdout()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("account")
    for name in ("listed", "loaded", "missing", "pages", "retries"):
        table.add_column(name, justify="right")
    table.add_column("verified")
    for r in loaded.enrollments:
        counts = (r.listed, r.loaded, r.missing, r.tally.pages, r.tally.retries)
        word = "failed" if r.error else str(r.verified)
        table.add_row(Text(str(r.account_id)), *(f"{count:,}" for count in counts), f"[{_COLOURS[word]}]{word}[/]")
    if loaded.enrollments:
        console.print(table)
    for name in dict.fromkeys(r.resource for r in loaded.others):
        mine = [r for r in loaded.others if r.resource == name]
        console.print(f"{name}: {sum(r.listed for r in mine):,} listed, {sum(r.loaded for r in mine):,} loaded")
    for error in loaded.errors:
        console.print(f"! {error}", style="red", markup=False)
    seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at else 0.0
    what = f"{loaded.total('loaded'):,} enrollments loaded of {loaded.total('listed'):,} listed"
    console.print(
        f"{what if loaded.enrollments else 'Done'}, in {seconds:.1f} s,"
        f" into {destinations.place(pipeline)}, dataset {pipeline.dataset_name}."
    )
    if loaded.verified:
        console.print(f"Verified: {loaded.verified} ({_WORDS[loaded.verified]}).")


def _stdout() -> Console:
    """Wide where nobody watches: a log has no columns."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=200)


def show_status(found: Status) -> None:
    """In five lines: is all well, what is old, what waits."""
    console = _stdout()
    health = found.health
    if health is None or found.age is None:
        console.print("No load has succeeded yet: run `boast load`.", style="red")
    else:
        hours = found.age / 3600
        stale = f" STALE: older than {found.max_age / 3600:.0f} h." if found.stale and found.max_age else ""
        console.print(f"Fresh as of {hours:.1f} hours ago, verified: {health['verified']}.{stale}")
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
                f"Waiting for a person: {health['held']} held, {health['refused']} refused,"
                f" {health['unknown']} unknown; see `boast requests list`.",
                style="yellow",
            )
        elif wrong:
            console.print("No request waits for a person; what the last run says does.")
        else:
            console.print("Nothing waits for a person.")
    if found.rows:
        console.print("Rows: " + ", ".join(f"{name} {count:,}" for name, count in found.rows.items()) + ".")


def show_checks(points: list[Point]) -> None:
    """One line per check."""
    console = Console(highlight=False)
    for point in points:
        mark = "[green]ok  [/green]" if point.ok else "[red]FAIL[/red]"
        console.print(mark, f"{point.name}:", end=" ")
        console.print(point.detail, markup=False, soft_wrap=True)
