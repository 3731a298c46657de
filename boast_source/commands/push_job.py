"""What the commands `push` and `requests` do: settings, lock, progress, summary, run record."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from boast_source import runs, signals, warehouse
from boast_source.commands import render_push
from boast_source.commands.job import client_for, pipeline_for
from boast_source.config import account_ids_from, push_settings, settings
from boast_source.errors import BoastError, ConfigurationError, StoppedError
from boast_source.push.decisions import decide_on, listed
from boast_source.push.ledger import Ledger
from boast_source.push.result import Pushed, PushOptions
from boast_source.push.run import push
from boast_source.runs import retention
from boast_source.runs.lock import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from boast_source.config import PushSettings, Settings


def push_job(
    destination: str = "duckdb",
    dataset: str = "boast_data",
    *,
    pending: str | None = None,
    limit: int | None = None,
    max_sends: int | None = None,
    new_ledger: bool = False,
    dry_run: bool = False,
    as_json: Callable[[dict[str, Any]], None] | None = None,
) -> int:
    """`boast push`: returns the exit code.

    Raises BoastError when it failed as a whole, after the run is recorded (a dry run is not).
    """
    found, found_push = settings(), push_settings()
    options = replace(options_from(found, found_push), limit=limit, new_ledger=new_ledger, dry_run=dry_run)
    if pending or max_sends:
        options = replace(
            options, pending_table=pending or options.pending_table, max_sends=max_sends or options.max_sends
        )
    pipeline = pipeline_for(destination, dataset)
    run = runs.Run("push")
    with lock(pipeline, run_id=run.run_id, command=run.command) as left, client_for(found) as client:
        runs.keep_died(pipeline, left)
        try:
            with render_push.progress() as shown, signals.waking(client.close):
                pushed = push(
                    pipeline,
                    client,
                    found_push,
                    options,
                    run.run_id,
                    patience=found.lock_timeout,
                    time_zone=found.time_zone,
                    on_note=shown.note,
                    on_progress=shown.counts,
                )
        except BaseException as error:
            failure = StoppedError() if signals.caused(error) else error
            run.finish(getattr(failure, "exit_code", runs.FAILED), _gist(failure))
            if isinstance(failure, BoastError):
                failure.summary = Pushed().as_json(run.run_id) | {"status": run.status, "error": run.error}
            if not dry_run and not isinstance(failure, ConfigurationError):
                runs.save(pipeline, run)
            raise failure from error
        count(run, pushed)
        if not dry_run:
            runs.save(pipeline, run)
            retention.tidy(pipeline, found)
    if pushed.error:
        pushed.error.summary = pushed.as_json(run.run_id) | {"error": str(pushed.error)}
        raise pushed.error
    if as_json:
        as_json(pushed.as_json(run.run_id))
    else:
        render_push.pushed(pushed, run)
    return pushed.exit_code


def options_from(found: Settings, found_push: PushSettings) -> PushOptions:
    """What the settings say of a push."""
    return PushOptions(
        accounts=account_ids_from(found.account_ids),
        pending_table=found_push.pending_table,
        max_sends=found_push.max_sends,
        workers=found.max_concurrency,
        request_timeout=found.request_timeout,
    )


def count(run: runs.Run, pushed: Pushed) -> None:
    """Put what a push did into its run record."""
    counts = pushed.counts
    run.sent = counts["enrolled"] + counts["removed"]
    run.refused, run.unknown, run.held = counts["refused"], counts["unknown"], counts["held"]
    if pushed.loaded:
        run.verified = pushed.loaded.verified
        run.listed, run.loaded, run.missing = (pushed.loaded.total(n) for n in ("listed", "loaded", "missing"))
    said = [pushed.stopped] if pushed.stopped else []
    if pushed.too_many is not None:
        said.append(
            f"{pushed.too_many} requests are ready, more than may be sent at once, so nothing was sent. To approve:"
            f" boast push --max-sends {pushed.too_many}"
        )
    if pushed.duplicates:
        said.append(
            f"{len(pushed.duplicates)} requests enrolled somebody more than once: see push_ledger, where error_code is"
            " 'duplicate', and remove what is too much in Boast"
        )
    said += [str(pushed.error)] if pushed.error else []
    run.finish(pushed.exit_code, "; ".join([*said, *(pushed.loaded.errors if pushed.loaded else [])]) or None)


def requests_job(
    destination: str,
    dataset: str,
    *,
    action: str,
    keys: Sequence[str] = (),
    states: Sequence[str] = (),
    as_json: Callable[[dict[str, Any]], None] | None = None,
) -> int:
    """`boast requests`: `list`, or what a person decides about requests: `release`, `retry`, `drop`.

    Raises ConfigurationError when there is no ledger, no such request, or nothing to decide about it.
    """
    found = settings()
    pipeline = pipeline_for(destination, dataset)
    run = runs.Run(f"requests {action}")
    with lock(pipeline), warehouse.held(pipeline, patience=found.lock_timeout) as held:
        ledger = Ledger(held) if held else None
        if ledger is None or not ledger.exists():
            raise ConfigurationError(
                "There is no ledger", hint="It comes with the first push: `boast push --new-ledger`."
            )
        if action == "list":
            events = listed(ledger, states)
        else:
            warehouse.lock_sender(ledger.client, single_sender=True)
            events = decide_on(ledger, action, keys, run.run_id)
    if as_json:
        as_json({"status": "ok", "requests": [render_push.as_json(event) for event in events]})
    else:
        render_push.requests(events, action)
    return runs.DONE


def _gist(error: BaseException) -> str:
    return str(error) if isinstance(error, BoastError) else type(error).__name__
