"""The load: finish what a crashed run left, sweep, load what differs, verify."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.destination import exceptions
from dlt.common.destination.exceptions import DestinationException
from dlt.pipeline.exceptions import PipelineStepFailed
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random

from boast_source import models, signals, warehouse
from boast_source.driver_text import one_line, strip
from boast_source.errors import BoastError, ConfigurationError, DestinationError
from boast_source.listing.listing import Listing, ListReport, Options
from boast_source.load.result import Loaded
from boast_source.load.source import source_of
from boast_source.runs.record import ATTENTION, DONE, FAILED, ensure_table
from boast_source.shapes import HISTORY, SEQUENCE_ENROLLMENTS, SHAPES
from boast_source.warehouse import dropped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import dlt

    from boast_source.api import BoastClient, Page
    from boast_source.shapes import Record, Shape
    from boast_source.warehouse import SqlClient

log = logging.getLogger("boast_source")

KEPT, KEPT_FOR = 3, timedelta(days=30)  # packages set aside
_STAMP = "%Y%m%dT%H%M%S.%f"
_OUT = "Out of Memory Error"  # of a job that failed earlier in the package, dlt keeps the text only


def load(
    pipeline: dlt.Pipeline,
    client: BoastClient,
    options: Options,
    *,
    resources: Sequence[str] = (),
    patience: float = 60.0,
    time_zone: str = "UTC",
    on_page: Callable[[ListReport, Page], None] | None = None,
    on_note: Callable[[str], None] = log.info,
) -> Loaded:
    """Load what differs, of all resources or those named, and verify it. The caller holds the pipeline's lock.

    `patience`: seconds to wait for a DuckDB file that another process has open. `time_zone`: of the views' days.

    Raises BoastError: what failed as a whole; a single failing account is in its report instead.
    """
    _known(resources)
    with warehouse.connected(pipeline, patience=patience, on_wait=on_note) as held:
        warehouse.lock_accounts(held, options.account_ids)
        loaded = load_held(held, pipeline, client, options, resources=resources, on_page=on_page, on_note=on_note)
        create_views(held, time_zone, on_note)
        return loaded


def create_views(held: SqlClient | None, time_zone: str, on_note: Callable[[str], None]) -> None:
    """The views over what was loaded; a destination that refuses them does not fail the load."""
    if held is None:
        return
    try:
        with warehouse.explained():
            ensure_table(held)
        models.create(held, time_zone=time_zone)
    except DestinationError as error:
        on_note(f"not all views could be created: {error.message}")


def load_held(
    held: SqlClient | None,
    pipeline: dlt.Pipeline,
    client: BoastClient,
    options: Options,
    *,
    resources: Sequence[str] = (),
    on_page: Callable[[ListReport, Page], None] | None = None,
    on_note: Callable[[str], None] = log.info,
) -> Loaded:
    """The same for a caller that holds the warehouse and its accounts already."""
    wanted = _known(resources)
    began = time.monotonic()
    with _hushed():
        _forget_old(pipeline)
        mended = _make_dropped(pipeline, on_note)
        _finish_pending(pipeline, on_note)
        listing = Listing(client, replace(options, mended=mended), on_page=on_page)
        try:
            with warehouse.modest(held) as bound:
                bound(warehouse.TO_WRITE)
                _run(pipeline, source_of(listing).with_resources(*wanted), lambda: bound(None))
                bound(warehouse.TO_READ)
                for shape in [SHAPES[name] for name in wanted if name in SHAPES]:
                    _verify(listing, shape, pipeline, lambda: bound(None))
            reports = listing.reports
            for report in (r for r in reports if r.short):
                counted = f"{report.listed + report.short:,} {report.resource} and lists {report.listed:,}"
                on_note(f"account {report.account_id}: the API counts {counted}, which are loaded")
        finally:
            listing.close()
    every = [r for r in reports if r.account_id]
    enrollments = [r for r in every if r.resource == SEQUENCE_ENROLLMENTS.name]
    if every and all(r.steadiness is None for r in enrollments or every):
        return Loaded(reports, FAILED, time.monotonic() - began)  # nothing of what matters could be read
    return Loaded(reports, ATTENTION if any(r.error for r in reports) else DONE, time.monotonic() - began)


def store(pipeline: dlt.Pipeline, client: BoastClient, answers: Mapping[str, Sequence[Record]]) -> None:
    """Put what the API answered to writes, per account, into the enrollments and their history: no list is read.

    Raises BoastError when the warehouse cannot be written; the next load brings the same.
    """
    if not any(answers.values()):
        return
    with _hushed():
        listing = Listing(client, Options(account_ids=tuple(answers)), answers=answers)
        try:
            _run(pipeline, source_of(listing).with_resources(SEQUENCE_ENROLLMENTS.name, HISTORY))
        finally:
            listing.close()


def make_tables(
    pipeline: dlt.Pipeline,
    client: BoastClient,
    *,
    patience: float = 60.0,
    time_zone: str = "UTC",
    on_note: Callable[[str], None] = log.info,
) -> None:
    """Make and migrate all tables and views without listing anything, before runs side by side.

    Raises BoastError when the warehouse cannot be written.
    """
    with warehouse.connected(pipeline, patience=patience, on_wait=on_note) as held, _hushed():
        _make_dropped(pipeline, on_note)
        _finish_pending(pipeline, on_note)
        listing = Listing(client, Options(account_ids=()), answers={})
        try:
            _run(pipeline, source_of(listing))
        finally:
            listing.close()
        create_views(held, time_zone, on_note)


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Dlt logs every failing job with its traceback; the run ends with one line that says it. With --debug all is
    logged, without what drivers quote of rows.
    """

    def passes(record: logging.LogRecord) -> bool:
        of_load = record.filename == "load.py" or record.levelno >= logging.ERROR
        of_trace = record.funcName == "suppress_and_warn"  # a trace that could not be written, on a full disk
        if of_load and record.levelno >= logging.WARNING and log.isEnabledFor(logging.DEBUG):
            strip(record)
        return not (of_load or of_trace) or log.isEnabledFor(logging.DEBUG)

    logger = logging.getLogger("dlt")
    logger.addFilter(passes)
    try:
        yield
    finally:
        logger.removeFilter(passes)


