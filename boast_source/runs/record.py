"""Run records (one row of the table `runs` each) and the documented exit codes."""

from __future__ import annotations

import contextlib
import json
import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from boast_source.logs import log
from boast_source.runs.lock import traces
from boast_source.warehouse import SqlClient, Warehouse, columns_in
from boast_source.warehouse.pipeline import PIPELINE, state_folder
from boast_source.warehouse.working_folder import dataset_of

if TYPE_CHECKING:
    from collections.abc import Iterator


DONE, FAILED, USAGE, ATTENTION, LOCKED = 0, 1, 2, 3, 4
STATUS = {DONE: "ok", FAILED: "failed", USAGE: "failed", ATTENTION: "attention", LOCKED: "locked"}
MOST_KEPT = 1000  # records kept in a file while the warehouse cannot be reached

_TYPES = {
    "run_id": "text",
    "command": "text",
    "started_at": "timestamptz",
    "finished_at": "timestamptz",
    "status": "text",
    "exit_code": "bigint",
    "verified": "text",
    **dict.fromkeys(("listed", "loaded", "missing", "sent", "refused", "unknown", "held"), "bigint"),
    "version": "text",
    "error": "text",
    "told": "text",
    "account_ids": "text",
}


def now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass
class Run:
    """One row of `runs`. Times are UTC; a count is None where the command does not count it.

    `told`: what was notified so far, JSON (notify.py). `account_ids`: the accounts the run was given, comma-separated;
    None: all.
    """

    command: str
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started_at: datetime = field(default_factory=now)
    finished_at: datetime | None = None
    status: str = "running"
    exit_code: int | None = None
    verified: str | None = None
    listed: int | None = None
    loaded: int | None = None
    missing: int | None = None
    sent: int | None = None
    refused: int | None = None
    unknown: int | None = None
    held: int | None = None
    version: str = field(default_factory=lambda: version("boast-source"))
    error: str | None = None
    told: str | None = None
    account_ids: str | None = None

    def count(self, tallies: dict[str, Any]) -> None:
        """Set these columns."""
        for column, value in tallies.items():
            setattr(self, column, value)

    def finish(self, exit_code: int, error: str | None = None) -> None:
        self.finished_at = now()
        self.exit_code = exit_code
        self.status = STATUS[exit_code]
        self.error = error


def save(warehouse: Warehouse | None, run: Run) -> None:
    """Insert or replace the run's row in the warehouse.

    A record that cannot be written is kept in a file in the pipeline's folder, until the next run into the same dataset
    writes it. So are those of a run that was locked out or had no usable configuration (`warehouse` None), and of a
    failed run without a dataset, since a record never creates one.
    """
    try:
        with _keeping(warehouse) as path:
            rows = [row for row in _rows_in(path) + _unplaced(path, warehouse) if row.get("run_id") != run.run_id]
            rows.append(_as_row(run) | ({"dataset": warehouse.dataset} if warehouse else {"folder": str(Path.cwd())}))
            if warehouse is not None and run.exit_code != LOCKED:
                mine = [row for row in rows if row.get("dataset") in {None, warehouse.dataset} and _is_of_here(row)]
                if _inserted(warehouse, mine, run):
                    rows = [row for row in rows if row not in mine]
            _write(path, rows)
    except OSError as error:  # for example a full disk: the run's own result matters more
        log.warning("the run could not be recorded: %s", error.strerror)


def closing(over: Run, name: str, mark: str) -> tuple[str, list[Any]]:
    """Return the statement, and its values, that marks the run's row in the table `name` as ended."""
    ends = ("finished_at", "status", "exit_code", "error")
    values = [getattr(over, column) for column in (*ends, "run_id")]
    return f"update {name} set {', '.join(f'{column} = {mark}' for column in ends)} where run_id = {mark}", values


@contextlib.contextmanager
def shown_as_over(client: SqlClient, over: Run | None) -> Iterator[None]:
    """Let this connection see the run as ended inside the block, then roll back. Raises what the destination raises."""
    if over is None:
        yield
        return
    with contextlib.suppress(_TakenBackError), client.begin_transaction():
        sql, values = closing(over, client.make_qualified_table_name("runs"), "%s")
        client.execute_sql(sql, *values)
        yield
        raise _TakenBackError


class _TakenBackError(Exception):
    """Raised and caught here, to roll a transaction back."""


def keep_died(warehouse: Warehouse, left: dict[str, Any]) -> bool:
    """Keep a record of a run that died, from its traces in the lock (lock.py); the caller's run writes both records.

    Returns False if there is none, or if an earlier run, which died as well, had already found it.
    """
    if not (died := _died(left)):
        return False
    with contextlib.suppress(OSError), _keeping(warehouse) as path:
        rows = _rows_in(path)
        _write(path, [*rows, died])
        return not any(row.get("error") == died["error"] for row in rows)
    return False


def _died(left: dict[str, Any]) -> dict[str, Any]:
    """Return the record; an empty dictionary if there is no such run or its traces are damaged."""
    error = "The run died: the process was killed, or the machine went down. The next run completes its work."
    with contextlib.suppress(KeyError, TypeError, ValueError):
        began, ended = (datetime.fromisoformat(left[name]) for name in ("since", "until"))
        if left["run_id"]:
            return _as_row(Run(left["command"], left["run_id"], began, ended, "failed", error=error))
    return {}


