"""Notify the webhook of a finished run's news, before the run is recorded."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from boast_source import runs
from boast_source.runs import health, notify

if TYPE_CHECKING:
    from boast_source.jobs.job import Job


def tell(job: Job[Any]) -> None:
    """Notify the webhook of what is new since the last notification."""
    run, waiting = job.run, None
    with contextlib.suppress(Exception):  # the run's own error covers a warehouse that cannot be read
        waiting = health.waiting(job.place) if job.place and run.exit_code != runs.LOCKED else None
    notify.tell(job.place, run, waiting, job.progress.note)
