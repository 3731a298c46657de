"""What somebody dropped in the destination by hand: tables and columns that dlt believes to be there are made again,
and rows that no listing brings back come from the history.

dlt migrates only when the schema's hash is not stored yet; a table dropped since then would fail every load for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from boast_source.errors import DestinationError
from boast_source.warehouse.connection import columns_in
from boast_source.warehouse.dialect import text_literal

if TYPE_CHECKING:
    from collections.abc import Collection

    from boast_source.warehouse.connection import Connected, SqlClient


def make_again(warehouse: Connected) -> list[str]:
    """Make the tables and columns that the schema has and the destination lacks; returns their names.

    They come empty: the load that follows fills them with what is visible. Raises what dlt raises, and
    DestinationError for a column that no load can fill.
    """
    pipeline = warehouse.pipeline
    if not pipeline.schemas:
        pipeline.sync_destination()  # a fresh working folder: the schema comes from the destination
    if not pipeline.schemas:
        return []
    schema = pipeline.default_schema
    with warehouse.asking() as client:
        if not hasattr(client, "get_storage_tables") or not client.is_storage_initialized():
            return []
        _, has_versions = client.get_storage_table(schema.version_table_name)
        if not has_versions or client.get_stored_schema_by_hash(schema.stored_version_hash) is None:
            return []  # dlt migrates by itself
        sensitive = client.capabilities.generates_case_sensitive_identifiers()
        lacking: list[str] = []
        for table, columns in client.get_storage_tables(schema.data_table_names(seen_data_only=True)):
            new = schema.get_new_table_columns(table, columns, case_sensitive=sensitive)
            if columns and (key := next((column["name"] for column in new if not column.get("nullable", True)), None)):
                name = client.sql_client.make_qualified_table_name(table)
                raise DestinationError(
                    f"The table {name} has no column {key} any more, by which its rows are told apart",
                    hint="Rename it back, or restore the table from a backup.",
                )
            lacking += [f"{table}.{column['name']}" for column in new] if columns else [table]
        if lacking:
            versions = client.sql_client.make_qualified_table_name(schema.version_table_name)
            column = client.sql_client.escape_column_name(schema.naming.normalize_identifier("version_hash"))
            client.sql_client.execute_sql(f"delete from {versions} where {column} = %s", schema.stored_version_hash)
    if lacking:
        pipeline.sync_schema()
    return lacking


def bring_back(client: SqlClient, table: str, history: str, accounts: Collection[str] | None) -> int:
    """Insert the rows that are missing in the API, and that the history has and the table has not; returns how many.

    `accounts`: whose rows, None: of all. Raises what the destination raises.
    """
    into, source = (client.make_qualified_table_name(name) for name in (table, history))
    kept = {column.lower() for column in columns_in(client, source)}
    shared = [column for column in columns_in(client, into) if column.lower() in kept]
    if not {"id", "account_id", "missing_since", "version"} <= kept or "id" not in shared:
        return 0
    dialect = client.capabilities.sqlglot_dialect
    listed = ", ".join(text_literal(account, dialect) for account in accounts or ())
    lost = f"left join {into} as t on t.id = h.id where t.id is null and h.missing_since is not null"
    lost += f" and h.account_id in ({listed})" if listed else ""
    if not client.execute_sql(f"select h.id from {source} as h {lost} limit 1"):
        return 0
    newest = f"select *, row_number() over (partition by id order by version desc) as place from {source}"
    lost = f"from ({newest}) as h {lost} and h.place = 1"
    names = [client.escape_column_name(column) for column in shared]
    counted = client.execute_sql(f"select count(*) {lost}") or [(0,)]
    client.execute_sql(f"insert into {into} ({', '.join(names)}) select {', '.join(f'h.{n}' for n in names)} {lost}")
    return int(counted[0][0])
