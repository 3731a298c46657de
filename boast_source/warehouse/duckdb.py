"""DuckDB as the connector loads it: dlt's destination, merging straight from the Parquet files of the load package.

dlt itself writes every row twice, into a staging table and from there into its own; most of the time goes into
compressing them. Here a file is merged by key in one transaction, so repeating it after a crash changes nothing.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import os
import threading
import weakref
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb as driver
import pyarrow as pa
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.destination.client import FollowupJobRequest, HasFollowupJobs, LoadJob, RunnableLoadJob
from dlt.common.destination.configuration import ParquetFormatConfiguration
from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.destinations.impl.duckdb.factory import duckdb as dlt_duckdb
from pyarrow import parquet as pq

from boast_source.driver_text import stripped
from boast_source.errors import ConfigurationError, DestinationError
from boast_source.shapes import HISTORY, SHAPES
from boast_source.warehouse import memory, sharing
from boast_source.warehouse.arrow import READ, literal, quote, streamed
from boast_source.warehouse.base import Warehouse
from boast_source.warehouse.capabilities import Remembering
from boast_source.warehouse.connection import SqlClient, interruptible
from boast_source.warehouse.errors import is_lock

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    import dlt
    from dlt.common.destination import DestinationCapabilitiesContext
    from dlt.common.destination.typing import PreparedTableSchema


MANY = 50_000  # rows replaced in one run
_MEMORY = "select current_setting('memory_limit')"
_STRATEGIES = ("upsert", "insert-only", "delete-insert")

# files of one table are merged one after the other: concurrent transactions on the same rows fail
_turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


class duckdb(Remembering, dlt_duckdb):
    """The destination `duckdb`: the same settings, file and tables as dlt's own, without a staging dataset."""

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        caps = super()._raw_capabilities()
        if "compression" in ParquetFormatConfiguration.get_resolvable_fields():  # older versions of dlt have no choice
            caps.parquet_format = ParquetFormatConfiguration(compression="none")  # read once, on the same machine
        return caps

    @property
    def destination_type(self) -> str:
        """The type of dlt's own destination, so that dlt's tools find the pipeline."""
        return "dlt.destinations.duckdb"

    @property
    def client_class(self) -> type[DuckDbClient]:
        return _Client


class _Client(DuckDbClient):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stripped(self.sql_client)

    def should_load_data_to_staging_dataset(self, table_name: str) -> bool:
        straight = _is_merged_straight(self.prepare_load_table(table_name))
        return not straight and super().should_load_data_to_staging_dataset(table_name)

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        if _is_merged_straight(table) and file_path.endswith(".parquet"):
            return _MergeJob(file_path)
        return super().create_load_job(table, file_path, load_id, restore)

    def _create_merge_followup_jobs(self, table_chain: Sequence[PreparedTableSchema]) -> list[FollowupJobRequest]:
        return [] if _is_merged_straight(table_chain[0]) else super()._create_merge_followup_jobs(table_chain)


def _is_merged_straight(table: PreparedTableSchema) -> bool:
    """Whether it is one of our tables: they arrive as Parquet, each row once."""
    ours = table["name"] in {*SHAPES, HISTORY}
    return ours and table.get("write_disposition") == "merge" and table.get("x-merge-strategy") in _STRATEGIES


class _MergeJob(RunnableLoadJob, HasFollowupJobs):
    def run(self) -> None:
        client: Any = self._job_client.sql_client  # type: ignore[attr-defined]
        table = client.make_qualified_table_name(self.load_table_name)
        there = set(pq.read_schema(self._file_path).names)
        columns = {name: client.escape_column_name(name) for name in self._load_table["columns"]}
        (key,) = (columns[name] for name, hints in self._load_table["columns"].items() if hints.get("primary_key"))
        selected = ", ".join(q if name in there else f"null as {q}" for name, q in columns.items())
        rows = f"(select {selected} from read_parquet({literal(glob.escape(self._file_path))}))"
        names = ", ".join(columns.values())
        with _turns[table], client.begin_transaction():
            for statement in _statements(str(self._load_table["x-merge-strategy"]), table, rows, key, names):  # type: ignore[typeddict-item]
                client.execute_sql(statement)


def _statements(strategy: str, table: str, rows: str, key: str, names: str) -> list[str]:
    if strategy == "delete-insert":
        return [
            f"delete from {table} where {key} in (select {key} from {rows})",
            f"insert into {table} ({names}) select {names} from {rows}",
        ]
    matched = "" if strategy == "insert-only" else " when matched then update by name"
    return [f"merge into {table} using {rows} s using ({key}){matched} when not matched then insert by name"]


