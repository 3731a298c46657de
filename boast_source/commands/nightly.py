"""The command a scheduler calls: everything a night needs, in order. A part that fails does not hide the others.

1. Finish what a crashed run left, list everything, load what differs, verify (load.py).
2. Where there is a table of pending enrollments: settle, claim, send, record, read back (push/).
3. Make the views (models/).
4. Make the report and the copy for dashboards (outputs.py).
5. Tell people what is news (notify.py), record the run (runs.py), forget what is old (retention.py).
"""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from boast_source import runs, signals, warehouse
from boast_source.commands import render, render_push
from boast_source.commands.job import client_for, pipeline_for
from boast_source.commands.push_job import count, options_from
from boast_source.config import account_ids_from, push_settings, settings
from boast_source.errors import BoastError, LockedError, StoppedError
from boast_source.listing.listing import Options
from boast_source.load.load import Loaded, load
from boast_source.outputs.outputs import outputs
from boast_source.push.pending import is_there
from boast_source.push.result import STATES
from boast_source.push.run import push
from boast_source.runs import health, notify, retention
from boast_source.runs.lock import lock
from boast_source.warehouse import delta

if TYPE_CHECKING:
    from collections.abc import Callable

    import dlt

    from boast_source.api import BoastClient
    from boast_source.config import PushSettings, Settings
    from boast_source.push.result import Pushed, PushOptions


log = logging.getLogger("boast_source")


@dataclass
class Night:
    """What the parts did; None: there was nothing to do for it, or it failed (`error`)."""

    loaded: Loaded | None = None
    pushed: Pushed | None = None
    error: BoastError | None = None
    unmade: list[BoastError] = field(default_factory=list)  # of the report and the copy for dashboards

    @property
    def exit_code(self) -> int:
        """The worst of the parts: failed, then misconfigured, then waiting for a person."""
        codes = {
            self.loaded.exit_code if self.loaded else runs.DONE,
            self.pushed.exit_code if self.pushed else runs.DONE,
        }
        codes |= {error.exit_code for error in self.errors}
        return next(code for code in (runs.FAILED, runs.USAGE, runs.ATTENTION, runs.DONE) if code in codes)

    @property
    def errors(self) -> list[BoastError]:
        return [*([self.error] if self.error else []), *self.unmade]

    def as_json(self, run_id: str) -> dict[str, Any]:
        """The summary of the contract (`nightly --json`)."""
        summary = {
            "run_id": run_id,
            "status": runs.STATUS[self.exit_code],
            "load": self.loaded.as_json(run_id) if self.loaded else None,
            "push": self.pushed.as_json(run_id) if self.pushed else None,
        }
        return summary | ({"error": "; ".join(map(str, self.errors))} if self.errors else {})


def nightly_job(
    destination: str = "duckdb",
    dataset: str = "boast_data",
    *,
    new_ledger: bool = False,
    as_json: Callable[[dict[str, Any]], None] | None = None,
) -> int:
    """`boast nightly`: returns the exit code. Raises BoastError when the night as a whole failed.

    However it ends, the run is recorded, and people are told what is news (notify.py).
    """
    run = runs.Run("nightly")
    pipeline: dlt.Pipeline | None = None
    night, ended = Night(), False
    try:
        found, found_push = settings(), push_settings()
        how_to_push = replace(options_from(found, found_push), new_ledger=new_ledger)
        pipeline = pipeline_for(destination, dataset)
        with (
            lock(pipeline, run_id=run.run_id, command=run.command) as left,
            client_for(found) as client,
            signals.waking(client.close),
        ):
            if runs.keep_died(pipeline, left):
                notify.tell_death(pipeline, left, render.note)
            night = _night(pipeline, client, found, found_push, how_to_push, run.run_id)
            _count(run, night)
            if night.loaded and not delta.is_lake(pipeline):
                runs.save(pipeline, run)  # now, so that report and copy know of this night
                night.unmade = outputs(
                    pipeline,
                    found,
                    night.loaded,
                    reporting=True,
                    on_made=lambda name, seconds, place: render.stage(name, seconds, run.run_id, to=place),
                    on_note=render.note,
                )
                _count(run, night)
            _end(pipeline, run)
            ended = True
            retention.tidy(pipeline, found)
    except BaseException as error:
        failure = StoppedError() if signals.caused(error) else error
        if ended and not isinstance(failure, StoppedError):
            raise
        if not ended:  # else all is recorded, and what a stop left untidied a later run tidies
            run.finish(getattr(failure, "exit_code", runs.FAILED), _gist(failure))
            if isinstance(failure, BoastError):
                failure.summary = night.as_json(run.run_id) | {"status": run.status, "error": run.error}
            _end(pipeline, run)
            raise failure from error
    for trouble in night.errors:
        render.note(f"! {trouble}")
    if as_json:
        as_json(night.as_json(run.run_id))
    elif pipeline:
        _show(night, pipeline, run)
    return night.exit_code


