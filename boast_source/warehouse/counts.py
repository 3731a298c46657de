"""How many rows a table holds, counted where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boast_source.warehouse import delta
from boast_source.warehouse.base import client_of, columns_in
from boast_source.warehouse.errors import explained

if TYPE_CHECKING:
    import dlt


def count_present(pipeline: dlt.Pipeline, table: str, account: str) -> int:
    """How many rows of an account the table holds that are not marked missing. Raises DestinationError."""
    if delta.is_lake(pipeline):
        return delta.count_present(pipeline, table, account)
    with explained(), client_of(pipeline) as client:
        name = client.make_qualified_table_name(table) if client else ""
        if client is None or not columns_in(client, name):
            return 0
        owner, missing = (client.escape_column_name(column) for column in ("account_id", "missing_since"))
        rows = client.execute_sql(f"select count(*) from {name} where {owner} = %s and {missing} is null", account)
        return int(rows[0][0]) if rows else 0
