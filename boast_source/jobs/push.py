"""`boast push` as a function."""

from __future__ import annotations

import time
from dataclasses import replace

from boast_source import runs
from boast_source.config import PushSettings, Settings, account_ids_from, push_settings
from boast_source.errors import ConfigurationError
from boast_source.jobs.job import Job, running, tell
from boast_source.jobs.progress import QUIET, Progress
from boast_source.push.result import Pushed, PushOptions
from boast_source.push.run import push


def push_job(
    destination: str | None = None,
    dataset: str | None = None,
    *,
    pending: str | None = None,
    limit: int | None = None,
    max_sends: int | None = None,
    new_ledger: bool = False,
    accept_ledger: bool = False,
    dry_run: bool = False,
    plan: str | None = None,
    approve: str | None = None,
    only: str | None = None,
    progress: Progress = QUIET,
) -> Pushed:
    """Enroll and remove contacts listed in the pending table, each request at most once; `boast push` as a function.

    Args:
        destination: a dlt destination, configured as for dlt; default: `sources.boast.destination`.
        dataset: the dataset (schema) that holds the pending table and the ledger; default: `sources.boast.dataset`.
        pending: table or view of pending requests; None: `sources.boast.push.pending_table`.
        limit: send at most this many; the rest is deferred to the next run.
        max_sends: if more are ready, send nothing; None: `sources.boast.push.max_sends`.
        new_ledger: create the ledger, for the first push.
        accept_ledger: continue with a ledger that lost events, and hold what may have been sent before.
        dry_run: decide, but send and write nothing; the run is not recorded.
        plan: the file to write a plan to: JSON if it ends in .json, else HTML; nothing is sent.
        approve: the hash of the plan to send; requests that changed since are held.
        only: the key of the only request to send.
        progress: receives notes, and the counts while requests are sent.

    Returns `Pushed`: requests by state, `exit_code` (0, 1 or 3), `as_json()`.

    Raises BoastError when the whole push failed, with a `summary` of what was not sent; that run is recorded, too.
    """
    for name, given in (("pending", pending), ("plan", plan), ("approve", approve), ("only", only)):
        if given is not None and not given.strip():
            raise ConfigurationError(f"{name} is empty", hint="Leave it out, or give a value. Nothing was sent.")
    dry_run = dry_run or plan is not None
    at_end = None if dry_run else tell
    job = Job(runs.Run("push"), Pushed(dry_run=dry_run), progress, recorded=not dry_run, at_end=at_end)
    with running(job, destination, dataset) as client:
        found_push = push_settings()
        if not (found_push.enabled or dry_run):
            raise ConfigurationError(
                "Pushing is switched off: sources.boast.push.enabled is false",
                hint="Set it to true, or leave the setting out.",
            )
        options = options_from(job.settings, found_push)
        options = replace(
            options,
            pending_table=pending or options.pending_table,
            max_sends=max_sends or options.max_sends,
            limit=limit,
            new_ledger=new_ledger,
            accept_ledger=accept_ledger,
            dry_run=dry_run,
            plan=plan,
            approve=approve,
            only=only,
        )
        began = time.monotonic()
        with progress.live("looking at the requests"):
            job.result = push(
                job.warehouse,
                client,
                found_push,
                options,
                job.run.run_id,
                patience=job.settings.lock_timeout,
                time_zone=job.settings.time_zone,
                on_note=progress.note,
                on_progress=progress.counts,
            )
        job.result.seconds = time.monotonic() - began
    if job.result.error:
        job.result.error.summary = job.summary() | {"error": str(job.result.error)}
        raise job.result.error
    return job.result


def options_from(found: Settings, found_push: PushSettings) -> PushOptions:
    """Return the options of a push that come from the settings."""
    return PushOptions(
        accounts=account_ids_from(found.account_ids),
        pending_table=found_push.pending_table,
        max_sends=found_push.max_sends,
        workers=found.max_concurrency,
        request_timeout=found.request_timeout,
    )
