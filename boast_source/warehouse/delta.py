"""Delta tables on a file system, through `deltalake`. Source: the extra `delta`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc
from dlt.common.configuration.specs.mixins import WithObjectStoreRsCredentials

from boast_source.shapes import HISTORY, SHAPES
from boast_source.warehouse.arrow import READ
from boast_source.warehouse.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import pyarrow as pa
    from deltalake import DeltaTable

KEPT_HOURS = 7 * 24  # for readers of older versions, as Delta's own default
MOST_FILES = 50  # per table, before they are joined


class Delta(Lake):
    """Delta tables."""

    table_format, title, library = "delta", "Delta", "deltalake"

    def count_present(self, table: str, account: str) -> int:
        """Return how many rows of an account are not marked missing."""
        found = self._table(table)
        if found is None:
            return 0
        mine = (pc.field("account_id") == account) & pc.field("missing_since").is_null()
        return int(found.to_pyarrow_dataset().count_rows(filter=mine))

    def _append(self, table: str, more: pa.Table) -> None:
        from deltalake import write_deltalake

        options = self._options()
        write_deltalake(self.location(table), more, mode="append", schema_mode="merge", storage_options=options)

    def tidy(self, before: datetime, *, kept_hours: int = KEPT_HOURS, most_files: int = MOST_FILES) -> None:
        """Delete the runs that began before a moment (except those that notified people), join small files, and remove
        files that no version of the last `kept_hours` needs.
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

    def _table(self, table: str) -> DeltaTable | None:
        from deltalake import DeltaTable

        address, options = self.location(table), self._options()
        if not DeltaTable.is_deltatable(address, storage_options=options):
            return None
        return DeltaTable(address, storage_options=options)

    def _schema(self, found: DeltaTable) -> pa.Schema:
        return found.to_pyarrow_dataset().schema

    def _reader(self, found: DeltaTable, columns: Sequence[str]) -> pa.RecordBatchReader:
        return found.to_pyarrow_dataset().scanner(columns=list(columns), batch_size=READ).to_reader()

    def _options(self) -> dict[str, str] | None:
        config = self.configured.config
        options: dict[str, str] = dict(config.deltalake_storage_options or {})
        if isinstance(config.credentials, WithObjectStoreRsCredentials):
            options = {**config.credentials.to_object_store_rs_credentials(), **options}
        return options or None
