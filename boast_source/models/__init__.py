"""The views: one `.sql` file each, in DuckDB's dialect with bare table names, as a person can paste it into a console.

They are created in the dataset, translated where it is not DuckDB. A table that is not there counts as
empty.
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import TYPE_CHECKING, Any

from boast_source import warehouse
from boast_source.errors import DestinationError
from boast_source.models.comments import comment
from boast_source.models.schema import relations
from boast_source.warehouse.dialect import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from boast_source.warehouse import SqlClient

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


def create(
    client: SqlClient,
    names: Sequence[str] = tuple(NEEDS),
    *,
    time_zone: str,
    on_refused: Callable[[DestinationError], None] | None = None,
) -> list[str]:
    """Create or replace these views, where their tables are there, and say what everything is; returns those created.

    `time_zone`: an IANA name, for the days of `enrollment_daily`.

    Raises DestinationError when the destination refuses one, after the others are made, unless `on_refused` takes it.
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
    for reason in refused:
        if on_refused is None:
            raise reason
        on_refused(reason)
    return made


def drop(client: SqlClient) -> None:
    """Drop the views, where a view keeps its tables from being dropped; `create` makes them again.

    Raises DestinationError when the destination refuses, as Postgres does when somebody's own view reads one of ours.
    """
    if client.capabilities.sqlglot_dialect in {"postgres", "redshift"}:
        with warehouse.explained():
            for name in reversed(NEEDS):
                client.execute_sql(f"drop view if exists {client.make_qualified_table_name(name)}")


def statement(client: SqlClient, name: str, there: Collection[str], time_zone: str) -> str:
    """The `create or replace view` of a view, in the destination's dialect. `there`: the tables that exist."""
    view = client.make_qualified_table_name(name)
    return f"create or replace view {view} as\n{_for(client, written(name, there, time_zone), there)}"


def ask(client: SqlClient, sql: str) -> list[dict[str, Any]]:
    """The rows of a query in DuckDB's dialect over tables and views of the dataset, by their bare names."""
    with client.execute_query(_for(client, sql, relations())) as cursor:
        names = [str(name).lower() for name in cursor.columns_schema]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _for(client: SqlClient, sql: str, there: Collection[str]) -> str:
    """A query in the destination's dialect, with the names of the dataset."""

    def qualified(table: str) -> str:
        path = client.make_qualified_table_name_path(table, quote=False)
        return ".".join('"' + part.replace('"', '""') + '"' for part in path)

    return translated(renamed(sql, there, qualified), client.capabilities.sqlglot_dialect)


def renamed(sql: str, there: Collection[str], name_of: Callable[[str], str]) -> str:
    """A query whose tables, those that are there, have other names; a CTE is never called like one of them."""
    return _read().sub(lambda m: f"{m[1]} {name_of(m[2]) if m[2] in there else m[2]}", sql)


def written(name: str, there: Collection[str], time_zone: str) -> str:
    """A view as it is written, with an empty table as CTE for each that it may read and that is not there."""
    sql = text(name).rstrip().replace("at time zone 'UTC'", f"at time zone '{time_zone}'")
    lacking = sorted({table for _, table in _read().findall(sql) if table in EMPTY} - set(there))
    empty = "".join(f"{table} as ({EMPTY[table]}),\n\n" for table in lacking)
    return re.sub(r"^with ", f"with {empty}", sql, count=1, flags=re.MULTILINE) if empty else sql


@functools.cache
def _read() -> re.Pattern[str]:
    """What a query reads: `from` or `join` and a name of ours."""
    return re.compile(rf"\b(from|join)\s+({'|'.join(relations())})\b")


def text(name: str) -> str:
    """The SQL of a view as it is written."""
    return (resources.files(__name__) / f"{name}.sql").read_text(encoding="utf-8")
