"""What somebody dropped in the destination by hand: tables and columns that dlt believes to be there are made again.
And what another run made of an undocumented field at the same time as this pipeline, of another type.

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
            _take_types(client, schema, table, columns)
        if lacking:
            versions = client.sql_client.make_qualified_table_name(schema.version_table_name)
            column = client.sql_client.escape_column_name(schema.naming.normalize_identifier("version_hash"))
            client.sql_client.execute_sql(f"delete from {versions} where {column} = %s", schema.stored_version_hash)
    if lacking:
        pipeline.sync_schema()
    return lacking


def _take_types(client: Any, schema: dlt.Schema, table: str, columns: dict[str, Any]) -> None:
    """Give undocumented fields the types of their columns, where another run made these first; it failed every load.

    Only Postgres has runs side by side and tells JSON from text.
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
        with client.sql_client.with_staging_dataset():  # made anew with the schema's new version
            staged = client.sql_client.make_qualified_table_name(table)
            client.sql_client.execute_sql(f"drop table if exists {staged}")
