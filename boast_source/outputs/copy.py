"""`sources.boast.publish_path`: a read-only copy of the DuckDB file for dashboards, replaced whole after each good run.

A DuckDB file has one writer, and a reader keeps it out; a dashboard that reads the copy never blocks the nightly load.
The new copy replaces the old one in one step, so a reader that has the old one open keeps reading it undisturbed.
"""

from __future__ import annotations

import glob
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from boast_source import warehouse
from boast_source.driver_text import one_line
from boast_source.errors import ConfigurationError, DestinationError
from boast_source.outputs.files import local_path, put_in_place
from boast_source.warehouse.arrow import quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from duckdb import DuckDBPyConnection

    from boast_source.warehouse import SqlClient

_MEMORY = 1024  # MB for DuckDB; the rest spills beside the file
_OWN = "select database_name, path from duckdb_databases() where database_name = current_database()"
_STAGING = "select distinct schema_name from duckdb_schemas() where not internal and ends_with(schema_name, '_staging')"
_VIEWS = "select schema_name, view_name from duckdb_views() where not internal"


def publish(client: SqlClient, place: str, on_note: Callable[[str], None]) -> Path:
    """Replace the copy at `place` with the current tables, views and comments; returns its path.

    Raises ConfigurationError for a place that cannot hold it, DestinationError when it cannot be written; then the
    old copy stays.
    """
    source, working = client.native_connection.execute(_OWN).fetchone()
    final = _checked(place, working)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        for left in final.parent.glob(f".{glob.escape(final.name)}.*.tmp*"):  # by a run that was killed
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=f".{final.name}.", suffix=".tmp") as folder:
            partial = Path(folder) / final.name  # the same name: a view may name its database
            with warehouse.bounded(client, _MEMORY):
                _copy(client.native_connection, source, partial)
            if left_out := _prune(partial):
                on_note(f"left out of the copy for dashboards, since they read another file: {', '.join(left_out)}")
            partial.chmod(0o444)
            put_in_place(partial, final)
    except (OSError, duckdb.Error) as error:
        raise DestinationError(
            f"The copy for dashboards cannot be written to {final}: {_reason(error)}",
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
    connection.execute(f"attach {_text(target)} as published_copy")
    try:
        connection.execute(f"copy from database {quote(source)} to published_copy")
        connection.execute("checkpoint published_copy")  # reports a full disk; `detach` may not
    finally:
        connection.execute("detach published_copy")


def _prune(copy: Path) -> list[str]:
    """Drop dlt's staging schemas, and the views that cannot be read in the copy alone; returns their names."""
    with duckdb.connect(str(copy), config={"python_enable_replacements": False}) as connection:
        for (schema,) in connection.execute(_STAGING).fetchall():
            connection.execute(f"drop schema {quote(schema)} cascade")
        views = connection.execute(_VIEWS).fetchall()
        unreadable = [view for view in views if not _is_readable(connection, *view)]
        for schema, view in unreadable:
            connection.execute(f"drop view {quote(schema)}.{quote(view)}")
        connection.execute("checkpoint")
    return [".".join(view) for view in unreadable]


def _is_readable(connection: DuckDBPyConnection, schema: str, view: str) -> bool:
    try:
        connection.execute(f"describe {quote(schema)}.{quote(view)}")
    except duckdb.Error:
        return False
    return True


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _reason(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else one_line(str(error))
