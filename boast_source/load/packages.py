"""Load packages left by an interrupted run: finished first, or set aside if they keep failing."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from boast_source.errors import DestinationError
from boast_source.warehouse import run, working_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import dlt

KEPT, KEPT_FOR = 3, timedelta(days=30)  # packages set aside
_PACKAGES = ("normalize/extracted", "load/normalized")


def finish_pending(pipeline: dlt.Pipeline, on_note: Callable[[str], None]) -> None:
    """Load the packages that a crashed run left; otherwise dlt would ignore this run's own data.

    A package that fails twice is set aside, and this run compares and loads its rows again.
    """
    forget_old(pipeline)
    if others := _of_others(pipeline):
        folder = _set_aside(pipeline, others)
        on_note(f"a load package of another dataset is not loaded into {pipeline.dataset_name}: set aside in {folder}")
    for _ in range(2):
        if not run.is_pending(pipeline):
            return
        on_note("finishing the load package of an interrupted run")
        run.finish(pipeline)
    if run.is_pending(pipeline):
        folder = _set_aside(pipeline, _PACKAGES)
        on_note(f"a load package of an interrupted run fails again and again: set aside in {folder}")


def forget_old(pipeline: dlt.Pipeline) -> None:
    """Delete old set-aside packages, which hold personal data: keep the newest few, and none for long."""
    folder = working_folder.aside(Path(pipeline.working_dir))
    oldest = f"{datetime.now(timezone.utc) - KEPT_FOR:{working_folder.STAMP}}"
    newest_first = sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []
    for place, package in enumerate(newest_first):
        if place >= KEPT or package.name < oldest:
            shutil.rmtree(package, ignore_errors=True)


def _of_others(pipeline: dlt.Pipeline) -> list[str]:
    """Return packages that belong to other datasets: an older version kept all of them in one folder."""
    working, kind = Path(pipeline.working_dir), pipeline.destination.destination_type
    packages = [package for part in _PACKAGES for package in (working / part).glob("*") if package.is_dir()]
    of_others = [p for p in packages if not working_folder.is_of(p, pipeline.dataset_name, kind)]
    return [str(package.relative_to(working)) for package in of_others]


def _set_aside(pipeline: dlt.Pipeline, parts: Iterable[str]) -> Path:
    working = Path(pipeline.working_dir)
    try:
        place = working_folder.set_aside(working, parts)
        for part in _PACKAGES:
            (working / part).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DestinationError(
            f"A failing load package cannot be set aside: {error.strerror}",
            hint=f"Free space or permissions under {working.parent} and run again.",
        ) from None
    forget_old(pipeline)
    return place
