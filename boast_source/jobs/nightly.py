"""The job that a scheduler runs every night, in five stages. A failing stage does not stop the others.

1. Finish the load of a crashed run, list, load new and changed rows, verify (load/).
2. If there is a table of pending enrollments: settle, claim, send, record, read back (push/).
3. Make the views (models/).
4. Make the report and the published copy (outputs/).
5. Notify, record the run, apply retention (runs/).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from boast_source import runs, signals
from boast_source.config import PushSettings, account_ids_from, names_a_pending_table, push_settings
from boast_source.errors import BoastError, LockedError, PendingError
from boast_source.jobs.job import Job, kept_open, running, tell
from boast_source.jobs.load import incremental_from, loaded, outputs_of
from boast_source.jobs.progress import QUIET, Progress
from boast_source.jobs.push import options_from
from boast_source.listing.report import Options
from boast_source.logs import log
from boast_source.push.pending import is_there
from boast_source.push.result import STATES, Pushed, PushOptions
from boast_source.push.run import push
from boast_source.runs import health, notify
from boast_source.warehouse import explained

if TYPE_CHECKING:
    from boast_source.api import BoastClient
    from boast_source.load.result import Loaded
    from boast_source.runs.health import Waiting


def _is_pending(stage: Any) -> bool:
    """Return whether only the pending table is at fault: the rest was done, and an operator must fix the table."""
    return isinstance(getattr(stage, "error", stage), PendingError)


@dataclass
class Night:
    """The results of the stages. `loaded`, `pushed` None: nothing to do, or it failed (`error`). `unmade`: errors of
    the report and the published copy. `waiting`: requests that wait for an operator, if nothing was pushed.
    """

    loaded: Loaded | None = None
    pushed: Pushed | None = None
    error: BoastError | None = None
    unmade: list[BoastError] = field(default_factory=list)
    waiting: Waiting | None = None
    run_id: str = ""

    @property
    def troubles(self) -> list[BoastError]:
        return [*([self.error] if self.error else []), *self.unmade]

    @property
    def exit_code(self) -> int:
        """The worst exit code of the stages: failed, then misconfigured, then needs attention."""
        stages = [stage for stage in (self.loaded, self.pushed, *self.troubles) if stage]
        codes = {runs.ATTENTION if _is_pending(stage) else stage.exit_code for stage in stages}
        codes |= {runs.ATTENTION} if self.waiting and self.waiting.total else set()
        return next((code for code in (runs.FAILED, runs.USAGE, runs.ATTENTION) if code in codes), runs.DONE)

    @property
    def errors(self) -> list[str]:
        """The reasons why the exit code is not 0, as stored in `runs.error`."""
        if self.pushed:
            said = self.pushed.errors
        else:
            said = [*(self.loaded.errors if self.loaded else []), *([str(self.error)] if self.error else [])]
        return [*said, *map(str, self.unmade)]

    def tallies(self) -> dict[str, Any]:
        """Return the values that `runs` stores, by column."""
        done = self.pushed or self.loaded
        return done.tallies() if done else {}

    def as_json(self) -> dict[str, Any]:
        """Return the documented summary (`nightly --json`)."""
        for stage in (self.loaded, self.pushed):
            if stage:
                stage.run_id = self.run_id
        summary = {
            "run_id": self.run_id,
            "status": runs.STATUS[self.exit_code],
            "load": self.loaded.as_json() if self.loaded else None,
            "push": self.pushed.as_json() if self.pushed else None,
        }
        return summary | ({"error": "; ".join(map(str, self.troubles))} if self.troubles else {})


def nightly_job(
    destination: str | None = None,
    dataset: str | None = None,
    *,
    new_ledger: bool = False,
    no_push: bool = False,
    progress: Progress = QUIET,
) -> Night:
    """Load, push, views, report, published copy, notification; `boast nightly` as a function.

    Args:
        destination: a dlt destination, configured as for dlt; default: `sources.boast.destination`.
        dataset: the dataset (schema) of all tables; default: `sources.boast.dataset`.
        new_ledger: create the push ledger, for the first push.
        no_push: push nothing.
        progress: receives pages, notes and stages.

    Returns `Night`: the results of the stages, `exit_code` (0, 1, 2 or 3), `as_json()`.

    Raises BoastError when the whole run failed. Every run is recorded, and its news is sent to the webhook.
    """
    job = Job(runs.Run("nightly"), Night(), progress, at_end=_end)
    with running(job, destination, dataset) as client:
        found_push = push_settings()
        found_push = replace(found_push, enabled=found_push.enabled and not no_push)
        how_to_push = replace(options_from(job.settings, found_push), new_ledger=new_ledger)
        if job.died:
            notify.tell_death(job.warehouse, job.died, progress.note)
        _night(job, client, found_push, how_to_push)
        with kept_open(job.warehouse):
            if job.result.loaded:
                job.result.unmade = outputs_of(job, job.result.loaded, reporting=True)
            if not (job.result.pushed or job.result.error):
                _look_who_waits(job)
    return job.result


def _look_who_waits(job: Job[Night]) -> None:
    """Report the requests of earlier pushes that wait for an operator, in a run that pushes nothing."""
    with job.warehouse.open(patience=job.settings.lock_timeout, on_wait=job.progress.note) as warehouse:
        job.result.waiting = waiting = health.waiting(warehouse)
    if waiting and waiting.total:
        job.progress.note(f"requests need attention: {waiting}; see `boast requests list`")


def _end(job: Job[Night]) -> None:
    tell(job)
    run = job.run
    seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at else 0.0
    job.progress.stage("nightly", seconds, run.run_id, status=run.status, exit_code=run.exit_code, error=run.error)


def _night(job: Job[Night], client: BoastClient, found_push: PushSettings, how_to_push: PushOptions) -> None:
    """Push or, if there is nothing to push from or the push fails, load. A push lists and loads on its own."""
    night, began = job.result, time.monotonic()
    if _wants_push(job, found_push):
        try:
            with explained():
                night.pushed = _push(job, client, found_push, how_to_push)
        except LockedError:
            raise
        except Exception as error:
            if signals.caused(error):
                raise
            night.error = _foreseen("push", error)
            job.progress.note(f"push: failed; the load continues. {night.error}")
        else:
            night.loaded, night.error = night.pushed.loaded, night.pushed.error
            _tell_load(job)
            counts = {state: night.pushed.counts[state] for state in STATES if night.pushed.counts[state]}
            night.pushed.seconds = time.monotonic() - began - (night.loaded.seconds if night.loaded else 0.0)
            job.progress.stage("push", night.pushed.seconds, job.run.run_id, **counts)
            return
    try:
        night.loaded = _load(job, client)
    except Exception as error:
        if night.error is None or isinstance(error, LockedError) or signals.caused(error):
            raise
        known = _foreseen("load", error)
        both = f"{known.message}. Before it the push failed: {night.error.message}"
        raise BoastError(both, hint=known.hint) from error
    _tell_load(job)


def _push(job: Job[Night], client: BoastClient, found_push: PushSettings, how_to_push: PushOptions) -> Pushed:
    progress = job.progress
    with progress.live("loading"):
        return push(
            job.warehouse,
            client,
            found_push,
            how_to_push,
            job.run.run_id,
            patience=job.settings.lock_timeout,
            time_zone=job.settings.time_zone,
            resources=(),
            on_page=progress.page,
            on_note=progress.note,
            on_progress=lambda _: None,
        )


def _load(job: Job[Night], client: BoastClient) -> Loaded:
    found = job.settings
    options = Options(
        account_ids=account_ids_from(found.account_ids),
        workers=found.max_concurrency,
        keep_going=True,
        incremental=incremental_from(found),
    )
    return loaded(job, client, options)


def _tell_load(job: Job[Night]) -> None:
    if found := job.result.loaded:
        found.place = job.warehouse.place
        counts = {name: found.total(name) for name in ("listed", "loaded", "missing")}
        job.progress.stage("load", found.seconds, job.run.run_id, **counts, verified=found.verified)


def _foreseen(stage: str, error: Exception) -> BoastError:
    """Return a BoastError as is; for any other error, one with its type only, since its text may hold personal data."""
    if isinstance(error, BoastError):
        return error
    log.debug("the %s failed in an unforeseen way", stage, exc_info=error)
    return BoastError(f"The {stage} failed: {type(error).__name__}", hint=f"Run `boast {stage} --debug` to see where.")


def _wants_push(job: Job[Night], found_push: PushSettings) -> bool:
    """Return whether to push: a pending table exists, or is configured and so must exist."""
    patience, note = job.settings.lock_timeout, job.progress.note
    if not found_push.enabled:
        note("push: switched off")
        return False
    if names_a_pending_table():
        return True
    with job.warehouse.open(patience=patience, on_wait=note) as warehouse:
        if warehouse.has_sql and is_there(warehouse.client, found_push.pending_table):
            return True
    note(f"push: there is no {found_push.pending_table}, so there is nothing to send")
    return False
