"""Recreates tables and columns that dlt believes to exist but that somebody dropped by hand. Also adopts the type of an
undocumented field's column if a parallel run created it with another one.

dlt migrates only when the schema's hash is not stored yet; a table dropped since then would fail every load for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from boast_source.errors import DestinationError

if TYPE_CHECKING:
    import dlt

    from boast_source.warehouse.connection import Connected

FIELD = "x-boast-field"  # a column's hint: the undocumented field that fills it


def make_again(warehouse: Connected) -> list[str]:
    """Create the tables and columns that the schema has and the destination lacks; return their names.

    They are empty until the following load fills them with what is visible. Raises what dlt raises, and
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
            _take_types(client, schema, table, columns)
        if lacking:
            versions = client.sql_client.make_qualified_table_name(schema.version_table_name)
            column = client.sql_client.escape_column_name(schema.naming.normalize_identifier("version_hash"))
            client.sql_client.execute_sql(f"delete from {versions} where {column} = %s", schema.stored_version_hash)
    if lacking:
        pipeline.sync_schema()
    return lacking


def _take_types(client: Any, schema: dlt.Schema, table: str, columns: dict[str, Any]) -> None:
    """Give undocumented fields the types of their columns if another run made these first; else every load fails.

    Only Postgres has parallel runs and tells JSON from text.
    """
    if client.capabilities.sqlglot_dialect != "postgres":
        return
    own = schema.tables[table]["columns"]
    others = [
        name
        for name, column in columns.items()
        if FIELD in own.get(name, {}) and own[name]["data_type"] != column["data_type"]
    ]
    for name in others:
        own[name]["data_type"] = columns[name]["data_type"]
    if others:
        with client.sql_client.with_staging_dataset():  # recreated with the schema's new version
            staged = client.sql_client.make_qualified_table_name(table)
            client.sql_client.execute_sql(f"drop table if exists {staged}")
