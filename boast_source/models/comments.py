"""Write the descriptions of schema.yml into the warehouse as comments (DuckDB, Postgres)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boast_source.errors import DestinationError
from boast_source.logs import log
from boast_source.models import catalog
from boast_source.models.schema import relations
from boast_source.warehouse import SqlClient, explained

if TYPE_CHECKING:
    from collections.abc import Collection


def comment(client: SqlClient, without: Collection[str] = ()) -> None:
    """Update the comments of tables, views and columns that differ. If the destination refuses, log that and go on.

    `without`: names taken by a table or view of the user's.
    """
    try:
        with explained():
            statements = [
                statement
                for table, column, said, _ in catalog.rows(client) or ()
                if table not in without and (statement := _statement(client, table, column, said))
            ]
            if statements:
                with client.begin_transaction():  # one commit: DuckDB loses a view's comments when it is replaced
                    client.execute_sql(";\n".join(statements))
    except DestinationError as error:
        log.info("tables and views have no comments: %s", error.message)


def _statement(client: SqlClient, table: str, column: str | None, said: str | None) -> str | None:
    relation = relations().get(table)
    if relation is None or (column and column not in relation.columns):
        return None
    wanted = relation.columns[column].description if column else relation.description
    if wanted == said:
        return None
    name = client.make_qualified_table_name(table)
    text = wanted.replace("'", "''")
    if column:
        return f"comment on column {name}.{client.escape_column_name(column)} is '{text}'"
    return f"comment on {'view' if relation.is_view else 'table'} {name} is '{text}'"