def kept(warehouse: Warehouse | None) -> list[dict[str, Any]]:
    """Return the records that are not in the warehouse yet, oldest first."""
    with contextlib.suppress(OSError), _keeping(warehouse) as path:
        return _rows_in(path)
    return []


def told_before(warehouse: Warehouse | None, moment: datetime) -> str | None:
    """Return `told` of the last run before `moment` that sent a notification; None if there is none.

    Raises what the destination raises.
    """
    here = [row["told"] for row in kept(warehouse) if row.get("told")]
    if here or warehouse is None:
        return here[-1] if here else None
    if not warehouse.has_sql:
        batches = warehouse.read("runs", ("finished_at", "told"))
        there = [row for batch in batches for row in batch.to_pylist()]
        found = [(str(row.get("finished_at")), row["told"]) for row in there if row.get("told")]
        return max((row for row in found if row[0] <= moment.isoformat()), default=(None, None))[1]
    with warehouse.session() as client:
        name = client.make_qualified_table_name("runs") if client else ""
        if client is None or "told" not in {column.lower() for column in columns_in(client, name)}:
            return None
        sql = f"select told from {name} where told is not null and finished_at <= %s order by finished_at desc limit 1"
        rows = client.execute_sql(sql, moment) or ()
        return str(rows[0][0]) if rows else None


def last_kept(warehouse: Warehouse) -> dict[str, Any] | None:
    """Return the newest run of this dataset, or of this folder without a warehouse, that is not in `runs` yet: it
    could not be recorded there, or it died.

    Its `started_at` and `finished_at` are aware datetimes.
    """
    rows: list[dict[str, Any]] = []
    with contextlib.suppress(OSError):
        rows += [row for row in _rows_in(_file(warehouse)) if row.get("dataset") in {None, warehouse.dataset}]
        rows += [row for row in _rows_in(_file(None)) if "folder" in row]
    rows.append(_died(traces(warehouse.pipeline)))
    mine = [row for row in rows if _is_of_here(row) and row.get("exit_code") != LOCKED]
    asked = [row for row in mine if row.get("command") not in {"report", "prepare"}]
    return max(_timed(asked), key=lambda row: row["finished_at"], default=None)


def _timed(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the records with their times as datetimes; skip records without: unfinished or damaged ones."""
    for row in rows:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            moments = {name: datetime.fromisoformat(row[name]) for name in ("started_at", "finished_at")}
            if all(moment.tzinfo for moment in moments.values()):
                yield row | moments


def _file(warehouse: Warehouse | None) -> Path:
    if warehouse is None:
        return state_folder() / f"{PIPELINE}.runs.jsonl"
    return Path(warehouse.pipeline.pipelines_dir) / f"{warehouse.pipeline.pipeline_name}.runs.jsonl"


@contextlib.contextmanager
def _keeping(warehouse: Warehouse | None) -> Iterator[Path]:
    """Lock the file of records that are not in the warehouse yet."""
    path = _file(warehouse)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock"), timeout=30):  # its Timeout is an OSError
        yield path


def _is_of_here(row: dict[str, Any]) -> bool:
    """Return whether the run had a warehouse, or ran in this folder."""
    return row.get("folder") in {None, str(Path.cwd())}


def _unplaced(path: Path, warehouse: Warehouse | None) -> list[dict[str, Any]]:
    """Remove from the shared file, and return, the records of runs in this folder that had no warehouse, and those of
    this dataset that an older version kept there.
    """
    shared_folder = state_folder()
    with _keeping(None) if path.parent != shared_folder else contextlib.nullcontext() as shared:
        rows = _rows_in(shared) if shared else []
        strange = {warehouse.dataset} - {dataset_of(shared_folder, PIPELINE)} if warehouse else set()
        mine = [row for row in rows if ("folder" in row and _is_of_here(row)) or row.get("dataset") in strange]
        if shared and mine:
            _write(shared, [row for row in rows if row not in mine])
        return mine


def _as_row(run: Run) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(json.dumps(asdict(run), default=datetime.isoformat))
    return row


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    if not rows:
        path.unlink(missing_ok=True)
        return
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[-MOST_KEPT:]))


def _rows_in(path: Path) -> list[dict[str, Any]]:
    """Return the records of the file; skip damaged lines, as after a power cut."""
    rows = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict)]


def _inserted(warehouse: Warehouse, rows: list[dict[str, Any]], run: Run) -> bool:
    try:
        makes_it = run.exit_code in {DONE, ATTENTION}
        if not makes_it and warehouse.file and not warehouse.file.exists():
            return False
        with warehouse.open(patience=0):
            if not makes_it and not warehouse.is_there():
                return False
            warehouse.put("runs", _TYPES, ("run_id",), rows)
    except Exception:  # noqa: BLE001 -- whatever the driver raises, the record is kept for the next run
        return False
    return True


def ensure_table(warehouse: Warehouse) -> str:
    """Create the table `runs`, or add the columns that an older version lacked; return its qualified name."""
    return warehouse.own_table("runs", _TYPES)
