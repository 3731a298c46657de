"""Delta tables on a file system, as the connector reads and appends to them.

dlt merges into Delta tables with `upsert` and `insert-only`; its SQL client for them needs an extension that DuckDB
downloads at run time, so tables are read through `deltalake` itself. Plain Parquet files cannot merge: a change would
be one more row.

Source: dlt's filesystem destination with `table_format="delta"`, and the extra `delta`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.specs.mixins import WithObjectStoreRsCredentials
from dlt.pipeline.exceptions import PipelineConfigMissing

from boast_source.shapes import HISTORY, SHAPES
from boast_source.warehouse.arrow import CHUNK, quote, reader_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import dlt
    from deltalake import DeltaTable

FORMAT = "delta"
KEPT_HOURS = 7 * 24  # for readers of older versions, as Delta's own default
MOST_FILES = 50  # of a table, before they are joined


def is_lake(pipeline: dlt.Pipeline) -> bool:
    """Whether the pipeline loads files."""
    return pipeline.destination is not None and pipeline.destination.destination_type.endswith(".filesystem")


def read(
    pipeline: dlt.Pipeline, table: str, columns: Sequence[str], *, newest_by: tuple[str, str] | None = None
) -> Iterator[pa.Table]:
    """As warehouse.read: the rows of those of `columns` that the table has; nothing when there is no such table."""
    found = _table(pipeline, table)
    if found is None:
        return
    rows = found.to_pyarrow_dataset()
    names = [column for column in columns if column in rows.schema.names]
    if not names:
        return
    if newest_by is None:
        for batch in rows.to_batches(columns=names, batch_size=CHUNK):
            yield pa.Table.from_batches([batch])
        return
    key, order = (quote(column) for column in newest_by)
    with duckdb.connect() as connection:
        connection.register("lake", rows)
        listed = ", ".join(quote(name) for name in names)
        sql = f"select {listed} from lake qualify row_number() over (partition by {key} order by {order} desc) = 1"
        for batch in reader_of(connection.sql(sql), CHUNK):
            yield pa.Table.from_batches([batch])


def count_present(pipeline: dlt.Pipeline, table: str, account: str) -> int:
    """How many rows of an account the table holds that are not marked missing."""
    found = _table(pipeline, table)
    if found is None:
        return 0
    mine = (pc.field("account_id") == account) & pc.field("missing_since").is_null()
    return int(found.to_pyarrow_dataset().count_rows(filter=mine))


def columns_in(pipeline: dlt.Pipeline, table: str) -> dict[str, Any]:
    """The table's columns with their types in dlt's words (JSON is text here); nothing when there is no table."""
    found = _table(pipeline, table)
    if found is None:
        return {}
    return {field.name: {"data_type": _data_type(field.type)} for field in found.to_pyarrow_dataset().schema}


def _data_type(kind: pa.DataType) -> str | None:
    """In dlt's words; None for what we never write."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    return {pa.int64(): "bigint", pa.float64(): "double", pa.bool_(): "bool"}.get(kind)


def append(pipeline: dlt.Pipeline, table: str, rows: pa.Table) -> None:
    """Add rows to a table of ours, made if it is not there."""
    from deltalake import write_deltalake

    address, options = _address(pipeline, table)
    write_deltalake(address, rows, mode="append", schema_mode="merge", storage_options=options)


def tidy(
    pipeline: dlt.Pipeline, before: datetime, *, kept_hours: int = KEPT_HOURS, most_files: int = MOST_FILES
) -> None:
    """Forget the runs that began before a moment (those apart that told people something), join small files, and
    remove files that no version of the last `kept_hours` needs.
    """
    for name in (*SHAPES, HISTORY, "runs", "listings"):
        table = _table(pipeline, name)
        if table is None:
            continue
        if name == "runs":
            table.delete(f"started_at < '{before.isoformat()}' and told is null")
        if len(table.file_uris()) > most_files:
            table.optimize.compact()
        table.vacuum(kept_hours, dry_run=False, enforce_retention_duration=False)


def _table(pipeline: dlt.Pipeline, table: str) -> DeltaTable | None:
    from deltalake import DeltaTable

    address, options = _address(pipeline, table)
    if not DeltaTable.is_deltatable(address, storage_options=options):
        return None
    return DeltaTable(address, storage_options=options)


def _address(pipeline: dlt.Pipeline, table: str) -> tuple[str, dict[str, str] | None]:
    from boast_source.warehouse.errors import unconfigured

    try:
        client: Any = pipeline.destination_client()
    except (ConfigurationException, PipelineConfigMissing) as error:
        raise unconfigured(pipeline, error) from None
    config = client.config
    options: dict[str, str] = dict(config.deltalake_storage_options or {})
    if isinstance(config.credentials, WithObjectStoreRsCredentials):
        options = {**config.credentials.to_object_store_rs_credentials(), **options}
    return client.get_open_table_location(FORMAT, table), options or None