def _known(resources: Sequence[str]) -> list[str]:
    names = list(resources) or list(SHAPES)
    unknown = [name for name in names if name not in SHAPES]
    if unknown:
        raise ConfigurationError(
            f"There is no resource {', '.join(unknown)}", hint=f"Choose from: {', '.join(SHAPES)}."
        )
    return [*names, HISTORY] if SEQUENCE_ENROLLMENTS.name in names else names


def _run(pipeline: dlt.Pipeline, source: Any, unbound: Callable[[], None] = lambda: None) -> None:
    """`unbound` takes away the bound on the destination's memory, for rows that need more."""
    try:
        try:
            pipeline.run(source)
        except PipelineStepFailed as error:
            if error.step == "load" and _lacks_memory(error):
                unbound()
            elif not _is_race(error):
                raise
            # or another run altered the tables at the same time: the package is complete, only load it again
            Retrying(
                stop=stop_after_attempt(5), wait=wait_random(0.1, 1), retry=retry_if_exception(_is_race), reraise=True
            )(pipeline.load)
    except PipelineStepFailed as error:
        missing = next((link for link in signals.chain(error) if isinstance(link, ConfigurationException)), None)
        raise (warehouse.unconfigured(pipeline, missing) if missing else _cause(error)) from None
    except DestinationException as error:
        raise warehouse.explain(error) from None


def _verify(listing: Listing, shape: Shape, pipeline: dlt.Pipeline, unbound: Callable[[], None]) -> None:
    try:
        listing.verify(shape, pipeline)
    except DestinationError as error:
        if not _lacks_memory(error):
            raise
        unbound()
        listing.verify(shape, pipeline)


