"""`sources.boast.publish_path`: a read-only copy of the DuckDB file for dashboards, replaced whole after each good run.

A DuckDB file has one writer, and a reader keeps it out; a dashboard that reads the copy never meets the night. The
copy is compact, has the views, and takes the old one's place in one step: who has the old one open goes on reading it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from boast_source import warehouse
from boast_source.errors import ConfigurationError, DestinationError
from boast_source.outputs.places import local_path
from boast_source.warehouse.arrow import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from duckdb import DuckDBPyConnection

    from boast_source.warehouse import SqlClient

_COPY = "published_copy"
_MEMORY = "1GB"  # for DuckDB; what does not fit spills beside the file
_STAGING = "_staging"  # how dlt ends the names of the schemas that it loads through


def publish(client: SqlClient, place: str, on_note: Callable[[str], None]) -> Path:
    """Replace the copy at `place` by one of what the file holds now; returns its path. dlt's staging is left out.

    A view that the copy cannot have, since it reads another file, is left out and said.

    Raises ConfigurationError for a place that cannot be, DestinationError when it cannot be written; then the old
    copy stays.
    """
    final = _checked(client, place)
    partial = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _forget_partial(final)
        with warehouse.modest(client) as bound, client.native_connection.cursor() as connection:
            bound(_MEMORY)
            _fill(connection, partial, on_note)
        partial.chmod(0o444)
        _to_disk(partial)
        partial.replace(final)
        _to_disk(final.parent)
    except (OSError, duckdb.Error) as error:
        with contextlib.suppress(OSError):
            _forget_partial(final)
        raise DestinationError(
            f"The copy for dashboards cannot be written to {final}: {_reason(error)}",
            hint="Free space or permissions there, or set sources.boast.publish_path to another place; the copy of the"
            " last good run stays as it was.",
        ) from None
    return final


def _checked(client: SqlClient, place: str) -> Path:
    path = local_path(place)
    if path is None:
        raise ConfigurationError(
            "sources.boast.publish_path is no local path",
            hint="Give a path on this machine, for example bi/boast.duckdb.",
        )
    row = client.native_connection.execute(
        "select path from duckdb_databases() where database_name = current_database()"
    )
    (working,) = row.fetchone()
    if path.is_dir() or (working and path == Path(working).resolve()):
        raise ConfigurationError(
            f"sources.boast.publish_path is {'a folder' if path.is_dir() else 'the file that the runs write'}: {path}",
            hint="Give the path of another file, for example bi/boast.duckdb.",
        )
    return path


def _fill(connection: DuckDBPyConnection, partial: Path, on_note: Callable[[str], None]) -> None:
    """Tables, views and comments of the connection's database, into a new file."""
    (source,) = _rows(connection, "select current_database()")[0]
    connection.execute(f"attach {_text(str(partial))} as {_COPY}")
    try:
        connection.execute("begin")
        mine = f"database_name = {_text(source)} and not internal and not ends_with(schema_name, '{_STAGING}')"
        for (schema,) in _rows(connection, f"select distinct schema_name from duckdb_schemas() where {mine}"):
            connection.execute(f"create schema if not exists {_COPY}.{quote(schema)}")
        tables = _rows(
            connection, f"select schema_name, table_name from duckdb_tables() where {mine} and not temporary"
        )
        for schema, name in tables:
            table = f"{quote(schema)}.{quote(name)}"
            connection.execute(f"create table {_COPY}.{table} as from {quote(source)}.{table}")
        connection.execute("commit")
        connection.execute(f"use {_COPY}")
        left_out = _make_views(connection, mine)
        _comment(connection, mine)
        connection.execute(f"checkpoint {_COPY}")  # which says what a full disk refuses; `detach` may not
    finally:
        with contextlib.suppress(duckdb.Error):
            connection.execute("rollback")
        with contextlib.suppress(duckdb.Error):
            connection.execute(f"use {quote(source)}")
        connection.execute(f"detach {_COPY}")
    if left_out:
        on_note(f"left out of the copy for dashboards, since they read another file: {', '.join(left_out)}")


def _make_views(connection: DuckDBPyConnection, mine: str) -> list[str]:
    """Make the views, those that others read first; returns the names of those that cannot be made."""
    waiting = dict(_rows(connection, f"select schema_name || '.' || view_name, sql from duckdb_views() where {mine}"))
    while waiting:
        made = [name for name, sql in waiting.items() if _is_made(connection, sql)]
        if not made:
            break
        for name in made:
            del waiting[name]
    return list(waiting)


def _is_made(connection: DuckDBPyConnection, sql: str) -> bool:
    try:
        connection.execute(sql)
    except (duckdb.CatalogException, duckdb.BinderException):
        return False
    return True


def _comment(connection: DuckDBPyConnection, mine: str) -> None:
    """What tables, views and columns are, as the source says it."""
    for kind, listing in (("table", "duckdb_tables()"), ("view", "duckdb_views()")):
        found = f"select schema_name, {kind}_name, comment from {listing} where {mine} and comment is not null"
        for schema, name, comment in _rows(connection, found):
            with contextlib.suppress(duckdb.CatalogException):  # a view that was left out
                connection.execute(f"comment on {kind} {quote(schema)}.{quote(name)} is {_text(comment)}")
    found = "select schema_name, table_name, column_name, comment from duckdb_columns()"
    for schema, table, column, comment in _rows(connection, f"{found} where {mine} and comment is not null"):
        with contextlib.suppress(duckdb.CatalogException):
            connection.execute(f"comment on column {quote(schema)}.{quote(table)}.{quote(column)} is {_text(comment)}")


def _rows(connection: DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def _forget_partial(final: Path) -> None:
    """Remove what a run that died left beside the copy; the pipeline's lock says that no other run is at it."""
    for path in _partials(final):
        path.unlink(missing_ok=True)


def _partials(final: Path) -> Iterator[Path]:
    return (path for path in final.parent.glob(".*.tmp*") if path.name.startswith(f".{final.name}."))


def _to_disk(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _reason(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error).splitlines()[0][:200]
