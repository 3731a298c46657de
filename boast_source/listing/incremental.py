"""Which lists are read incrementally, and what a listing records for the next one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from boast_source.listing.order import ListState
from boast_source.listing.recent import FEW_PAGES

if TYPE_CHECKING:
    from boast_source.listing.report import ListReport


@dataclass(frozen=True)
class Incremental:
    """How to read incrementally.

    `full_every`: a list whose last full listing is older is read whole; `overlap`: how far to read below the newest
    record of the last good listing; `forced`: an operator asked for it, despite age or silent changes.
    """

    full_every: timedelta
    overlap: timedelta
    forced: bool = False


def why_whole(state: ListState | None, how: Incremental, began: datetime) -> str | None:
    """Return why a list must be read whole; None if it may be read incrementally."""
    if state is None or state.full_at is None or state.pages is None:
        return "not read in full yet"
    if state.pages <= FEW_PAGES:
        return f"{FEW_PAGES} pages or less"
    if state.order is None:
        return "order by cursor not observed"
    if how.forced:
        return None
    if state.silent_at:
        return "content changed without its cursor; `boast load --incremental` overrides that"
    times = (state.full_at, state.read_at or state.full_at)
    if not all(timedelta(0) <= began - moment < how.full_every for moment in times):
        return "full listing due"
    return None


def state_after(report: ListReport, before: ListState | None, *, forced: bool = False) -> ListState | None:
    """Return what is known of a list after this listing; None if the listing was not good enough."""
    if report.error or report.account_id is None or report.began is None:
        return None
    if report.verified == "recent" and before:
        found = replace(before, read_at=report.began, newest=report.newest, counted=report.counted, pages=report.pages)
        return replace(found, silent_at=None) if forced else found
    silent_at = report.began if report.silent else before.silent_at if before else None
    if report.verified not in {"exact", "covered"}:
        return replace(before, silent_at=silent_at) if before and report.silent else None
    return ListState(
        account_id=report.account_id,
        resource=report.resource,
        full_at=report.began,
        order=report.order,
        read_at=report.began,
        newest=report.newest,
        counted=report.counted,
        pages=report.pages or 1,
        silent_at=silent_at,
    )
