"""The meanings of schema.yml as comments in the warehouse, where it keeps comments (DuckDB, Postgres)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from boast_source.errors import DestinationError
from boast_source.models.schema import relations
from boast_source.warehouse import explained

if TYPE_CHECKING:
    from boast_source.warehouse import SqlClient

log = logging.getLogger("boast_source")

# (table, column or null, comment) of a dataset, whose name is given three times
CATALOG = {
    "duckdb": "select table_name, null, comment from duckdb_tables()"
    " where schema_name = %s and database_name = current_database()"
    " union all select view_name, null, comment from duckdb_views()"
    " where schema_name = %s and database_name = current_database()"
    " union all select table_name, column_name, comment from duckdb_columns()"
    " where schema_name = %s and database_name = current_database()",
    "postgres": "select c.relname, null, obj_description(c.oid, 'pg_class') from pg_class c"
    " join pg_namespace n on n.oid = c.relnamespace where n.nspname = %s and c.relkind in ('r', 'v')"
    " union all select c.relname, a.attname, col_description(c.oid, a.attnum) from pg_attribute a"
    " join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace"
    " where n.nspname = %s and n.nspname = %s and c.relkind in ('r', 'v') and a.attnum > 0 and not a.attisdropped",
}


def comment(client: SqlClient) -> None:
    """Give tables, views and columns their comments, where these differ; a destination that refuses stays without."""
    catalog = CATALOG.get(str(client.capabilities.sqlglot_dialect))
    if catalog is None:
        return
    try:
        with explained():
            found = client.execute_sql(catalog, *[client.dataset_name] * 3) or ()
            statements = [
                statement for table, column, said in found if (statement := _statement(client, table, column, said))
            ]
            if statements:
                with client.begin_transaction():  # one commit: DuckDB forgets a view's comments when it is replaced
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
