"""The views: one `.sql` file each, in DuckDB's dialect with bare table names, as a person can paste it into a console.

They are created in the dataset, translated by sqlglot for the destination. A table that is not there counts as empty.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from boast_source import warehouse
from boast_source.errors import DestinationError
from boast_source.models.comments import comment

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence

    from dlt.destinations.sql_client import SqlClientBase

# The tables that a view cannot do without (of those of EMPTY, an empty one does); a view stands below those it reads.
NEEDS = {
    "enrollment_history": ("sequence_enrollments_history",),
    "enrollment_daily": ("sequence_enrollments_history",),
    "enrollment_milestones": ("sequence_enrollments", "sequence_enrollments_history"),
    "enrollment_cohorts": ("sequence_enrollments", "sequence_enrollments_history"),
    "sequence_performance": ("sequence_enrollments", "sequence_enrollments_history"),
    "push_requests": ("push_ledger",),
    "pipeline_health": ("runs", "sequence_enrollments"),
}
EMPTY = {
    "sequences": "select cast(null as varchar) as id, cast(null as varchar) as name where 1 = 0",
    "responses": "select cast(null as varchar) as id, cast(null as timestamptz) as created where 1 = 0",
    "push_ledger": "select cast(null as varchar) as request_key, cast(null as varchar) as state,"
    " cast(null as bigint) as event where 1 = 0",
}

_translated: dict[Hashable, str] = {}  # a night makes the views twice, and sqlglot takes a quarter of a second


def create(client: SqlClientBase[Any], names: Sequence[str] = tuple(NEEDS), *, time_zone: str) -> list[str]:
    """Create or replace these views, where their tables are there, and say what everything is; returns those created.

    `time_zone`: an IANA name, for the days of `enrollment_daily`.

    Raises DestinationError when the destination refuses one, after the others are made.
    """
    made: list[str] = []
    refused: list[DestinationError] = []
    if client.capabilities.sqlglot_dialect == "sqlite":
        return made  # dlt attaches a file per dataset there, and a view cannot name a table of an attached file
    with warehouse.migrating(client):
        wanted = {*(table for name in names for table in NEEDS[name]), *EMPTY}
        there = {t for t in wanted if warehouse.columns_in(client, client.make_qualified_table_name(t))}
        for name in names:
            if not there.issuperset(NEEDS[name]):
                continue
            try:
                with warehouse.explained():
                    client.execute_sql(statement(client, name, there, time_zone))
                made.append(name)
            except DestinationError as error:
                refused.append(error)
        comment(client)
    if refused:
        raise refused[0]
    return made


def statement(client: SqlClientBase[Any], name: str, there: Collection[str], time_zone: str) -> str:
    """The `create or replace view` of a view, in the destination's dialect. `there`: the tables that exist."""
    view = client.make_qualified_table_name(name)
    key = (view, client.capabilities.sqlglot_dialect, frozenset(there), time_zone)
    if key not in _translated:
        _translated[key] = translated(client, parsed(name, there, time_zone))
    return f"create or replace view {view} as\n{_translated[key]}"


def ask(client: SqlClientBase[Any], sql: str) -> list[dict[str, Any]]:
    """The rows of a query in DuckDB's dialect over tables and views of the dataset, by their bare names."""
    query = sqlglot.parse_one(sql, read="duckdb")
    with client.execute_query(translated(client, query)) as cursor:
        names = [str(name).lower() for name in cursor.columns_schema]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def translated(client: SqlClientBase[Any], query: Any) -> str:
    """A parsed query in the destination's dialect, with the names of the dataset."""
    within = {cte.alias for cte in query.find_all(exp.CTE)}
    for table in list(query.find_all(exp.Table)):
        if table.name not in within:
            path = client.make_qualified_table_name_path(table.name, quote=False)
            parts = [exp.to_identifier(part, quoted=True) for part in path]
            names = dict(zip(("this", "db", "catalog"), reversed(parts), strict=False))
            table.replace(exp.Table(**names, alias=table.args.get("alias")))
    return in_dialect(query, client.capabilities.sqlglot_dialect)


def parsed(name: str, there: Collection[str], time_zone: str) -> Any:
    """A view as it is written, with empty tables in place of those that are not there."""
    query = sqlglot.parse_one(text(name), read="duckdb")
    for table in list(query.find_all(exp.Table)):
        if table.name in EMPTY and table.name not in there:
            nothing = sqlglot.parse_one(EMPTY[table.name], read="duckdb")
            assert isinstance(nothing, exp.Select)
            table.replace(nothing.subquery(table.alias or table.name))
    for zone in query.find_all(exp.AtTimeZone):
        zone.set("zone", exp.Literal.string(time_zone))
    return query


def in_dialect(query: Any, dialect: str | None) -> str:
    """A query in the destination's dialect; what is ordered by is never null, so each orders nulls as it likes."""
    small = Dialect.get_or_raise(dialect).NULL_ORDERING == "nulls_are_small"
    for ordered in query.find_all(exp.Ordered):
        ordered.set("nulls_first", bool(ordered.args.get("desc")) != small)
    return str(query.sql(dialect=dialect, pretty=True, comments=False))


def text(name: str) -> str:
    """The SQL of a view as it is written."""
    return (resources.files(__name__) / f"{name}.sql").read_text(encoding="utf-8")
