"""The views: one `.sql` file each, in DuckDB's dialect with bare table names, ready to paste into a console.

They are created in the dataset with qualified names, translated to its dialect. A table that does not exist yet counts
as empty, so every view can always be created.
"""

from __future__ import annotations

import contextlib
import functools
import re
from importlib import resources
from typing import TYPE_CHECKING, Any

from boast_source.errors import DestinationError
from boast_source.models import as_of, catalog, schema
from boast_source.models.comments import comment
from boast_source.models.schema import relations
from boast_source.shapes import HISTORY, SHAPES, VIEWS
from boast_source.warehouse import SqlClient, Warehouse, explained, strange
from boast_source.warehouse.arrow import quote
from boast_source.warehouse.dialect import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


OTHER_COLUMNS = "42P16"  # Postgres: `create or replace view` can only add columns


def create(
    warehouse: Warehouse,
    *,
    time_zone: str,
    on_refused: Callable[[DestinationError], None] | None = None,
) -> list[str]:
    """Create or replace the views and comments, unless they are unchanged since the last call. Return the view names.

    Without views in the destination, or without any of our tables in the dataset, create none and return [].

    Args:
        time_zone: an IANA name, for days and months.
        on_refused: called with the error of each view that cannot be created.

    Raises DestinationError when a view cannot be created, after the others are, unless `on_refused` is given.
    """
    client = warehouse.client
    if not are_possible(warehouse):
        return []
    with warehouse.migrating():
        made_of = (time_zone, schema.text(), *as_of.CREATE.values(), *map(text, VIEWS))
        if catalog.is_as_left(warehouse, *made_of):
            return list(VIEWS)
        refuse_foreign(client, [name for name in relations() if name not in {*VIEWS, *SHAPES, HISTORY}])
        read = {name for view in VIEWS for _, name in _read().findall(text(view))}
        there = catalog.columns(client, read.difference(VIEWS))
        if not there:
            return []
        others = foreign(client, VIEWS)
        ours = [name for name in VIEWS if name not in others]
        refusals = others | {name: _refusal(client, name, there, time_zone) for name in ours}
        if any(_has_other_columns(error) for error in refusals.values()):
            with contextlib.suppress(DestinationError):  # a user's view may read one of ours
                drop(client)
                refusals |= {name: _refusal(client, name, there, time_zone) for name in ours}
        if refusals["enrollment_history"] is None:
            as_of.create(client)
        comment(client, without=others)
        if not any(refusals.values()):
            catalog.leave(warehouse, *made_of)
    for reason in filter(None, refusals.values()):
        if on_refused is None:
            raise reason
        on_refused(reason)
    return [name for name, reason in refusals.items() if reason is None]


def standing(client: SqlClient) -> list[str]:
    """Return the views that stand with all their columns: a reader who may create none can still use these."""
    there = catalog.columns(client, VIEWS)
    return [name for name in VIEWS if relations()[name].columns.keys() <= set(there.get(name, ()))]


def are_possible(warehouse: Warehouse) -> bool:
    """Return whether views can be created. Not on SQLite: dlt attaches a file per dataset, and no view can name it."""
    return warehouse.has_sql and warehouse.client.capabilities.sqlglot_dialect != "sqlite"


def foreign(client: SqlClient, names: Collection[str] = ()) -> dict[str, DestinationError]:
    """Return our names that are taken by a table or view of someone else's, each with an error that explains it.

    `names`: the names to check; all by default.
    """
    found: dict[str, DestinationError] = {}
    with contextlib.suppress(DestinationError):
        for name, there in catalog.columns(client, names or relations()).items():
            if name in {*SHAPES, HISTORY} and {"id", "account_id"}.issubset(there):
                continue  # a user's own pipeline may leave other columns out
            if error := strange(client.make_qualified_table_name(name), there, relations()[name].columns):
                found[name] = error
    return found


def refuse_foreign(client: SqlClient, names: Collection[str] = ()) -> None:
    """Raise DestinationError if one of our names is taken by a table or view of someone else's.

    `names`: of tables and views; all tables by default.
    """
    for error in foreign(client, names or [name for name in relations() if name not in VIEWS]).values():
        raise error


