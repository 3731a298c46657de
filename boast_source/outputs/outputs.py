"""Outputs of a good run: the report and the copy for dashboards. If one fails, the other is still made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from boast_source import models, runs, signals
from boast_source.config import Settings, listed, push_settings
from boast_source.errors import BoastError
from boast_source.logs import log
from boast_source.outputs import files
from boast_source.outputs.copy import publish
from boast_source.private import PERSONAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from boast_source.load.result import Loaded
    from boast_source.warehouse import Warehouse


def outputs(
    warehouse: Warehouse,
    found: Settings,
    loaded: Loaded,
    over: runs.Run,
    *,
    reporting: bool,
    on_made: Callable[[str, float, str], None],
    on_note: Callable[[str], None],
) -> list[BoastError]:
    """Make the report, if `reporting`, and the copy for dashboards, if configured; return the errors.

    If an account that answered is not verified, or none answered, neither is made: the last good ones stay.
    `over`: this run as it will end if nothing else fails; both show this state.
    `on_made`: called with the part's name, its seconds and its place.
    """
    parts: dict[str, Callable[[], object]] = {}
    if reporting and found.report_path:
        parts["report"] = lambda: make_report(warehouse, found, str(found.report_path), on_note, over)
    if found.publish_path:
        parts["publish"] = lambda: _published(warehouse, found, on_note, over)
    if not parts:
        return []
    # a failed account keeps its rows of the last good run
    sure = [report.verified for report in loaded.enrollments if not report.error]
    if loaded.enrollments and (not sure or "failed" in sure):
        on_note("no report and no copy for dashboards: this run could not verify what it loaded; the last ones stay")
        return []
    try:
        with warehouse.open(patience=found.lock_timeout, on_wait=on_note):
            if not models.are_possible(warehouse):
                on_note("no report and no copy for dashboards: they are made of views, and this destination has none")
                return []
            return [error for name, part in parts.items() if (error := _tried(name, part, on_made))]
    except BoastError as error:
        if signals.caused(error):
            raise
        return [error]


def _tried(name: str, part: Callable[[], object], on_made: Callable[[str, float, str], None]) -> BoastError | None:
    began = time.monotonic()
    try:
        place = part()
    except Exception as error:
        if signals.caused(error):
            raise
        if isinstance(error, BoastError):
            return error
        log.debug("%s failed", name, exc_info=True)
        return BoastError(f"{name} failed: {type(error).__name__}", hint="Run it again with --debug to see where.")
    if place:
        on_made(name, time.monotonic() - began, str(place))
    return None


def make_report(
    warehouse: Warehouse, found: Settings, place: str, on_note: Callable[[str], None], over: runs.Run | None = None
) -> str:
    """Read the figures and write the page, without charts if they cannot be drawn. Return its path or URL.

    Raises BoastError, also when the page is written but a view for one of its parts is missing.
    """
    from boast_source.outputs.report import charts, figures, page  # noqa: PLC0415 -- a load alone does not need Jinja

    shown = figures.read(warehouse, found.time_zone, over)
    try:
        drawn = charts.draw_all(shown)
    except BoastError as error:
        on_note(f"the report has no charts this time. {error}")
        drawn = {}
    written = files.write(page.render(shown, drawn, can_draw=charts.can_draw()), place)
    if shown.lacking:
        raise BoastError(f"The report in {written} lacks a part: {shown.lacking.message}", hint=shown.lacking.hint)
    return written


def _published(warehouse: Warehouse, found: Settings, on_note: Callable[[str], None], over: runs.Run) -> Path | None:
    if warehouse.file:
        without = listed(found.publish_without)
        if PERSONAL.issubset(without):  # the pending table may name people by their addresses
            without += (push_settings().pending_table.rpartition(".")[2].strip('"'),)
        return publish(warehouse, str(found.publish_path), without, on_note, over)
    on_note("no copy for dashboards: publish_path is for DuckDB files; let them read this warehouse itself")
    return None
