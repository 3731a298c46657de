"""Show progress while a command runs: bars and colours on a terminal only, notes and stages on stderr.

With JSON logs, notes and stages are log lines (logs.py).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.segment import Segment
from rich.text import Text

from boast_source import logs
from boast_source.errors import one_line
from boast_source.jobs.progress import Progress

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from boast_source.api import Page
    from boast_source.listing.report import ListReport


class SafeConsole(Console):
    """A console that replaces control characters in the text it prints; its own colours still work."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for part in super().render(renderable, options):
            yield part if part.control or part.text.isprintable() else Segment(_shown(part.text), part.style)


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def stdout() -> Console:
    """Return the console for stdout; 200 columns wide if it is not a terminal."""
    console = SafeConsole(highlight=False, soft_wrap=True)
    return console if console.is_terminal else SafeConsole(highlight=False, soft_wrap=True, width=200)


def cell(value: object) -> Text:
    """Return an external value as one line for a table cell; empty for None."""
    return Text("" if value is None else one_line(value))


def note(text: str) -> None:
    """Print a note on stderr, one line."""
    if logs.is_json():
        logs.say(text)
    else:
        SafeConsole(stderr=True, highlight=False).print(one_line(text), soft_wrap=True, markup=False)


class Terminal(Progress):
    """Progress on stderr: notes and stages; on a terminal also a bar per list and account, and a line of counts.

    Call it from one thread at a time.
    """

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._tasks: dict[int, TaskID] = {}

    def note(self, text: str) -> None:
        if self._bars is None:
            note(text)
        else:
            self._bars.console.print(one_line(text), soft_wrap=True, markup=False, highlight=False)

    def stage(self, name: str, seconds: float, run_id: str, **facts: Any) -> None:
        facts = {what: fact for what, fact in facts.items() if fact is not None}
        if logs.is_json():
            logs.say(f"{name} done", stage=name, run_id=run_id, seconds=round(seconds, 3), **facts)
            return
        if "exit_code" in facts:  # a whole run; its error is printed afterwards
            facts = {f"{facts['status']} (exit code {facts['exit_code']})": ""}
        parts = [
            f"{fact:,} {what}" if isinstance(fact, int) else f"{what} {fact}".strip() for what, fact in facts.items()
        ]
        note(f"{name}: {', '.join([*parts, f'{seconds:.1f} s'])}")

    @contextlib.contextmanager
    def live(self, title: str) -> Iterator[None]:
        console = SafeConsole(stderr=True)
        if logs.is_json() or not console.is_terminal:
            yield
            return
        columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        with Bars(*columns, TextColumn("pages"), TimeElapsedColumn(), console=console, transient=True) as bars:
            bars.add_task(escape(title), total=None)
            self._bars = bars
            try:
                yield
            finally:
                self._bars, self._tasks = None, {}

    def page(self, report: ListReport, page: Page) -> None:
        if self._bars is None:
            return
        label = report.resource if report.account_id is None else f"{report.resource} {report.account_id[:8]}"
        if id(report) not in self._tasks:
            self._tasks[id(report)] = self._bars.add_task(escape(label), total=page.pages or 1)
        self._bars.update(self._tasks[id(report)], advance=1, total=max(page.pages or 1, page.number))

    def counts(self, counts: Counter[str]) -> None:
        if self._bars is not None:
            said = "  ".join(f"{state} {count:,}" for state, count in counts.items() if count)
            self._bars.update(self._bars.task_ids[0], description=escape(said or "sending"))
