"""What would grow for ever on a machine that keeps its disk: dlt's packages that are loaded or were never finished, and
old rows of `runs`, and of Delta tables the files that no version needs.

The ledger and the history are never touched. Of `runs` the rows that others rest on stay whatever their age: the newest
that sent something (push/ledger.py tells a lost ledger by it) and the newest good listing (the view `pipeline_health`).
"""

from __future__ import annotations

import logging
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from boast_source import runs, warehouse
from boast_source.warehouse import delta

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dlt

    from boast_source.config import Settings
    from boast_source.warehouse import SqlClient

log = logging.getLogger("boast_source")


def tidy(pipeline: dlt.Pipeline, found: Settings) -> None:
    """Forget what is older than the settings say. What cannot be done now is done by a later run."""
    forget_packages(Path(pipeline.working_dir), found.keep_packages)
    forget_unfinished(Path(pipeline.working_dir))
    kept = timedelta(seconds=found.keep_runs_seconds)
    try:
        if delta.is_lake(pipeline):
            texts = [text for batch in delta.read(pipeline, "runs", ["finished_at"]) for text in batch[0].to_pylist()]
            delta.tidy(pipeline, _now([datetime.fromisoformat(text) for text in texts if text]) - kept)
            return
        with warehouse.client_of(pipeline) as client:
            if client is not None:
                forget_runs(client, kept)
    except Exception as error:  # noqa: BLE001 -- no run fails for it
        log.warning("what is old in the warehouse is still there: %s", type(error).__name__)


def forget_packages(working: Path, keep: int) -> None:
    """Remove all but the newest packages that dlt has loaded; what waits to be loaded lies elsewhere."""
    for package in sorted(_folders(working / "load" / "loaded"), key=_moment)[:-keep]:
        shutil.rmtree(package, ignore_errors=True)


def forget_unfinished(working: Path) -> None:
    """Remove what a run that was killed left of packages it had not finished: dlt never looks at them again, and they
    hold people's data. Only for a run that has the lock and is done; complete packages lie elsewhere.
    """
    left = [*_folders(working / "load" / "new"), *(f for f in _folders(working / "normalize") if f.name != "extracted")]
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)


def forget_runs(client: SqlClient, keep: timedelta) -> None:
    """Delete the rows of runs that began longer ago than this, those apart that others rest on."""
    name = client.make_qualified_table_name("runs")
    if not warehouse.columns_in(client, name):
        return
    ends = client.execute_sql(f"select finished_at from {name} where finished_at is not null order by 1 desc limit 2")
    before = _now([end for (end,) in ends or ()]) - keep
    newest = "select run_id from {name} where {what} order by finished_at desc limit 1"
    good = f"listed is not null and exit_code in ({runs.DONE}, {runs.ATTENTION})"
    kept = [
        row[0]
        for what in ("sent > 0", good, "told is not null")
        for row in client.execute_sql(newest.format(name=name, what=what)) or ()
    ]
    marks = f" and run_id not in ({', '.join(['%s'] * len(kept))})" if kept else ""
    client.execute_sql(f"delete from {name} where started_at < %s{marks}", before, *kept)


def _now(ends: Sequence[datetime]) -> datetime:
    """Now, and no later than when the run before this one ended: a clock that runs ahead once makes nothing old.

    `ends`: when runs ended, the last two at least.
    """
    aware = sorted(end if end.tzinfo else end.replace(tzinfo=timezone.utc) for end in ends)
    return min([runs.now(), *aware[-2:-1]])


def _folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []


def _moment(package: Path) -> float:
    """Dlt names a package after the second in which it was made."""
    try:
        return float(package.name)
    except ValueError:
        return 0.0
