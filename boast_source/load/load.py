"""The load: finish a crashed run's work, sweep, load the differences, verify."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from boast_source import models
from boast_source.errors import ConfigurationError, DestinationError
from boast_source.listing.incremental import state_after
from boast_source.listing.listing import Listing, listing_of
from boast_source.listing.reader import Given
from boast_source.listing.report import ListReport, Options
from boast_source.load.packages import finish_pending
from boast_source.load.result import Loaded
from boast_source.load.source import source_of
from boast_source.logs import log
from boast_source.runs import listings
from boast_source.runs.record import ATTENTION, DONE, FAILED, ensure_table
from boast_source.shapes import HISTORY, SEQUENCE_ENROLLMENTS, SHAPES, Record
from boast_source.warehouse import Warehouse, explained, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from boast_source.api import BoastClient, Page
    from boast_source.listing.order import ListState


def load(
    warehouse: Warehouse,
    client: BoastClient,
    options: Options,
    *,
    resources: Sequence[str] = (),
    patience: float = 60.0,
    time_zone: str = "UTC",
    on_page: Callable[[ListReport, Page], None] | None = None,
    on_note: Callable[[str], None] = log.info,
) -> Loaded:
    """Load the differences of all resources, or of those named, and verify. The caller holds the pipeline's lock.

    `patience`: seconds to wait for a DuckDB file that another process has open. `time_zone`: for the views' days.

    Raises BoastError if the load as a whole fails; a single failing account is in its report instead.
    """
    _known(resources)
    with warehouse.open(patience=patience, on_wait=on_note):
        warehouse.lock_accounts(options.account_ids)
        loaded = load_held(warehouse, client, options, resources=resources, on_page=on_page, on_note=on_note)
        create_views(warehouse, time_zone, on_note)
        return loaded


def create_views(warehouse: Warehouse, time_zone: str, on_note: Callable[[str], None]) -> None:
    """Create the views over the loaded tables; a destination that refuses them does not fail the load."""
    if not warehouse.has_sql:
        return

    def tell(error: DestinationError) -> None:
        on_note(f"not all views could be created: {error.message}")

    try:
        with explained():
            ensure_table(warehouse)
            listings.ensure_table(warehouse)
        models.create(warehouse, time_zone=time_zone, on_refused=tell)
    except DestinationError as error:
        tell(error)


def load_held(
    warehouse: Warehouse,
    client: BoastClient,
    options: Options,
    *,
    resources: Sequence[str] = (),
    on_page: Callable[[ListReport, Page], None] | None = None,
    on_note: Callable[[str], None] = log.info,
) -> Loaded:
    """Like `load` without the views, for a caller that has opened the warehouse and locked its accounts."""
    wanted = _known(resources)
    began = time.monotonic()
    with run.quiet():
        mended = _make_dropped(warehouse, on_note)
        finish_pending(warehouse.pipeline, on_note)
        known = _known_lists(warehouse, on_note)
        listing = listing_of(client, replace(options, mended=mended, states=known), on_page, warehouse)
        with warehouse.bounded(), contextlib.closing(listing):
            run.run(warehouse, source_of(listing).with_resources(*wanted))
            listing.verify(warehouse)
        reports = listing.reports
        if not options.bounded:
            _remember(warehouse, options, known, reports, on_note)
        for report in (r for r in reports if r.short):
            counted = f"{report.listed + report.short:,} {report.resource} and lists {report.listed:,}"
            on_note(f"account {report.account_id}: the API counts {counted}, which are loaded")
    every = [r for r in reports if r.account_id]
    enrollments = [r for r in every if r.resource == SEQUENCE_ENROLLMENTS.name]
    if all(r.steadiness is None for r in enrollments or every or reports):
        code = FAILED  # nothing of what matters could be read
    else:
        code = ATTENTION if any(r.error for r in reports) else DONE
    return Loaded(reports, code, time.monotonic() - began, bounded=options.bounded)


def _known_lists(warehouse: Warehouse, on_note: Callable[[str], None]) -> dict[tuple[str, str], ListState]:
    """Return what earlier runs saw of each list; without it this run reads every list whole."""
    try:
        with explained():
            return listings.states(warehouse)
    except DestinationError as error:
        on_note(f"this run reads every list whole: {error}")
        return {}


def _remember(
    warehouse: Warehouse,
    options: Options,
    known: Mapping[tuple[str, str], ListState],
    reports: Sequence[ListReport],
    on_note: Callable[[str], None],
) -> None:
    """Store what this run saw of each list; without it the next run reads every list whole."""
    for report in (r for r in reports if r.silent):
        on_note(
            f"account {report.account_id}: {report.silent:,} {report.resource} changed without their cursor. The list"
            " is read whole from now on; `boast load --incremental` overrides that."
        )
    forced = options.incremental is not None and options.incremental.forced
    after = [state_after(r, known.get((str(r.account_id), r.resource)), forced=forced) for r in reports]
    try:
        with explained():
            listings.remember(warehouse, [state for state in after if state])
    except DestinationError as error:
        on_note(f"the next run reads every list whole: {error}")


def store(warehouse: Warehouse, answers: Mapping[str, Sequence[Record]]) -> None:
    """Store the API's answers to writes, by account, in the enrollments and their history, without reading a list.

    Raises BoastError when the warehouse cannot be written; the next load then brings the same rows.
    """
    if any(answers.values()):
        _load_given(warehouse, answers, [SEQUENCE_ENROLLMENTS.name, HISTORY])


def make_tables(
    warehouse: Warehouse,
    *,
    patience: float = 60.0,
    time_zone: str = "UTC",
    on_note: Callable[[str], None] = log.info,
) -> None:
    """Create and migrate all tables and views without reading any list; run this before parallel loads.

    Raises BoastError when the warehouse cannot be written.
    """
    with warehouse.open(patience=patience, on_wait=on_note), run.quiet():
        _make_dropped(warehouse, on_note)
        finish_pending(warehouse.pipeline, on_note)
        _load_given(warehouse, {}, [*SHAPES, HISTORY])
        create_views(warehouse, time_zone, on_note)


def _load_given(warehouse: Warehouse, answers: Mapping[str, Sequence[Record]], names: Sequence[str]) -> None:
    listing = Listing(Given(answers), Options(account_ids=tuple(answers)), warehouse)
    with run.quiet(), contextlib.closing(listing):
        run.run(warehouse, source_of(listing).with_resources(*names))


def _known(resources: Sequence[str]) -> list[str]:
    names = list(resources) or list(SHAPES)
    unknown = [name for name in names if name not in SHAPES]
    if unknown:
        raise ConfigurationError(
            f"There is no resource {', '.join(unknown)}", hint=f"Choose from: {', '.join(SHAPES)}."
        )
    return [*names, HISTORY] if SEQUENCE_ENROLLMENTS.name in names else names


def _make_dropped(warehouse: Warehouse, on_note: Callable[[str], None]) -> bool:
    if warehouse.has_sql:
        models.refuse_foreign(warehouse.client, (*SHAPES, HISTORY))
    names = run.make_again(warehouse)
    if names:
        on_note(f"somebody dropped {', '.join(names[:5])}{' and more' if len(names) > 5 else ''}: made again")
    return bool(names)
