"""`boast report` as a function."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from boast_source import models, runs
from boast_source.errors import ConfigurationError
from boast_source.jobs.job import Job, recording
from boast_source.jobs.progress import QUIET, Progress
from boast_source.outputs.outputs import make_report


@dataclass
class Report:
    """The result of a report. `place`: its path or URL."""

    place: str = ""
    run_id: str = ""
    exit_code: int = runs.DONE
    errors: list[str] = field(default_factory=list)

    def tallies(self) -> dict[str, Any]:
        return {}

    def as_json(self) -> dict[str, Any]:
        """Return what `report --json` prints."""
        return {"run_id": self.run_id, "status": runs.STATUS[self.exit_code], "report": self.place}


def report_job(
    destination: str | None = None,
    dataset: str | None = None,
    *,
    place: str | None = None,
    progress: Progress = QUIET,
) -> Report:
    """Write the HTML report; `boast report` as a function.

    Args:
        destination, dataset: the warehouse with the views; defaults as for `load_job`.
        place: a path or fsspec URL; None: `sources.boast.report_path`, else `boast_report.html`.
        progress: receives a note while another process holds the warehouse.

    Raises BoastError when there is nothing to report, or the report cannot be written.
    """
    job = Job(runs.Run("report"), Report(), progress)
    with recording(job, destination, dataset):
        found = job.settings
        patience = found.lock_timeout
        with job.warehouse.open(patience=patience, on_wait=progress.note, creates=False) as warehouse:
            if not models.are_possible(warehouse):
                raise ConfigurationError(
                    "The report is made of views, and this destination has none",
                    hint="Load into a SQL destination, for example duckdb or postgres, and report from there.",
                )
            job.result.place = make_report(
                warehouse, found, place or found.report_path or "boast_report.html", progress.note
            )
    return job.result
