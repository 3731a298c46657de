"""Tables of an open format on a file system, as the connector reads and appends to them: Delta (delta.py), Iceberg
(iceberg.py).

dlt merges into both with `upsert` and `insert-only`; its SQL client for them needs an extension that DuckDB
downloads at run time, so tables are read through the format's own library. Plain Parquet files cannot merge: a change
would be one more row.

Source: dlt's filesystem destination and its `table_format`.
"""

from __future__ import annotations

import contextlib
import importlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.pipeline.exceptions import PipelineConfigMissing

from boast_source.errors import ConfigurationError
from boast_source.install import INSTALL_ALL
from boast_source.warehouse.arrow import READ, quote, streamed
from boast_source.warehouse.base import Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from boast_source.warehouse.connection import SqlClient

_FOLDERS = {"delta": "_delta_log", "iceberg": "metadata"}  # by format, the folder that each of its tables has


class Lake(Warehouse, ABC):
    """Tables of one format. A subclass says how its library finds, reads and writes one."""

    table_format: str
    title: str  # of its tables
    library: str

    has_sql = False
    how_to_configure = (
        "Set destination.filesystem.bucket_url in .dlt/config.toml or DESTINATION__FILESYSTEM__BUCKET_URL, for"
        " example file:///data/lake or s3://bucket/lake."
    )

    def check(self) -> None:
        """Refuse to load if the tables cannot be of this format, or are of the other one."""
        try:
            importlib.import_module(self.library)
        except ImportError:
            raise ConfigurationError(
                "Plain files cannot merge: every change would be one more row. On a filesystem the tables are"
                f" {self.title} tables, which need the package {self.library}",
                hint=INSTALL_ALL,
            ) from None
        for table in ("sequence_enrollments", "runs"):
            for other in _FOLDERS.keys() - {self.table_format}:
                if self.configured.fs_client.exists(f"{self.location(table)}/{_FOLDERS[other]}"):
                    raise ConfigurationError(
                        f"The dataset {self.dataset} holds {other.capitalize()} tables, and the setting asks for"
                        f" {self.title}",
                        hint=f"Set sources.boast.table_format = {other!r}, or load into another dataset.",
                    )

    @property
    def configured(self) -> Any:
        """Dlt's client of the file system. Raises ConfigurationError if its settings are missing."""
        try:
            return self.dlts
        except (ConfigurationException, PipelineConfigMissing) as error:
            raise self.unconfigured(error) from None

    def location(self, table: str) -> str:
        """Return the address of a table's folder."""
        return str(self.configured.get_open_table_location(self.table_format, table)).rstrip("/")

    @contextlib.contextmanager
    def session(self) -> Iterator[SqlClient | None]:
        """Yield None: tables are read through the format's library."""
        yield None

    def read(
        self, table: str, columns: Sequence[str], *, newest_by: tuple[str, str] | None = None, **_: Any
    ) -> Iterator[pa.Table]:
        """Yield the table's rows, like `Warehouse.read`."""
        found = self._table(table)
        names = [column for column in columns if column in self._schema(found).names] if found else []
        if not names:
            return
        rows = self._reader(found, list(dict.fromkeys((*names, *(newest_by or ())))))
        if newest_by is None:
            yield from (pa.Table.from_batches([batch]) for batch in rows)
            return
        key, order = (quote(column) for column in newest_by)
        with duckdb.connect() as connection:
            connection.register("lake", rows)
            listed = ", ".join(quote(name) for name in names)
            sql = f"select {listed} from lake qualify row_number() over (partition by {key} order by {order} desc) = 1"
            for batch in streamed(connection, sql, READ):
                yield pa.Table.from_batches([batch])

    def put(self, table: str, types: Mapping[str, str], key: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Append the rows to the table, which only grows; times are ISO 8601 text."""
        kinds = [(column, pa.int64() if kind == "bigint" else pa.string()) for column, kind in types.items()]
        self._append(table, pa.Table.from_pylist([dict(row) for row in rows], schema=pa.schema(kinds)))

    def may_replace(self, table: str) -> bool:
        """Return False: dlt merges into these tables by key alone."""
        return False

    def merging(self, preferred: str, *, replaced: int = 0) -> dict[str, Any]:
        """Return dlt's hints to merge by key; both strategies work here."""
        return {"table_format": self.table_format, "write_disposition": {"disposition": "merge", "strategy": preferred}}

    def make_again(self) -> list[str]:
        """Do nothing: the next load creates missing tables."""
        return []

    def _stored_columns(self, table: str) -> dict[str, Any]:
        """Return the table's columns with their dlt types (JSON is text here); empty if there is no table."""
        found = self._table(table)
        return {field.name: {"data_type": _data_type(field.type)} for field in self._schema(found)} if found else {}

    @abstractmethod
    def _table(self, table: str) -> Any:
        """Return the library's object for the table; None if there is no table."""

    @abstractmethod
    def _append(self, table: str, more: pa.Table) -> None:
        """Append rows to a table, after creating it or the columns that it lacks."""

    @abstractmethod
    def _schema(self, found: Any) -> pa.Schema:
        """Return the columns of a table."""

    @abstractmethod
    def _reader(self, found: Any, columns: Sequence[str]) -> pa.RecordBatchReader:
        """Return the rows of a table."""


def _data_type(kind: pa.DataType) -> str | None:
    """Return dlt's name for a type; None for one that we never write."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    return {pa.int64(): "bigint", pa.float64(): "double", pa.bool_(): "bool"}.get(kind)
