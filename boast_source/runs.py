"""A run: its lock, its record in the table `runs`, its exit code."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlglot
from filelock import FileLock, Timeout

from boast_source import lake
from boast_source.errors import LockedError
from boast_source.warehouse import client_of, migrating

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dlt
    from dlt.destinations.sql_client import SqlClientBase

DONE, FAILED, USAGE, ATTENTION, LOCKED = 0, 1, 2, 3, 4
STATUS = {DONE: "ok", FAILED: "failed", USAGE: "failed", ATTENTION: "attention", LOCKED: "locked"}

_TABLE = """create table if not exists {name} (
    run_id text, command text, started_at timestamptz, finished_at timestamptz, status text, exit_code bigint,
    verified text, listed bigint, loaded bigint, missing bigint, sent bigint, refused bigint, unknown bigint,
    held bigint, version text, error text
)"""


def now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass
class Run:
    """One row of `runs`. Counts are null where the command does not count them; times are UTC."""

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

    def finish(self, exit_code: int, error: str | None = None) -> None:
        self.finished_at = now()
        self.exit_code = exit_code
        self.status = STATUS[exit_code]
        self.error = error


@contextlib.contextmanager
def lock(pipeline: dlt.Pipeline) -> Iterator[None]:
    """One run per pipeline at a time. The operating system frees the lock of a process that dies.

    Raises LockedError that names the holder.
    """
    folder = Path(pipeline.pipelines_dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pipeline.pipeline_name}.lock"
    note = folder / f"{pipeline.pipeline_name}.lock.json"
    guard = FileLock(path, timeout=0)
    try:
        guard.acquire()
    except Timeout:
        raise LockedError(
            f"Another run of the pipeline {pipeline.pipeline_name} is alive ({_holder(note)})",
            hint="Wait until it ends; a scheduler may simply skip this run.",
        ) from None
    try:
        note.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now().isoformat()}))
        yield
    finally:
        note.unlink(missing_ok=True)
        guard.release()


def _holder(note: Path) -> str:
    try:
        known = json.loads(note.read_text())
    except (OSError, ValueError):
        return "it has just begun"
    return f"process {known.get('pid')} on {known.get('host')}, since {known.get('since')}"


def record(pipeline: dlt.Pipeline, run: Run) -> None:
    """Append the run to the warehouse; what cannot reach it is kept beside the pipeline and recorded next time."""
    kept = Path(pipeline.pipelines_dir) / f"{pipeline.pipeline_name}.runs.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    rows.append(json.loads(json.dumps(asdict(run), default=datetime.isoformat)))
    try:
        _insert(pipeline, rows)
    except Exception:  # noqa: BLE001 -- whatever the driver raises, the record is kept for the next run
        kept.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        kept.unlink(missing_ok=True)


def amend(pipeline: dlt.Pipeline, run: Run) -> None:
    """Say what came after the run was recorded: status, exit code, error. Without a warehouse the record stays."""
    with contextlib.suppress(Exception), client_of(pipeline) as client:
        if client is not None:
            name = client.make_qualified_table_name("runs")
            sql = f"update {name} set status = %s, exit_code = %s, error = %s where run_id = %s"
            client.execute_sql(sql, run.status, run.exit_code, run.error, run.run_id)


def _insert(pipeline: dlt.Pipeline, rows: list[dict[str, Any]]) -> None:
    if lake.is_lake(pipeline):
        lake.append(pipeline, "runs", pa.Table.from_pylist(rows, schema=_schema()))
        return
    with client_of(pipeline) as client:
        if client is None:
            return
        name = ensure_table(client)
        columns = list(Run.__dataclass_fields__)
        names = ", ".join(client.escape_column_name(column) for column in columns)
        marks = ", ".join(["%s"] * len(columns))
        for row in rows:
            client.execute_sql(f"insert into {name} ({names}) values ({marks})", *[row.get(c) for c in columns])


def ensure_table(client: SqlClientBase[Any]) -> str:
    """Make the table `runs` if it is not there; returns its qualified name."""
    name = client.make_qualified_table_name("runs")
    dialect = client.capabilities.sqlglot_dialect
    with migrating(client):
        if not client.has_dataset():
            client.create_dataset()
        client.execute_sql(
            sqlglot.transpile(_TABLE.format(name="runs_"), read="duckdb", write=dialect)[0].replace("runs_", name)
        )
    return name


def _schema() -> pa.Schema:
    """The columns of `runs` for Delta tables; times arrive as ISO 8601 text."""
    numbers = {"exit_code", "listed", "loaded", "missing", "sent", "refused", "unknown", "held"}
    return pa.schema([(name, pa.int64() if name in numbers else pa.string()) for name in Run.__dataclass_fields__])
