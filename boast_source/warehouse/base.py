"""The destination as the connector reads it: existing rows as Arrow, a lock that is waited for.

Source: `pipeline.sql_client()` of dlt. A destination without SQL is "not readable": then all rows are loaded.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.destination.exceptions import (
    DestinationUndefinedEntity,
    SqlClientNotAvailable,
)
from dlt.destinations.sql_client import SqlClientBase
from dlt.pipeline.exceptions import PipelineConfigMissing

from boast_source.errors import DestinationError
from boast_source.warehouse import delta, memory, parts
from boast_source.warehouse.arrow import CHUNK, quote, reader_of
from boast_source.warehouse.errors import explain, explained, is_lock, is_of_destination, unconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    import dlt

    from boast_source.shapes import Kind

SqlClient = SqlClientBase[Any]

# what `connected` keeps open per pipeline, for `client_of`: dlt resolves its configuration anew for every client.
# DuckDB's alone: on other connections whoever streams rows would be in the way.
_open: dict[int, SqlClient] = {}
_bounded: set[int] = set()

_KINDS: dict[str, Kind] = {
    "text": "text",
    "json": "json",
    "timestamp": "timestamp",
    "bigint": "bigint",
    "double": "double",
    "bool": "bool",
}


@contextlib.contextmanager
def client_of(pipeline: dlt.Pipeline) -> Iterator[SqlClient | None]:
    """A SQL client, or None where the destination has none, or only one over views of files.

    Raises ConfigurationError when the destination's settings are missing or cannot be read.
    """
    if delta.is_lake(pipeline):
        yield None
        return
    if client := _open.get(id(pipeline)):
        yield client
        return
    try:
        client = pipeline.sql_client()
    except SqlClientNotAvailable:
        yield None
        return
    except (ConfigurationException, PipelineConfigMissing) as error:  # whose text may hold what was given
        raise unconfigured(pipeline, error) from None
    with client:
        yield client


def read(
    pipeline: dlt.Pipeline,
    table: str,
    columns: Sequence[str],
    *,
    newest_by: tuple[str, str] | None = None,
    ids: Collection[str] | None = None,
    above: tuple[str, datetime] | None = None,
    in_duckdb: Callable[[str, Sequence[str]], str | None] | None = None,
) -> Iterator[pa.Table]:
    """The table's rows, those of `columns` that it has, in batches; nothing when there is no such table.

    `newest_by=(key, order)`: only the row with the highest `order` of each `key`. `ids`, `above=(column, moment)`: only
    these rows are needed, more may come. Text may come for typed values, where that is faster. `in_duckdb(name,
    columns)` may give another query, for a DuckDB only.

    Raises DestinationError when the connection is lost.
    """
    if delta.is_lake(pipeline):
        yield from delta.read(pipeline, table, columns, newest_by=newest_by)
        return
    with explained(), client_of(pipeline) as client:
        if client is None:
            return
        name = client.make_qualified_table_name(table)
        there = columns_in(client, name)
        wanted = [column for column in columns if client.capabilities.casefold_identifier(column) in there]
        if not wanted:
            return
        names = ", ".join(client.escape_column_name(column) for column in wanted)
        for source in parts.sources(client, name, wanted, ids, above):
            sql = f"select {names} from {source}"
            if newest_by:
                key, order = (client.escape_column_name(column) for column in newest_by)
                place = f"row_number() over (partition by {key} order by {order} desc) as place"
                sql = f"select {names} from (select {names}, {place} from {source}) ranked where place = 1"
            if in_duckdb and isinstance(client.native_connection, duckdb.DuckDBPyConnection):
                sql = in_duckdb(source, wanted) or sql
            yield from batches(client, sql, wanted)


def batches(client: SqlClient, sql: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of a query, whose columns have these names, on the fastest road that the destination has."""
    if isinstance(client.native_connection, duckdb.DuckDBPyConnection):
        with _cursor_of(client.native_connection) as cursor:  # an open result occupies its connection
            for batch in reader_of(cursor.sql(sql), CHUNK):
                yield pa.Table.from_batches([batch])
        return
    if is_postgres(client):
        from boast_source.warehouse import postgres

        yield from postgres.copied(client, sql, columns)
        return
    with client.execute_query(sql) as cursor:
        yield from cursor.iter_arrow(CHUNK)


