"""`boast load` and `boast prepare` as functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from boast_source import runs
from boast_source.config import Settings, account_ids_from
from boast_source.errors import BoastError, ConfigurationError
from boast_source.jobs.job import Job, running
from boast_source.jobs.progress import QUIET, Progress
from boast_source.listing.incremental import Incremental
from boast_source.listing.report import Options
from boast_source.load.load import load, make_tables
from boast_source.load.result import Loaded
from boast_source.outputs.outputs import outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boast_source.api import BoastClient


@dataclass
class Prepared:
    """`accounts`: the ids of the configured accounts, or of all that the token sees."""

    accounts: list[str] = field(default_factory=list)
    run_id: str = ""
    exit_code: int = runs.DONE
    errors: list[str] = field(default_factory=list)

    def tallies(self) -> dict[str, Any]:
        return {}

    def as_json(self) -> dict[str, Any]:
        """Return what `prepare --json` prints."""
        return {"run_id": self.run_id, "status": runs.STATUS[self.exit_code], "accounts": self.accounts}


def load_job(
    destination: str | None = None,
    dataset: str | None = None,
    *,
    accounts: Sequence[str] = (),
    resources: Sequence[str] = (),
    prove: bool = False,
    everything: bool = False,
    full: bool = False,
    incremental: bool = False,
    accept_missing: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Progress = QUIET,
) -> Loaded:
    """List, load new and changed rows, verify, publish; `boast load` as a function.

    Args:
        destination: a dlt destination, configured as for dlt; default: `sources.boast.destination`.
        dataset: the dataset (schema) to load into; default: `sources.boast.dataset`.
        accounts: ids of the accounts to load; none: `sources.boast.account_ids`, else all that the token sees.
        resources: lists to load (`sequence_enrollments`, `contacts`, ...); none: all.
        prove: read each list until two passes in a row agree (`verified` is then `exact`).
        full: read every list in full.
        incremental: read incrementally every list whose order allows it, even if `full_every` or an earlier run says
            otherwise.
        everything: write all rows again, not only those that differ; nothing is dropped.
        accept_missing: mark vanished enrollments as missing even if they are suspiciously many.
        since, until: bounds on the cursor, [since, until), aware datetimes.
        progress: receives pages, notes and stages.

    Returns `Loaded`: a report per account and list, `exit_code` (0, 1 or 3), `as_json()`.

    Raises BoastError when the whole load failed; that run is recorded, too.
    """
    job = Job(runs.Run("load"), Loaded(), progress)
    with running(job, destination, dataset, accounts=accounts) as client:
        if since and until and since >= until:
            raise ConfigurationError("--since is not before --until", hint="Give --since the earlier moment.")
        reads_whole = full or prove or everything or accept_missing or since is not None or until is not None
        if incremental and reads_whole:
            raise ConfigurationError(
                "--incremental cannot be combined with an option that needs the whole list",
                hint="Leave it out, or --full, --prove, --full-refresh, --accept-missing, --since and --until.",
            )
        options = Options(
            account_ids=job.accounts or account_ids_from(job.settings.account_ids),
            workers=job.settings.max_concurrency,
            prove=prove,
            everything=everything,
            accept_missing=accept_missing,
            since=since,
            until=until,
            keep_going=True,
            incremental=None if reads_whole else incremental_from(job.settings, forced=incremental),
        )
        job.keep_open()
        job.result = loaded(job, client, options, resources)
        job.result.place = job.warehouse.place
        if not job.accounts and job.warehouse.has_sql:
            job.result.unmade = outputs_of(job, job.result, reporting=False)
    return job.result


def loaded(job: Job[Any], client: BoastClient, options: Options, resources: Sequence[str] = ()) -> Loaded:
    """Load, with the settings and the progress of a job. Raises what `load` raises."""
    found, progress = job.settings, job.progress
    with progress.live("loading"):
        return load(
            job.warehouse,
            client,
            options,
            resources=resources,
            patience=found.lock_timeout,
            time_zone=found.time_zone,
            on_page=progress.page,
            on_note=progress.note,
        )


def incremental_from(found: Settings, *, forced: bool = False) -> Incremental:
    """Return the settings for incremental listings. `forced`: `boast load --incremental`."""
    every, overlap = (timedelta(seconds=value) for value in (found.full_every_seconds, found.overlap_seconds))
    return Incremental(every, overlap, forced)


def outputs_of(job: Job[Any], result: Loaded, *, reporting: bool) -> list[BoastError]:
    """Make the published copy, and the report if `reporting`; return the errors. Both show the run as finished. The
    warehouse has it as running until they are made, so a run that dies here never counts as successful.
    """
    shown = job.settings.publish_path or (reporting and job.settings.report_path)
    over = job.nearly_over() if shown and job.warehouse.has_sql else job.run  # otherwise no output shows the run

    def made(name: str, seconds: float, place: str) -> None:
        job.progress.stage(name, seconds, job.run.run_id, to=place)

    note = job.progress.note
    return outputs(job.warehouse, job.settings, result, over, reporting=reporting, on_made=made, on_note=note)


def prepare_job(destination: str | None = None, dataset: str | None = None, *, progress: Progress = QUIET) -> Prepared:
    """Create and migrate all tables and views. Run it once before loading accounts in parallel.

    Returns `Prepared`: the account ids. Raises BoastError when tables cannot be created or accounts cannot be listed.
    """
    job = Job(runs.Run("prepare"), Prepared(), progress)
    with running(job, destination, dataset) as client:
        found = job.settings
        make_tables(job.warehouse, patience=found.lock_timeout, time_zone=found.time_zone, on_note=progress.note)
        ids = account_ids_from(found.account_ids) or [str(account["id"]) for account in client.accounts()]
        job.result.accounts = list(dict.fromkeys(ids))
    return job.result
