"""Iceberg tables on a file system, through `pyiceberg`. Source: the extra `iceberg`, dlt's `iceberg_catalog.*`.

The catalog must be persistent. Without one dlt makes a catalog in memory for each load, and if two writers committed at
once, one would be lost.

pyiceberg 0.12 merges only data with the newest snapshot's columns, in their order: dlt's files are completed here.
"""

from __future__ import annotations

import contextlib
import functools
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random

from boast_source.errors import ConfigurationError, DestinationError
from boast_source.shapes import HISTORY, SHAPES
from boast_source.warehouse.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

KEPT = timedelta(days=7)  # for readers of older snapshots, as in Delta tables


def _is_race(error: BaseException) -> bool:
    """Whether another run may be creating the catalog's own tables in its database (a class of SQLAlchemy's errors)."""
    return type(error).__name__ == "OperationalError"


class Iceberg(Lake):
    """Iceberg tables, found through a catalog."""

    table_format, title, library = "iceberg", "Iceberg", "pyiceberg"

    def __init__(self, pipeline: dlt.Pipeline) -> None:
        super().__init__(pipeline)
        _completing(pipeline.destination)

    def check(self) -> None:
        """Like `Lake.check`, and refuse a catalog in memory."""
        super().check()
        if ":memory:" in self._catalog.properties.get("uri", ""):
            raise ConfigurationError(
                "Iceberg tables need a catalog that lasts: in one that is made for each load, one of two writers"
                " would lose its rows",
                hint="Set it as dlt documents it, iceberg_catalog.iceberg_catalog_config in .dlt/secrets.toml with"
                " type, uri and warehouse; docs/warehouses.md has an example.",
            )

    @functools.cached_property
    def _catalog(self) -> Catalog:
        from dlt.common.libs.pyiceberg import get_catalog

        again = Retrying(
            stop=stop_after_attempt(5), wait=wait_random(0.1, 1), retry=retry_if_exception(_is_race), reraise=True
        )
        try:
            return again(get_catalog, iceberg_catalog_name=dlt.config.value)
        except Exception as error:  # noqa: BLE001 -- each catalog has its own
            raise DestinationError(
                f"The Iceberg catalog cannot be opened ({type(error).__name__})",
                hint="Correct iceberg_catalog.iceberg_catalog_config; docs/warehouses.md has an example.",
            ) from None

    def count_present(self, table: str, account: str) -> int:
        """Return how many rows of an account are not marked missing."""
        from pyiceberg.expressions import And, EqualTo, IsNull

        found = self._table(table)
        if found is None:
            return 0
        return int(found.scan(And(EqualTo("account_id", account), IsNull("missing_since"))).count())

    def _append(self, table: str, more: pa.Table) -> None:
        from pyiceberg.exceptions import NamespaceAlreadyExistsError, TableAlreadyExistsError

        with contextlib.suppress(NamespaceAlreadyExistsError):
            self._catalog.create_namespace(self.dataset)
        with contextlib.suppress(TableAlreadyExistsError):
            self._catalog.create_table((self.dataset, table), schema=more.schema, location=self.location(table))
        found = self._catalog.load_table((self.dataset, table))
        with found.update_schema() as update:
            update.union_by_name(more.schema)
        found.append(more)

    def tidy(self, before: datetime, *, kept: timedelta = KEPT) -> None:
        """Delete the runs that began before a moment (except those that notified people), the snapshots older than
        `kept`, and the data files that no other snapshot needs.
        """
        from pyiceberg.expressions import And, IsNull, LessThan

        for name in (*SHAPES, HISTORY, "runs", "listings"):
            table = self._table(name)
            if table is None:
                continue
            old = And(LessThan("started_at", before.isoformat()), IsNull("told"))
            if name == "runs" and table.scan(old).count():
                table.delete(old)
            oldest = datetime.now(timezone.utc) - kept
            table.maintenance.expire_snapshots().older_than(oldest).commit()
            self._remove_unneeded(table.refresh(), oldest)

    def _remove_unneeded(self, table: Table, oldest: datetime) -> None:
        """Remove unneeded files, which pyiceberg does not; newer ones may belong to a commit in progress."""
        needed = {path.rpartition("/")[2] for path in table.inspect.all_files()["file_path"].to_pylist()}
        files = self.configured.fs_client
        for path in files.find(f"{table.location()}/data"):
            modified = files.modified(path)
            if path.rpartition("/")[2] not in needed and modified.astimezone(timezone.utc) < oldest:
                files.rm_file(path)

    def _table(self, table: str) -> Table | None:
        from pyiceberg.exceptions import NoSuchTableError

        try:
            return self._catalog.load_table((self.dataset, table))
        except NoSuchTableError:
            return None

    def _schema(self, found: Table) -> pa.Schema:
        return found.schema().as_arrow()

    def _reader(self, found: Table, columns: Sequence[str]) -> pa.RecordBatchReader:
        return found.scan(selected_fields=tuple(columns)).to_arrow_batch_reader()


def _completing(destination: Any) -> None:
    """Let a destination's clients complete the rows that they merge into a table; a second call does nothing."""
    make = destination.client
    if hasattr(make, "completes"):
        return

    def client(*given: Any, **named: Any) -> Any:
        made = make(*given, **named)
        opened = made.load_open_table

        def load_open_table(*given: Any, **named: Any) -> Any:
            table = opened(*given, **named)
            table.upsert = functools.partial(_merge, table, table.upsert)
            return table

        made.load_open_table = load_open_table
        return made

    client.completes = True  # type: ignore[attr-defined]
    destination.client = client


def _merge(table: Table, upsert: Any, df: pa.Table, join_cols: list[str], **how: Any) -> Any:
    """Merge rows that may lack columns of the table; those columns keep their values."""
    from pyiceberg.expressions import In

    schema = table.schema().as_arrow()
    snapshot = table.current_snapshot()
    if snapshot and snapshot.schema_id != table.schema().schema_id:
        table.append(schema.empty_table())  # a snapshot with all columns
    (key,) = join_cols
    lacking = [field for field in schema if field.name not in df.column_names]
    if lacking:
        names = (key, *(field.name for field in lacking))
        stored = table.scan(In(key, df[key].to_pylist()), selected_fields=names).to_arrow().to_pylist()
        known = {row[key]: row for row in stored}
        rows = [known.get(one, {}) for one in df[key].to_pylist()]
        for field in lacking:
            df = df.append_column(field, pa.array([row.get(field.name) for row in rows], field.type))
    return upsert(df=df.select(schema.names), join_cols=join_cols, **how)