class DuckDB(Warehouse):
    """A database that DuckDB's client opens in this process: a file, DuckLake or MotherDuck."""

    reads_on_the_same_connection = True
    own_schemas = frozenset({"information_schema", "temp", "system"})
    _is_bounded = False

    def __init__(self, pipeline: dlt.Pipeline) -> None:
        super().__init__(pipeline)
        self._reading: weakref.WeakSet[Generator[pa.Table, None, None]] = weakref.WeakSet()

    def _rows(self, client: SqlClient, sql: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        rows = self._read(client, sql)
        self._reading.add(rows)
        return rows

    def _stop_reading(self) -> None:
        # an open result keeps the database open, and DuckDB would wait forever before it opens it again
        for rows in list(self._reading):
            with contextlib.suppress(ValueError):  # it runs in another thread
                rows.close()

    def _read(self, client: SqlClient, sql: str) -> Generator[pa.Table, None, None]:
        connection = client.native_connection
        ((catalog, schema),) = connection.execute("select current_database(), current_schema()").fetchall()
        with connection.cursor() as cursor:  # an open result occupies its connection, and a cursor inherits no `use`
            if not self.borrowed:
                cursor.execute(f"use {quote(catalog)}.{quote(schema)}")
            for batch in streamed(cursor, sql, READ):
                yield pa.Table.from_batches([batch])

    @contextlib.contextmanager
    def bounded(self, megabytes: int = memory.LEAST) -> Iterator[None]:
        """Bound DuckDB's memory, unless the user has; what does not fit spills into `<file>.tmp`."""
        with driver.connect() as fresh:
            (usual,) = fresh.execute(_MEMORY).fetchall()[0]
        if self.client.native_connection.execute(_MEMORY).fetchone() != (usual,):
            yield
            return
        self._allow(f"{megabytes}MB")
        self._is_bounded = True
        try:
            yield
        finally:
            self._is_bounded = False
            with contextlib.suppress(driver.Error):  # a failed connection has no bound to restore
                self._allow(usual)  # not `reset`: DuckDB 1.4 then reports the usual bound but keeps the other

    def limit_memory(self, megabytes: int) -> None:
        """Set another bound, inside `bounded`."""
        if self._is_bounded:
            self._allow(f"{megabytes}MB")

    def _allow(self, size: str) -> None:
        self.client.native_connection.execute(f"set memory_limit = '{size}'")


def _fault(file: Path) -> str | None:
    """Return why there can be no database at this path, if DuckDB would not say so itself."""
    try:
        return "is not a file" if file.exists() and not (file.is_file() or file.is_dir()) else None
    except OSError as error:
        return f"cannot be used: {error.strerror}"


class DuckDBFile(DuckDB):
    """A DuckDB file: it has one writer, which excludes all others."""

    @functools.cached_property
    def _database(self) -> str:
        try:
            return str(self.dlts.config.credentials.database)
        except ConfigurationException as error:
            raise self.unconfigured(error) from None

    @property
    def file(self) -> Path | None:
        """Return the file; None for a database in memory, and for MotherDuck under DuckDB's name."""
        return None if self._database.startswith((":", "md:")) else Path(self._database).absolute()

    @contextlib.contextmanager
    def _opened(self, *, only_reads: bool) -> Iterator[SqlClient | None]:
        self.borrowed = False
        with contextlib.ExitStack() as stack:
            try:
                client = stack.enter_context(self.session())
            except Exception as error:
                if not (only_reads and self.file and is_lock(error) and (run := sharing.reading(self.file))):
                    raise
                client = self._made()
                vars(client)["_conn"] = stack.enter_context(run)
                self.borrowed = True
            else:
                if client and self.file:
                    stack.enter_context(sharing.shared(client.native_connection, self.file))
            yield client

    def check(self) -> None:
        """Also refuse a MotherDuck address, which would become a file's name, with its token; a path that is not a
        file, like a pipe that DuckDB would wait for; and a dataset with the file's name, in any case: DuckDB names a
        catalog after the file, and reads `name.table` as schema or catalog.
        """
        super().check()
        if Path(self._database).name.startswith("md:"):
            raise ConfigurationError(
                "destination.duckdb.credentials is an address of MotherDuck",
                hint="Set sources.boast.destination to motherduck, and destination.motherduck.credentials to it.",
            )
        file = self.file
        if file and (fault := _fault(file)):
            raise ConfigurationError(f"{file} {fault}", hint="Move it away, or use another file.")
        if file and file.name.partition(".")[0].lower() == self.dataset.lower():
            raise ConfigurationError(
                f"The dataset cannot be called {self.dataset}: the DuckDB file {file.name} has that name already",
                hint="Choose another, for example --dataset boast_data, or another file.",
            )

    @contextlib.contextmanager
    def bounded(self, megabytes: int = memory.LEAST) -> Iterator[None]:
        """Also write what is in the log to the file within the bound: the end of the connection would do it without."""
        with super().bounded(megabytes):
            yield
            if self.file:
                # a reader may be in the way, or a stop
                with contextlib.suppress(driver.Error), interruptible(self.client):
                    self.client.native_connection.execute("checkpoint")

    def merging(self, preferred: str, *, replaced: int = 0) -> dict[str, Any]:
        """Like `Warehouse.merging`, but delete and insert many rows: an update keeps all that it replaces in memory."""
        if replaced > MANY:  # each id comes once
            return {"write_disposition": {"disposition": "merge", "strategy": "delete-insert", "deduplicated": True}}
        return super().merging(preferred)

    def lock_sender(self, *, single_sender: bool) -> None:
        """Do nothing for a file; MotherDuck has many writers."""
        if self._database.startswith("md:"):
            super().lock_sender(single_sender=single_sender)

    def ask_rights(self, tables: Sequence[str]) -> None:
        """Raise DestinationError when the file, or its folder, cannot be written."""
        for path in (self.file, self.file.parent) if self.file else ():
            if path.exists() and not os.access(path, os.W_OK):
                raise DestinationError(f"{path} cannot be written", hint="Change its permissions, or use another file.")