def _refusal(
    client: SqlClient, name: str, there: Mapping[str, Collection[str]], time_zone: str
) -> DestinationError | None:
    """Create or replace a view; return the error, or None."""
    try:
        with explained(name):
            client.execute_sql(statement(client, name, there, time_zone))
    except DestinationError as error:
        return error
    return None


def _has_other_columns(error: DestinationError | None) -> bool:
    reason = getattr(getattr(error, "__context__", None), "dbapi_exception", None)
    return getattr(reason, "pgcode", None) == OTHER_COLUMNS


def drop(client: SqlClient) -> None:
    """Drop all views or none, in warehouses where a view blocks the drop of its tables. `create` makes them again.

    Raises DestinationError when the destination refuses, as Postgres does if a user's own view reads one of ours.
    """
    if client.capabilities.sqlglot_dialect in {"postgres", "redshift"}:
        others = foreign(client, VIEWS)
        with explained(), client.begin_transaction():
            as_of.drop(client)
            for name in (view for view in reversed(VIEWS) if view not in others):
                client.execute_sql(f"drop view if exists {client.make_qualified_table_name(name)}")


def statement(client: SqlClient, name: str, there: Mapping[str, Collection[str]], time_zone: str) -> str:
    """Return a view's `create or replace view` statement, in the destination's dialect. `there`: columns by existing
    table.
    """
    view, sql = client.make_qualified_table_name(name), written(name, there, time_zone)
    computed = relations()[name].columns.keys() - relations()[HISTORY].columns.keys()
    if "h.*" in sql and computed.intersection(columns := there.get(HISTORY, ())):  # fields of an older table
        sql = sql.replace("h.*", ", ".join(f"h.{quote(column)}" for column in columns if column not in computed))
    return f"create or replace view {view} as\n{_for(client, sql, {*there, *VIEWS})}"


def ask(client: SqlClient, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query in DuckDB's dialect, with bare names of the dataset's tables and views."""
    with client.execute_query(_for(client, sql, relations())) as cursor:
        names = [str(name).lower() for name in cursor.columns_schema]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _for(client: SqlClient, sql: str, there: Collection[str]) -> str:
    """Return a query in the destination's dialect, with qualified names."""

    def qualified(table: str) -> str:
        return ".".join(map(quote, client.make_qualified_table_name_path(table, quote=False)))

    return translated(renamed(sql, there, qualified), client.capabilities.sqlglot_dialect)


def renamed(sql: str, there: Collection[str], name_of: Callable[[str], str]) -> str:
    """Return the query with the tables in `there` renamed by `name_of`. No CTE may have the name of one of them."""
    return _read().sub(lambda m: f"{m[1]} {name_of(m[2]) if m[2] in there else m[2]}", sql)


def written(name: str, there: Collection[str], time_zone: str) -> str:
    """Return a view's SQL in the time zone, with an empty CTE for each table that it reads and that does not exist."""
    sql = text(name).rstrip().replace("at time zone 'UTC'", f"at time zone '{time_zone}'")
    lacking = sorted({table for _, table in _read().findall(sql)}.difference(there, VIEWS))
    if not lacking:
        return sql
    comments, start, query = re.split(r"^(?=with |select\b)(with )?", sql, maxsplit=1, flags=re.MULTILINE)
    ctes = ",\n\n".join(f"{table} as ({empty(table)})" for table in lacking)
    return f"{comments}with {ctes}{',' if start else ''}\n\n{query}"


def empty(table: str) -> str:
    """Return a query with a table's columns and types but no rows. JSON columns are left out: no view reads them."""
    # sqlglot translates DuckDB's varchar to text, which is another type in Postgres
    columns = {
        name: column.data_type.replace("varchar", "character varying")
        for name, column in relations()[table].columns.items()
    }
    typed = ", ".join(f"cast(null as {kind}) as {name}" for name, kind in columns.items() if kind != "json")
    return f"select {typed} from (select 1 as one) as nothing where one = 0"


@functools.cache
def _read() -> re.Pattern[str]:
    """Match what a query reads: `from` or `join` and one of our names."""
    return re.compile(rf"\b(from|join)\s+({'|'.join(relations())})\b")


def text(name: str) -> str:
    """Return a view's SQL as in its file."""
    return (resources.files(__name__) / f"{name}.sql").read_text(encoding="utf-8")
