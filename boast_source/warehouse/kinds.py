"""Which kind of warehouse a pipeline loads into: the one place that knows products by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boast_source import config
from boast_source.warehouse.base import Warehouse
from boast_source.warehouse.delta import Delta
from boast_source.warehouse.duckdb import DuckDB, DuckDBFile
from boast_source.warehouse.iceberg import Iceberg

if TYPE_CHECKING:
    import dlt

_KINDS: dict[str, type[Warehouse]] = {
    "duckdb": DuckDBFile,
    "ducklake": DuckDB,
    "motherduck": DuckDB,
}
_LAKES: dict[str, type[Warehouse]] = {"delta": Delta, "iceberg": Iceberg}


def warehouse_of(pipeline: dlt.Pipeline) -> Warehouse:
    """Return the warehouse of a run of the pipeline, not yet opened."""
    kind = pipeline.destination.destination_type.removeprefix("dlt.destinations.") if pipeline.destination else ""
    if kind == "postgres":
        from boast_source.warehouse.postgres import Postgres  # needs the extra

        return Postgres(pipeline)
    if kind == "filesystem":
        return _LAKES[config.table_format()](pipeline)
    return _KINDS.get(kind, Warehouse)(pipeline)