def _is_race(error: BaseException) -> bool:
    """Whether the tables could not be migrated, as happens when two runs do it at once (dlt 1.31 says so)."""
    return any(isinstance(link, getattr(exceptions, "SchemaUpdateError", ())) for link in signals.chain(error))


def _lacks_memory(error: BaseException) -> bool:
    """Whether DuckDB as destination could not do with what it was allowed."""
    return any(isinstance(link, duckdb.OutOfMemoryException) for link in signals.chain(error)) or _OUT in str(error)


def _cause(error: BaseException) -> BoastError:
    """Our own error behind dlt's, or what the destination said."""
    links = [link for link in signals.chain(error) if not isinstance(link, StopIteration)]  # how dlt's loops end
    last = links[-1]
    for link in links:
        if isinstance(link, BoastError):
            return link
    if isinstance(error, PipelineStepFailed) and error.step == "load":
        return warehouse.explain(error)
    if isinstance(last, OSError) and last.strerror:
        return BoastError(
            f"A file of the pipeline could not be written or read: {last.strerror}",
            hint="Free space and permissions in the working folder and in DLT_DATA_DIR; the next run does the rest.",
        )
    return BoastError(
        f"The step {getattr(error, 'step', 'run')} failed: {type(last).__name__}: {one_line(str(last))}",
        hint="Run again with --debug to see where.",
    )


def _make_dropped(pipeline: dlt.Pipeline, on_note: Callable[[str], None]) -> bool:
    try:
        names = dropped.make_again(pipeline)
    except (PipelineStepFailed, DestinationException) as error:
        raise warehouse.explain(error) from None
    if names:
        on_note(f"somebody dropped {', '.join(names[:5])}{' and more' if len(names) > 5 else ''}: made again")
    return bool(names)


def _finish_pending(pipeline: dlt.Pipeline, on_note: Callable[[str], None]) -> None:
    """Load the packages that a crashed run left, so that dlt does not ignore this run's own data.

    A package that fails twice is set aside, not lost: what it held is compared and loaded again by this run.
    """
    for attempt in (1, 2):
        if not pipeline.has_pending_data:
            return
        on_note("finishing the load package of an interrupted run")
        try:
            pipeline.normalize()
            pipeline.load()
        except (PipelineStepFailed, DestinationException) as error:
            log.warning("pending package failed (attempt %d): %s", attempt, type(error).__name__)
    if pipeline.has_pending_data:
        folder = _set_aside(pipeline)
        on_note(f"a load package of an interrupted run fails again and again: set aside in {folder}")


def _set_aside(pipeline: dlt.Pipeline) -> Path:
    working = Path(pipeline.working_dir)
    aside = _aside(pipeline) / f"{datetime.now(timezone.utc):{_STAMP}}"
    try:
        for part in ("normalize/extracted", "load/normalized"):
            if (working / part).is_dir():
                shutil.copytree(working / part, aside / part)
        pipeline.drop_pending_packages()
    except OSError as error:
        raise DestinationError(
            f"A failing load package cannot be set aside: {error.strerror}",
            hint=f"Free space or permissions under {working.parent} and run again.",
        ) from None
    _forget_old(pipeline)
    return aside


def _aside(pipeline: dlt.Pipeline) -> Path:
    return Path(pipeline.working_dir).parent / f"{pipeline.pipeline_name}_set_aside"


def _forget_old(pipeline: dlt.Pipeline) -> None:
    """Set-aside packages hold people's data: keep the newest few, and none for long."""
    folder = _aside(pipeline)
    oldest = f"{datetime.now(timezone.utc) - KEPT_FOR:{_STAMP}}"
    newest_first = sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []
    for place, package in enumerate(newest_first):
        if place >= KEPT or package.name < oldest:
            shutil.rmtree(package, ignore_errors=True)
