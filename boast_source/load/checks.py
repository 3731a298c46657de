"""Checks on what a user did to a resource, made before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.storages.load_package import commit_load_package_state

from boast_source.errors import ConfigurationError
from boast_source.listing.columns import ACCOUNT, HISTORY_KEYS, MISSING
from boast_source.shapes import HISTORY, SEQUENCE_ENROLLMENTS, SHAPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from boast_source.warehouse import Warehouse

_LONGEST_SCHEMA = 64
_LISTED = "boast_lists"  # in the package's state: the tables extracted so far


def check(table: str, warehouse: Warehouse, package_state: Any, schema: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for a setup that would write rows twice or into another table.

    `schema`: the running resource's table schema.
    """
    pipeline, resource = warehouse.pipeline, dlt.current.resource()
    if not warehouse.has_sql:
        warehouse.check()
    if resource.name != table or resource.table_name != table:
        raise ConfigurationError(
            f"The resource {table} cannot be renamed, nor load into another table.",
            hint="The comparison, the history and the views go by its name: load into another dataset instead.",
        )
    _refuse_other_names(table, pipeline)
    name = pipeline.pipeline_name
    if pipeline.default_schema_name is None and not (name.isidentifier() and len(name) <= _LONGEST_SCHEMA):
        raise ConfigurationError(
            f"dlt makes no schema for a pipeline that is called {name!r}.",
            hint=f"Choose a name of letters, digits and underscores, of at most {_LONGEST_SCHEMA} characters.",
        )
    key = "version_key" if table == HISTORY else "id"
    columns = schema["columns"].items()
    keys = {name for name, hints in columns if hints.get("primary_key") or hints.get("merge_key")}
    if keys != {key}:
        raise ConfigurationError(
            f"The key of {table} is {key}, and not {', '.join(sorted(keys - {key})) or 'none'}.",
            hint="Leave primary_key and merge_key out: rows are compared by id, and merged by it.",
        )
    if schema.get("table_format") not in {None, warehouse.table_format}:
        raise ConfigurationError(
            f"The table format {schema['table_format']} is not that of this warehouse"
            f" ({warehouse.table_format or 'it has none'}).",
            hint="Leave table_format out; on a filesystem, sources.boast.table_format says delta or iceberg.",
        )
    if why := _unloadable(schema, warehouse):
        raise ConfigurationError(why, hint="Leave loader_file_format out.")
    if table in package_state.get(_LISTED, ()):
        raise ConfigurationError(
            f"Two boast_source() in one run extract {table}, which would write rows twice.",
            hint="Name all accounts in one boast_source(account_ids=[…]), or run the pipeline once for each source. Add"
            " a transformer to its source: source.resources.add(transformer).",
        )
    package_state.setdefault(_LISTED, []).append(table)
    commit_load_package_state()
    if _is_pending(pipeline):
        raise ConfigurationError(
            "An earlier extract() waits to be loaded, and its rows would be written twice.",
            hint="Call pipeline.normalize() and pipeline.load() first, or pipeline.drop_pending_packages().",
        )


def _refuse_other_names(table: str, pipeline: dlt.Pipeline) -> None:
    naming = dlt.current.source_schema().naming
    shape = SHAPES.get(table, SEQUENCE_ENROLLMENTS)
    names = [table, *shape.columns, ACCOUNT, MISSING, *HISTORY_KEYS]
    longest = pipeline.destination.capabilities().max_column_identifier_length
    other = next((name for name in names if naming.normalize_path(name) != name), None)
    if other or (longest and naming.max_length and naming.max_length < longest):
        way = f"renames {other}" if other else f"shortens names to {naming.max_length} characters"
        raise ConfigurationError(
            f"The naming convention of this pipeline {way}, under which the next run looks for what it has written.",
            hint="Use snake_case, or one that leaves our names as they are: duck_case, direct, sql_ci_v1, sql_cs_v1.",
        )


def _unloadable(schema: Mapping[str, Any], warehouse: Warehouse) -> str | None:
    pipeline, form = warehouse.pipeline, schema.get("file_format")
    capabilities = pipeline.destination.capabilities()
    if form not in {None, "preferred"} and _is_dlts_postgres(pipeline):
        possible: Any = list(capabilities.supported_loader_file_formats or ())
        select: Any = capabilities.loader_file_format_selector
        if select:
            _, possible = select("insert_values", possible, table_schema=schema)
        if form == "csv" or form not in possible:  # dlt writes CSV instead
            return "dlt's own postgres destination turns empty texts into nulls when it loads CSV files."
    if form == "model":
        return "A list is loaded as rows, and dlt writes no rows into model files."
    if form not in {None, "preferred", "parquet"} and warehouse.table_format:
        return "Delta and Iceberg tables are made of Parquet files."
    if form == "jsonl" and capabilities.sqlglot_dialect == "duckdb":
        return "DuckDB loads no JSONL file without rows, which is what a list gets where nothing changed."
    return None


def file_format(pipeline: dlt.Pipeline, schema: Mapping[str, Any]) -> dict[str, str]:
    """Return the hint that keeps dlt's own Postgres from choosing CSV files, which turn empty texts into nulls."""
    return {"file_format": "insert_values"} if schema.get("file_format") is None and _is_dlts_postgres(pipeline) else {}


def _is_dlts_postgres(pipeline: dlt.Pipeline) -> bool:
    destination = pipeline.destination
    own = type(destination).__module__.startswith("dlt.")
    return own and destination.destination_type == "dlt.destinations.postgres"


def _is_pending(pipeline: dlt.Pipeline) -> bool:
    """Whether a package with our rows is extracted or normalized but not loaded."""
    folder = Path(pipeline.working_dir)
    files = [file for place in ("normalize/extracted", "load/normalized") for file in folder.glob(f"{place}/*/*/*")]
    return not {*SHAPES, HISTORY}.isdisjoint(file.name.partition(".")[0] for file in files)
