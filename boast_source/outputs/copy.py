"""`sources.boast.publish_path`: a read-only copy of the DuckDB file for dashboards, replaced after each good run.

A reader of a DuckDB file locks out its writer, so dashboards read the copy and never block the nightly load. The copy
is replaced atomically: a reader that has the old one open can keep reading it.
"""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from boast_source import runs, signals
from boast_source.driver_text import one_line
from boast_source.errors import ConfigurationError, DestinationError
from boast_source.outputs.files import local_path
from boast_source.private import PERSONAL, put_in_place
from boast_source.warehouse.arrow import literal, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from duckdb import DuckDBPyConnection

    from boast_source.warehouse import Warehouse

_MEMORY = 1024  # MB for DuckDB; beyond that it spills to disk, next to the file
_OWN = "select database_name, path from duckdb_databases() where database_name = current_database()"
_STAGING = "select distinct schema_name from duckdb_schemas() where not internal and ends_with(schema_name, '_staging')"
_IMPERSONAL = {"id", "status", "created", "updated", "accepted", "created_at", "updated_at", "missing_since"}
_TABLES = "select schema_name, table_name from duckdb_tables() where not internal"
_VIEWS = "select schema_name, view_name from duckdb_views() where not internal"


def publish(
    warehouse: Warehouse,
    place: str,
    without: Collection[str],
    on_note: Callable[[str], None],
    over: runs.Run | None = None,
) -> Path:
    """Replace the copy at `place` with the current tables, views and comments; return its path.

    `without`: tables to leave out, with their child tables and the views that read them; contacts and responses keep
    their ids, statuses and times. Only the owner can read a copy with personal data; for any other copy the umask
    decides. `over`: the publishing run as it will end if nothing else fails; the copy shows this state.

    Raises ConfigurationError for an unusable place, DestinationError when the copy cannot be written. The old copy
    then stays.
    """
    connection = warehouse.client.native_connection
    source, working = connection.execute(_OWN).fetchone()
    final = _checked(place, working)
    kept = sorted(PERSONAL.intersection(without))
    if kept and not final.exists():
        on_note(
            f"the copy for dashboards keeps the ids, statuses and times of {' and '.join(kept)}, since views read them;"
            " all else of these tables stays out of it"
        )
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        for left in final.parent.glob(f".{glob.escape(final.name)}.*.tmp*"):  # from a killed run
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=f".{final.name}.", suffix=".tmp") as folder:
            whole, partial = Path(folder) / "whole" / final.name, Path(folder) / final.name
            whole.parent.mkdir()  # the same name: a view may name its database
            with warehouse.bounded(_MEMORY):
                _copy(connection, source, whole)
            if over:
                with duckdb.connect(str(whole)) as copied:
                    copied.execute(*runs.closing(over, f"{quote(warehouse.dataset)}.runs", "?"))
            if left_out := _prune(whole, without, partial):
                on_note(
                    "left out of the copy for dashboards, since they read another file or a table that"
                    f" sources.boast.publish_without names: {', '.join(left_out)}"
                )
            partial.chmod(0o444 & ~_umask() if set(without) >= PERSONAL else 0o400)
            put_in_place(partial, final)
    except (OSError, duckdb.Error) as error:
        why = error.strerror or type(error).__name__ if isinstance(error, OSError) else one_line(error)
        raise DestinationError(
            f"The copy for dashboards cannot be written to {final}: {why}",
            hint="Free space or fix permissions, or set sources.boast.publish_path elsewhere. The last copy stays.",
        ) from None
    return final


def _checked(place: str, working: str | None) -> Path:
    path = local_path(place)
    if path and not path.is_dir() and not (working and path == Path(working).resolve()):
        return path
    found = "no local path" if path is None else "a folder" if path.is_dir() else "the file that the runs write"
    raise ConfigurationError(
        f"sources.boast.publish_path is {found}: {place}",
        hint="Give the path of another file on this machine, for example bi/boast.duckdb.",
    )


def _copy(connection: DuckDBPyConnection, source: str, target: Path) -> None:
    connection.execute(f"attach {literal(str(target))} as published_copy")
    try:
        with signals.waking(connection.interrupt):
            connection.execute(f"copy from database {quote(source)} to published_copy")
        connection.execute("checkpoint published_copy")  # reports a full disk; `detach` may not
    finally:
        connection.execute("detach published_copy")


def _prune(whole: Path, without: Collection[str], copy: Path) -> list[str]:
    """Copy all but dlt's staging schemas, the tables `without` and the views that this makes unreadable; return these.

    The copy is a new file, since the rows of a dropped table stay in its file.
    """
    with duckdb.connect(str(whole), config={"python_enable_replacements": False}) as connection:
        for (schema,) in connection.execute(_STAGING).fetchall():
            connection.execute(f"drop schema {quote(schema)} cascade")
        for schema, table in connection.execute(_TABLES).fetchall():
            if {table.lower(), table.lower().partition("__")[0]} & {name.lower() for name in without}:
                _leave_out(connection, schema, table)
        views = connection.execute(_VIEWS).fetchall()
        unreadable = [view for view in views if not _is_readable(connection, *view)]
        for schema, view in unreadable:
            connection.execute(f"drop view {quote(schema)}.{quote(view)}")
        (name,) = connection.execute("select current_database()").fetchone() or ("",)
        _copy(connection, name, copy)
    return [".".join(view) for view in unreadable]


def _leave_out(connection: DuckDBPyConnection, schema: str, table: str) -> None:
    """Drop a table, or keep only ids, statuses and times if it holds personal data: views read these."""
    name = f"{quote(schema)}.{quote(table)}"
    columns = [row[0] for row in connection.execute(f"describe {name}").fetchall()] if table in PERSONAL else []
    if kept := [quote(column) for column in columns if column in _IMPERSONAL or column.endswith("_id")]:
        connection.execute(f"create or replace table {name} as select {', '.join(kept)} from {name}")
    else:
        connection.execute(f"drop table {name}")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _is_readable(connection: DuckDBPyConnection, schema: str, view: str) -> bool:
    try:
        connection.execute(f"describe {quote(schema)}.{quote(view)}")
    except duckdb.Error:
        return False
    return True