def _end(pipeline: dlt.Pipeline | None, run: runs.Run) -> None:
    """Tell people what is news, then record the run and what they know."""
    waiting = None
    with contextlib.suppress(Exception):  # a warehouse that cannot be read is told in its own words
        waiting = health.waiting(pipeline) if pipeline and run.exit_code != runs.LOCKED else None
    notify.tell(pipeline, run, waiting, render.note)
    runs.save(pipeline, run)
    seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at else 0.0
    render.stage("nightly", seconds, run.run_id, status=run.status, exit_code=run.exit_code, error=run.error)


def _night(
    pipeline: dlt.Pipeline,
    client: BoastClient,
    found: Settings,
    found_push: PushSettings,
    how_to_push: PushOptions,
    run_id: str,
) -> Night:
    """A push lists and loads everything itself, so that it knows all that exists; without one it is a load."""
    night = Night()
    began = time.monotonic()
    if _wants_push(pipeline, found, found_push):
        try:
            with render.progress() as shown, warehouse.explained():
                night.pushed = push(
                    pipeline,
                    client,
                    found_push,
                    how_to_push,
                    run_id,
                    patience=found.lock_timeout,
                    time_zone=found.time_zone,
                    resources=(),
                    on_page=shown.page,
                    on_note=shown.note,
                    on_progress=lambda _: None,
                )
        except LockedError:
            raise
        except Exception as error:
            if signals.caused(error):
                raise
            night.error = error if isinstance(error, BoastError) else _unforeseen("push", error)
            render.note(f"push: failed, the load goes on without it. {night.error}")
        else:
            night.loaded, night.error = night.pushed.loaded, night.pushed.error
            _tell_load(night.loaded, run_id)
            counts = {state: night.pushed.counts[state] for state in STATES if night.pushed.counts[state]}
            seconds = time.monotonic() - began - (night.loaded.seconds if night.loaded else 0.0)
            render.stage("push", seconds, run_id, **counts)
            return night
    with render.progress() as shown:
        options = Options(
            account_ids=account_ids_from(found.account_ids), workers=found.max_concurrency, keep_going=True
        )
        try:
            night.loaded = load(
                pipeline,
                client,
                options,
                patience=found.lock_timeout,
                time_zone=found.time_zone,
                on_page=shown.page,
                on_note=shown.note,
            )
        except Exception as error:
            if night.error is None or isinstance(error, LockedError) or signals.caused(error):
                raise
            known = error if isinstance(error, BoastError) else _unforeseen("load", error)
            both = f"{known.message}. Before it the push failed: {night.error.message}"
            raise BoastError(both, hint=known.hint) from error
    _tell_load(night.loaded, run_id)
    return night


def _tell_load(loaded: Loaded | None, run_id: str) -> None:
    if loaded:
        counts = {name: loaded.total(name) for name in ("listed", "loaded", "missing")}
        render.stage("load", loaded.seconds, run_id, **counts, verified=loaded.verified)


def _unforeseen(part: str, error: Exception) -> BoastError:
    """The details may hold anybody's data: they are for --debug."""
    log.debug("the %s failed in an unforeseen way", part, exc_info=error)
    return BoastError(f"The {part} failed: {type(error).__name__}", hint=f"Run `boast {part} --debug` to see where.")


def _wants_push(pipeline: dlt.Pipeline, found: Settings, found_push: PushSettings) -> bool:
    with warehouse.held(pipeline, patience=found.lock_timeout, on_wait=render.note) as held:
        return held is not None and is_there(held, found_push.pending_table)


def _count(run: runs.Run, night: Night) -> None:
    if night.loaded:
        run.verified = night.loaded.verified
        run.listed, run.loaded, run.missing = (night.loaded.total(name) for name in ("listed", "loaded", "missing"))
    said = list(night.loaded.errors) if night.loaded else []
    if night.pushed:
        count(run, night.pushed)
        said = [run.error] if run.error else []
    elif night.error:
        said.append(str(night.error))
    said += [str(error) for error in night.unmade]
    run.finish(night.exit_code, "; ".join(said) or None)


def _show(night: Night, pipeline: dlt.Pipeline, run: runs.Run) -> None:
    if night.loaded:
        render.show_load(night.loaded, pipeline, run)
    if night.pushed:
        render_push.pushed(night.pushed, run)


def _gist(error: BaseException) -> str:
    return str(error) if isinstance(error, BoastError) else type(error).__name__
