"""What people see of a good run: the report and the copy for dashboards. One that fails does not stop the other."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from boast_source import warehouse
from boast_source.errors import BoastError
from boast_source.publish import publish
from boast_source.report import figures, output, page

if TYPE_CHECKING:
    from collections.abc import Callable

    import dlt
    from dlt.destinations.sql_client import SqlClientBase

    from boast_source.config import Settings
    from boast_source.load import Loaded

log = logging.getLogger("boast_source")


def outputs(
    pipeline: dlt.Pipeline, found: Settings, loaded: Loaded, on_note: Callable[[str], None], *, reporting: bool
) -> list[BoastError]:
    """Make the report, where wanted, and the copy for dashboards, where configured; returns what failed.

    What was loaded but is not what the API has (`verified` failed) is shown to nobody: the last good ones stay.
    """
    if not is_good(loaded):
        on_note("no report and no copy for dashboards: this run could not verify what it loaded; the last ones stay")
        return []
    parts: list[Callable[[SqlClientBase[Any]], str]] = []
    if reporting and found.report_path:
        parts.append(lambda held: f"The report is in {make_report(held, found, str(found.report_path))}")
    if found.publish_path:
        parts.append(lambda held: _publish(held, str(found.publish_path), on_note))
    if not parts:
        return []
    try:
        with warehouse.held(pipeline, patience=found.lock_timeout, on_wait=on_note) as held:
            if held is None:
                return []  # files: they have no views to report from, and their readers do not lock them
            return [error for part in parts if (error := _tried(part, held, on_note))]
    except BoastError as error:
        return [error]


def _tried(
    part: Callable[[SqlClientBase[Any]], str], held: SqlClientBase[Any], on_note: Callable[[str], None]
) -> BoastError | None:
    try:
        on_note(part(held))
    except BoastError as error:
        return error
    except Exception as error:
        log.debug("report or copy failed", exc_info=True)
        return BoastError(
            f"The report or the copy for dashboards failed: {type(error).__name__}",
            hint="Run `boast report --debug` to see where.",
        )
    return None


def make_report(held: SqlClientBase[Any], found: Settings, place: str) -> str:
    """Read the figures, write the page; returns where it is. Raises BoastError."""
    return output.write(page.render(figures.read(held, found.time_zone)), place)


def is_good(loaded: Loaded) -> bool:
    """Whether the accounts that answered are verified; one that failed keeps its rows of the last good run."""
    sure = [report.verified for report in loaded.enrollments if not report.error]
    return bool(sure) and "failed" not in sure


def _publish(held: SqlClientBase[Any], place: str, on_note: Callable[[str], None]) -> str:
    if not warehouse.is_file(held):
        return "no copy for dashboards: publish_path is for DuckDB files; let them read this warehouse itself"
    return f"The copy for dashboards is in {publish(held, place, on_note)}"
