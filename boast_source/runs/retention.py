"""Retention: delete dlt's loaded and unfinished packages, old rows of `runs`, and unused files of Delta tables.

The ledger and the history are never touched. Some rows of `runs` are kept at any age: the newest run that sent
something (push/ledger.py uses it to detect a lost ledger), the newest good run (for the view `good_runs`) and the
newest notification.
"""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from boast_source import models, runs
from boast_source.logs import log
from boast_source.warehouse import SqlClient, Warehouse, columns_in
from boast_source.warehouse.dialect import moment_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boast_source.config import Settings


def tidy(warehouse: Warehouse, found: Settings) -> None:
    """Apply the retention settings, with the lock held, after the run's own work. A failure is logged and left to a
    later run.
    """
    working = Path(warehouse.pipeline.working_dir)
    loaded = sorted(_folders(working / "load" / "loaded"), key=_moment)[: -found.keep_packages]
    # incomplete packages of killed runs: dlt never uses them again, and they contain personal data
    left = [*_folders(working / "load" / "new"), *(f for f in _folders(working / "normalize") if f.name != "extracted")]
    for package in (*loaded, *left):
        shutil.rmtree(package, ignore_errors=True)
    kept = timedelta(seconds=found.keep_runs_seconds)
    try:
        if not warehouse.has_sql:
            texts = [text for batch in warehouse.read("runs", ["finished_at"]) for text in batch[0].to_pylist()]
            warehouse.tidy(_now([text for text in texts if text]) - kept)
            return
        with warehouse.session() as client:
            if client is not None:
                forget_runs(client, kept)
    except Exception as error:  # noqa: BLE001 -- no run fails for it
        log.warning("what is old in the warehouse is still there: %s", type(error).__name__)


def forget_runs(client: SqlClient, keep: timedelta) -> None:
    """Delete the rows of runs that began longer ago than `keep`, except those that are always kept (see above)."""
    name = client.make_qualified_table_name("runs")
    if not columns_in(client, name):
        return
    ends = client.execute_sql(f"select finished_at from {name} where finished_at is not null order by 1 desc limit 2")
    before = _now([end for (end,) in ends or ()]) - keep
    newest = "select run_id from {name} where {what} order by finished_at desc limit 1"
    kept = [
        row[0]
        for what in ("sent > 0", "told is not null")
        for row in client.execute_sql(newest.format(name=name, what=what)) or ()
    ]
    good = f"with good as (\n{models.text('good_runs')})\nselect run_id from good order by finished_at desc limit 1"
    kept += [row["run_id"] for row in models.ask(client, good)]  # in any warehouse, with or without the view
    marks = f" and run_id not in ({', '.join(['%s'] * len(kept))})" if kept else ""
    client.execute_sql(f"delete from {name} where started_at < %s{marks}", before, *kept)


def _now(ends: Sequence[datetime | str]) -> datetime:
    """Return now, or the end of the previous run if that is earlier: a clock that is ahead must not age the rows.

    `ends`: end times of runs, at least the last two.
    """
    aware = sorted(moment for end in ends if (moment := moment_of(end)))
    return min([runs.now(), *aware[-2:-1]])


def _folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []


def _moment(package: Path) -> float:
    """Return the creation time of a package, which dlt uses as its name."""
    try:
        return float(package.name)
    except ValueError:
        return 0.0
