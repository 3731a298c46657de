"""What the commands do: settings, pipeline, lock, progress, summary, run record."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import dlt

from boast_source import runs, signals, warehouse
from boast_source.api import BoastClient, resolve_credentials
from boast_source.commands import render
from boast_source.config import Settings, account_ids_from, settings
from boast_source.errors import BoastError, ConfigurationError, StoppedError
from boast_source.listing.listing import Options
from boast_source.load.load import Loaded, load, make_tables
from boast_source.outputs.outputs import make_report, outputs
from boast_source.runs import retention
from boast_source.runs.lock import lock
from boast_source.warehouse import delta
from boast_source.warehouse import pipeline as destinations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime


def pipeline_for(destination: str, dataset: str, accounts: Sequence[str] = ()) -> dlt.Pipeline:
    """The pipeline `boast` into a destination that can merge; for given accounts one that can run beside others.

    Raises ConfigurationError for a destination that does not exist, is not installed, or cannot merge.
    """
    if destination == "duckdb" and dataset == "boast":
        raise ConfigurationError(
            "The dataset cannot be called boast on DuckDB: the file boast.duckdb has that name already",
            hint="Choose another, for example --dataset boast_data.",
        )
    try:
        pipeline = dlt.pipeline(
            destinations.pipeline_name(accounts),
            destination=destinations.destination_for(destination, accounts),
            dataset_name=dataset,
        )
    except OSError as error:
        raise ConfigurationError(
            f"The pipeline's working folder cannot be written: {error.strerror} ({error.filename})",
            hint="Free the folder or choose another with DLT_DATA_DIR.",
        ) from error
    except Exception as error:
        raise ConfigurationError(
            f"The destination {destination} cannot be used: {str(error).strip().splitlines()[0][:200]}",
            hint=f'Is it a dlt destination, and its extra installed? For example: pip install "dlt[{destination}]".',
        ) from error
    if delta.is_lake(pipeline):
        try:
            import deltalake  # noqa: F401, PLC0415 -- needs the extra
        except ImportError:
            raise ConfigurationError(
                "Plain files cannot merge: every change would be one more row. On a filesystem the tables are Delta"
                " tables",
                hint='Install what they need: pip install "boast-source[delta]"; or choose a SQL destination.',
            ) from None
    # else dlt takes signals while it normalizes and loads, and forgets them at the end: a push would still begin
    pipeline.runtime_config.intercept_signals = False
    return pipeline


@contextlib.contextmanager
def client_for(found: Settings) -> Iterator[BoastClient]:
    """A client with the configured credentials."""
    with BoastClient(
        resolve_credentials(),
        base_url=found.base_url,
        max_concurrency=found.max_concurrency,
        max_requests_per_second=found.max_requests_per_second,
        request_timeout=found.request_timeout,
    ) as client:
        yield client


def load_job(
    destination: str = "duckdb",
    dataset: str = "boast_data",
    *,
    accounts: Sequence[str] = (),
    resources: Sequence[str] = (),
    prove: bool = False,
    everything: bool = False,
    accept_missing: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
    as_json: Callable[[dict[str, Any]], None] | None = None,
) -> int:
    """`boast load`: returns the exit code.

    Raises BoastError when the load failed as a whole, after the run is recorded.
    """
    if since and until and since >= until:
        raise ConfigurationError("--since is not before --until", hint="Give --since the earlier moment.")
    found = settings()
    given = account_ids_from(list(accounts))
    options = Options(
        account_ids=given or account_ids_from(found.account_ids),
        workers=found.max_concurrency,
        prove=prove,
        everything=everything,
        accept_missing=accept_missing,
        since=since,
        until=until,
        keep_going=True,
    )
    pipeline = pipeline_for(destination, dataset, given or ())
    run = runs.Run("load", account_ids=",".join(given) if given else None)
    with (
        lock(pipeline, run_id=run.run_id, command=run.command) as left,
        client_for(found) as client,
        signals.waking(client.close),
    ):
        runs.keep_died(pipeline, left)
        loaded: Loaded | None = None
        unmade: list[BoastError] = []
        try:
            with render.progress() as shown:
                loaded = load(
                    pipeline,
                    client,
                    options,
                    resources=resources,
                    patience=found.lock_timeout,
                    time_zone=found.time_zone,
                    on_page=shown.page,
                    on_note=shown.note,
                )
            _count(run, loaded)
            runs.save(pipeline, run)
            if not given and not delta.is_lake(pipeline):
                unmade = outputs(
                    pipeline,
                    found,
                    loaded,
                    reporting=False,
                    on_made=lambda name, seconds, place: render.stage(name, seconds, run.run_id, to=place),
                    on_note=render.note,
                )
        except BaseException as error:
            failure = StoppedError() if signals.caused(error) else error
            run.finish(getattr(failure, "exit_code", runs.FAILED), _gist(failure))
            runs.save(pipeline, run)
            if isinstance(failure, BoastError):
                summary = loaded.as_json(run.run_id) if loaded else {"run_id": run.run_id, "accounts": []}
                failure.summary = summary | {"status": run.status, "error": run.error}
            raise failure from error
        if unmade:
            run.finish(unmade[0].exit_code, "; ".join([*loaded.errors, *map(str, unmade)]))
            runs.save(pipeline, run)
        retention.tidy(pipeline, found)
    if as_json:
        as_json(loaded.as_json(run.run_id) | ({"status": run.status, "error": run.error} if unmade else {}))
    else:
        render.show_load(loaded, pipeline, run)
    for failed in unmade:
        render.note(f"! {failed}")
    return unmade[0].exit_code if unmade else loaded.exit_code


def report_job(destination: str, dataset: str, *, place: str | None) -> str:
    """`boast report`: returns where the report is.

    Raises BoastError when there is nothing to report, or when it cannot be written.
    """
    found = settings()
    with warehouse.held(pipeline_for(destination, dataset), patience=found.lock_timeout, on_wait=render.note) as held:
        if held is None:
            raise ConfigurationError(
                "The report is made of SQL views, and this destination has none",
                hint="Load into a SQL destination, for example duckdb or postgres, and report from there.",
            )
        return make_report(held, found, place or found.report_path or "boast_report.html")


def prepare_job(destination: str, dataset: str) -> list[str]:
    """`boast prepare`: returns the ids of the configured accounts, or of all that the token sees.

    Raises BoastError when the tables cannot be made or the accounts cannot be listed.
    """
    found = settings()
    pipeline = pipeline_for(destination, dataset)
    with lock(pipeline), client_for(found) as client, signals.waking(client.close):
        make_tables(pipeline, client, patience=found.lock_timeout, time_zone=found.time_zone, on_note=render.note)
        ids = account_ids_from(found.account_ids) or [str(account["id"]) for account in client.accounts()]
    return list(dict.fromkeys(ids))


def login_job(*, port: int, seconds: float, open_browser: bool) -> str:
    """`boast login`: returns where the tokens are kept."""
    import webbrowser  # noqa: PLC0415

    from boast_source.api.login import login  # noqa: PLC0415

    def show(address: str) -> bool:
        render.note(f"Open this address in a browser to log in:\n{address}")
        return webbrowser.open(address) if open_browser else True

    return login(port=port, timeout=seconds, open_browser=show)


def _count(run: runs.Run, loaded: Loaded) -> None:
    run.verified = loaded.verified
    run.listed, run.loaded, run.missing = (loaded.total(name) for name in ("listed", "loaded", "missing"))
    run.finish(loaded.exit_code, "; ".join(loaded.errors) or None)


def _gist(error: BaseException) -> str:
    return str(error) if isinstance(error, BoastError) else type(error).__name__
