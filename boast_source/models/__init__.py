"""The views: one `.sql` file each, in DuckDB's dialect with bare table names, as a person can paste it into a console.

They are created in the dataset, translated by sqlglot for the destination.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

from boast_source import warehouse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlt.destinations.sql_client import SqlClientBase

# The tables that a view cannot do without.
NEEDS = {"push_requests": ("push_ledger",)}


def create(client: SqlClientBase[Any], names: Sequence[str] = tuple(NEEDS)) -> list[str]:
    """Create or replace these views, where their tables are there; returns those created.

    Raises DestinationError when the destination refuses.
    """
    made = []
    with warehouse.explained(), warehouse.migrating(client):
        for name in names:
            if all(warehouse.columns_in(client, client.make_qualified_table_name(table)) for table in NEEDS[name]):
                client.execute_sql(statement(client, name))
                made.append(name)
    return made


def statement(client: SqlClientBase[Any], name: str) -> str:
    """The `create or replace view` of a view, in the destination's dialect."""
    dialect = client.capabilities.sqlglot_dialect
    query = sqlglot.parse_one(text(name), read="duckdb")
    within = {cte.alias for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        if table.name not in within:
            path = client.make_qualified_table_name_path(table.name, quote=False)
            table.replace(
                exp.to_table(".".join(f'"{part}"' for part in path), dialect="duckdb", alias=table.alias or None)
            )
    view = client.make_qualified_table_name(name)
    return f"create or replace view {view} as\n{query.sql(dialect=dialect, identify=False, pretty=True)}"


def text(name: str) -> str:
    """The SQL of a view as it is written."""
    return (resources.files(__name__) / f"{name}.sql").read_text(encoding="utf-8")