@contextlib.contextmanager
def _cursor_of(connection: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A cursor in the catalog of its connection (DuckLake, MotherDuck, an attached file): it inherits no `USE`."""
    ((catalog, schema),) = connection.execute("select current_database(), current_schema()").fetchall()
    with connection.cursor() as cursor:
        cursor.execute(f"use {quote(catalog)}.{quote(schema)}")
        yield cursor


def is_postgres(client: SqlClient) -> bool:
    """Postgres itself, not what only speaks its protocol (Redshift)."""
    return client.capabilities.sqlglot_dialect == "postgres"


def is_file(client: SqlClient) -> bool:
    """A DuckDB file, which has one writer; MotherDuck speaks the same dialect and has many."""
    return type(client).__name__ == "DuckDbSqlClient"


def kinds_in(pipeline: dlt.Pipeline, table: str) -> dict[str, Kind]:
    """The kinds of the columns that the table has in the warehouse; nothing when there is no such table."""
    return kinds_of(_stored_columns(pipeline, table))


def has_only_ours(pipeline: dlt.Pipeline, table: str) -> bool:
    """Whether the table has no column of a type that we never write, which somebody must have added."""
    columns = _stored_columns(pipeline, table)
    return all(name.startswith("_dlt") for name in columns.keys() - kinds_of(columns).keys())


def _stored_columns(pipeline: dlt.Pipeline, table: str) -> dict[str, Any]:
    if delta.is_lake(pipeline):
        return delta.columns_in(pipeline, table)
    with pipeline.destination_client() as client:
        if not hasattr(client, "get_storage_table"):
            return {}
        _, columns = client.get_storage_table(table)
        return {name.lower(): column for name, column in columns.items()}


def kinds_of(columns: dict[str, Any]) -> dict[str, Kind]:
    """The kinds of a table's columns in dlt's schema, those of a type that we never write left out."""
    types = {name: str(column.get("data_type")) for name, column in columns.items()}
    return {name: _KINDS[kind] for name, kind in types.items() if kind in _KINDS}


def columns_in(client: SqlClient, name: str) -> list[str]:
    """The columns of a table or view, whose name is qualified; none when there is no such thing."""
    try:
        with client.execute_query(f"select * from {name} where 1 = 0") as cursor:
            return [str(name) for name in cursor.columns_schema]
    except DestinationUndefinedEntity:
        return []


def file_of(pipeline: dlt.Pipeline) -> Path | None:
    """Return the DuckDB file that the pipeline loads into; None for any other warehouse."""
    if not pipeline.destination or pipeline.destination.destination_type != "dlt.destinations.duckdb":
        return None
    client: Any = pipeline.destination_client()
    database = str(client.config.credentials.database)
    return None if database.startswith((":", "md:")) else Path(database).absolute()


def place(pipeline: dlt.Pipeline) -> str:
    """Return where the data goes, in a person's words."""
    file = file_of(pipeline)
    name = pipeline.destination.destination_name
    return f"{name} ({file}), dataset {pipeline.dataset_name}" if file else f"{name}, dataset {pipeline.dataset_name}"


def is_there(pipeline: dlt.Pipeline) -> bool:
    """Whether the dataset exists; looking makes no DuckDB file. Raises DestinationError."""
    file = file_of(pipeline)
    if file and not file.exists():
        return False
    with explained(), client_of(pipeline) as client:
        return client is None or client.has_dataset()


@contextlib.contextmanager
def connected(
    pipeline: dlt.Pipeline,
    *,
    patience: float,
    on_wait: Callable[[str], None] | None = None,
    creates: bool = True,
) -> Iterator[SqlClient | None]:
    """Keep the destination's connection open for the whole run, so that no reader of a DuckDB file gets in between.

    A file that another process has open is waited for, `patience` seconds at most. `creates` False: only read, so that
    no file is made where there is none.

    Raises DestinationError that names the process, or the file that is not there.
    """
    file = None if creates else file_of(pipeline)
    if file and not file.exists():
        raise DestinationError(
            f"There is no warehouse at {file}",
            hint="Run `boast load` first, or run this in the folder where the file is.",
        )
    end = time.monotonic() + patience
    told = False
    while True:
        with contextlib.ExitStack() as stack:
            try:
                client = stack.enter_context(client_of(pipeline))
            except Exception as error:
                if not is_of_destination(error):
                    raise
                reason = explain(error)
                if not is_lock(error) or time.monotonic() >= end:
                    raise reason from None
                if on_wait and not told:
                    on_wait(f"{reason.message}; waiting up to {patience:.0f} s")
                    told = True
                time.sleep(0.2)
                continue
            if client and isinstance(client.native_connection, duckdb.DuckDBPyConnection):
                _open[id(pipeline)] = client
                stack.callback(_open.pop, id(pipeline), None)
            yield client
            return


@contextlib.contextmanager
def bounded(client: SqlClient | None, megabytes: int = memory.LEAST) -> Iterator[None]:
    """Bound the memory of a DuckDB as destination, unless its user has; what does not fit spills into `<file>.tmp`."""
    if client is None or not isinstance(client.native_connection, duckdb.DuckDBPyConnection):
        yield
        return
    setting = "select current_setting('memory_limit')"
    with duckdb.connect() as fresh:
        (usual,) = fresh.execute(setting).fetchall()[0]
    if client.native_connection.execute(setting).fetchone() != (usual,):
        yield
        return
    client.native_connection.execute(f"set memory_limit = '{megabytes}MB'")
    _bounded.add(id(client))
    try:
        yield
    finally:
        _bounded.discard(id(client))
        with contextlib.suppress(duckdb.Error):  # a connection that failed has nothing to give back
            # not `reset`: DuckDB 1.4 then tells the usual bound and goes on with the other
            client.native_connection.execute(f"set memory_limit = '{usual}'")


def limit_memory(pipeline: dlt.Pipeline, megabytes: int) -> None:
    """Set another bound for the pipeline's destination, inside `bounded`."""
    client = _open.get(id(pipeline))
    if client and id(client) in _bounded:
        client.native_connection.execute(f"set memory_limit = '{megabytes}MB'")
