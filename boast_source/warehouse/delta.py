"""Delta tables on a file system, as the connector reads and appends to them.

dlt merges into Delta tables with `upsert` and `insert-only`; its SQL client for them needs an extension that DuckDB
downloads at run time, so tables are read through `deltalake` itself. Plain Parquet files cannot merge: a change would
be one more row.

Source: dlt's filesystem destination with `table_format="delta"`, and the extra `delta`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.specs.mixins import WithObjectStoreRsCredentials
from dlt.pipeline.exceptions import PipelineConfigMissing

from boast_source.errors import ConfigurationError
from boast_source.shapes import HISTORY, SHAPES
from boast_source.warehouse.arrow import READ, quote, streamed
from boast_source.warehouse.base import Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from deltalake import DeltaTable

    from boast_source.warehouse.connection import SqlClient

FORMAT = "delta"
KEPT_HOURS = 7 * 24  # for readers of older versions, as Delta's own default
MOST_FILES = 50  # of a table, before they are joined


class Lake(Warehouse):
    """Delta tables on a file system."""

    has_sql = False
    how_to_configure = (
        "Set destination.filesystem.bucket_url in .dlt/config.toml or DESTINATION__FILESYSTEM__BUCKET_URL, for"
        " example file:///data/lake or s3://bucket/lake."
    )

    def check(self) -> None:
        """Refuse to load where the tables cannot be Delta tables."""
        try:
            import deltalake  # noqa: F401 -- is it installed?
        except ImportError:
            raise ConfigurationError(
                "Plain files cannot merge: every change would be one more row. On a filesystem the tables are Delta"
                " tables",
                hint='Install what they need, in the repository: pip install ".[delta]"; or choose a SQL destination.',
            ) from None

    @contextlib.contextmanager
    def session(self) -> Iterator[SqlClient | None]:
        """None: tables are read through `deltalake`."""
        yield None

    def read(
        self, table: str, columns: Sequence[str], *, newest_by: tuple[str, str] | None = None, **_: Any
    ) -> Iterator[pa.Table]:
        """As elsewhere."""
        found = self._table(table)
        if found is None:
            return
        rows = found.to_pyarrow_dataset()
        names = [column for column in columns if column in rows.schema.names]
        if not names:
            return
        if newest_by is None:
            for batch in rows.to_batches(columns=names, batch_size=READ):
                yield pa.Table.from_batches([batch])
            return
        key, order = (quote(column) for column in newest_by)
        with duckdb.connect() as connection:
            connection.register("lake", rows)
            listed = ", ".join(quote(name) for name in names)
            sql = f"select {listed} from lake qualify row_number() over (partition by {key} order by {order} desc) = 1"
            for batch in streamed(connection, sql, READ):
                yield pa.Table.from_batches([batch])

    def count_present(self, table: str, account: str) -> int:
        """How many rows of an account the table holds that are not marked missing."""
        found = self._table(table)
        if found is None:
            return 0
        mine = (pc.field("account_id") == account) & pc.field("missing_since").is_null()
        return int(found.to_pyarrow_dataset().count_rows(filter=mine))

    def put(
        self,
        table: str,
        types: Mapping[str, str],
        key: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        """Append the rows to the table, which only grows; times are ISO 8601 text."""
        from deltalake import write_deltalake

        kinds = [(column, pa.int64() if kind == "bigint" else pa.string()) for column, kind in types.items()]
        address, options = self._address(table)
        appended = pa.Table.from_pylist(list(rows), schema=pa.schema(kinds))
        write_deltalake(address, appended, mode="append", schema_mode="merge", storage_options=options)

    def may_replace(self, table: str) -> bool:
        """Whole rows are never replaced: dlt merges into Delta tables by key alone."""
        return False

    def merging(self, preferred: str, *, replaced: int = 0) -> dict[str, Any]:
        """Return dlt's hints to merge by key into Delta tables, which know both strategies."""
        return {"table_format": FORMAT, "write_disposition": {"disposition": "merge", "strategy": preferred}}

    def make_again(self) -> list[str]:
        """Nothing: a Delta table that is not there is made by the next load."""
        return []

    def tidy(self, before: datetime, *, kept_hours: int = KEPT_HOURS, most_files: int = MOST_FILES) -> None:
        """Forget the runs that began before a moment (those apart that told people something), join small files, and
        remove files that no version of the last `kept_hours` needs.
        """
        for name in (*SHAPES, HISTORY, "runs", "listings"):
            table = self._table(name)
            if table is None:
                continue
            if name == "runs":
                table.delete(f"started_at < '{before.isoformat()}' and told is null")
            if len(table.file_uris()) > most_files:
                table.optimize.compact()
            table.vacuum(kept_hours, dry_run=False, enforce_retention_duration=False)

    def _stored_columns(self, table: str) -> dict[str, Any]:
        """The table's columns with their types in dlt's words (JSON is text here); nothing when there is no table."""
        found = self._table(table)
        if found is None:
            return {}
        return {field.name: {"data_type": _data_type(field.type)} for field in found.to_pyarrow_dataset().schema}

    def _table(self, table: str) -> DeltaTable | None:
        from deltalake import DeltaTable

        address, options = self._address(table)
        if not DeltaTable.is_deltatable(address, storage_options=options):
            return None
        return DeltaTable(address, storage_options=options)

    def _address(self, table: str) -> tuple[str, dict[str, str] | None]:
        try:
            client = self.dlts
        except (ConfigurationException, PipelineConfigMissing) as error:
            raise self.unconfigured(error) from None
        config = client.config
        options: dict[str, str] = dict(config.deltalake_storage_options or {})
        if isinstance(config.credentials, WithObjectStoreRsCredentials):
            options = {**config.credentials.to_object_store_rs_credentials(), **options}
        return client.get_open_table_location(FORMAT, table), options or None


def _data_type(kind: pa.DataType) -> str | None:
    """In dlt's words; None for what we never write."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    return {pa.int64(): "bigint", pa.float64(): "double", pa.bool_(): "bool"}.get(kind)
