"""Postgres as the connector loads and reads it: dlt's destination with COPY both ways, safe for runs side by side.

Rows arrive by COPY straight from the Parquet files of the load package (dlt's own ways: INSERT statements are slow,
its CSV job turns empty text into null). What runs into one dataset at the same time would break is serialized:
migrations by an advisory lock, merges into one table by a table lock, since two MERGEs do not see each other's rows.

Source: PostgreSQL documentation, COPY, Explicit Locking, Message Flow (COPY sends one message per row).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import queue
import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from dlt.common.destination.client import HasFollowupJobs, RunnableLoadJob
from dlt.destinations.impl.postgres.factory import postgres as dlt_postgres
from dlt.destinations.impl.postgres.postgres import PostgresClient
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from dlt.destinations.sql_jobs import SqlMergeFollowupJob

from boast_source.driver_text import stripped
from boast_source.errors import DestinationError
from boast_source.warehouse.capabilities import Remembering

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dlt.common.destination import DestinationCapabilitiesContext
    from dlt.common.destination.client import FollowupJobRequest, LoadJob
    from dlt.common.destination.typing import PreparedTableSchema
    from dlt.destinations.sql_client import SqlClientBase
    from typing_extensions import Self

ROWS = 20_000  # per batch written
BLOCK = 2**20  # bytes of CSV per batch read
ADVISORY = "boast-source"  # the name space of the advisory locks


class postgres(Remembering, dlt_postgres):
    """The destination `postgres`: the same settings, credentials and tables as dlt's own."""

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        caps = super()._raw_capabilities()
        caps.preferred_loader_file_format = "parquet"
        caps.supported_loader_file_formats = ["parquet", "insert_values", "model"]
        # dlt's own asks for ADBC before it takes Parquet
        caps.loader_file_format_selector = None  # type: ignore[assignment]
        return caps

    @property
    def destination_type(self) -> str:
        """As dlt knows it, so that its own tools find the pipeline."""
        return "dlt.destinations.postgres"

    @property
    def client_class(self) -> type[PostgresClient]:
        return _Client


class _SqlClient(Psycopg2SqlClient):
    """A connection that keeps its advisory locks whatever happens to it.

    dlt resets a connection after each error with DISCARD ALL, which frees them, and opens another where it broke.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.locks: list[str] = []  # the statements that took them

    def open_connection(self) -> Any:
        """Connect without a search path: every name is qualified, and poolers drop or refuse libpq's options."""
        driver: Any = self.dbapi
        self._conn = driver.connect(dsn=self.credentials.to_native_representation())
        self._reset_connection()
        for statement in self.locks:
            with self._conn.cursor() as cursor:
                cursor.execute(statement)
                if cursor.fetchone() == (False,):
                    self.close_connection()  # nobody goes on with it
                    raise DestinationError(
                        "The connection to Postgres broke, and another run has taken this one's place",
                        hint="Nothing to do: the other run is at work; the next one does what this one left.",
                    )
        return self._conn

    def _reset_connection(self) -> None:
        self._conn.rollback()
        self._conn.autocommit = True

    def __enter__(self) -> Self:
        self.locks.clear()
        super().__enter__()
        return self

    def advisory(self, function: str, key: int) -> bool:
        """Take a lock for as long as the client is open. False: it was tried, and another session holds it."""
        statement = f"select {function}({key})"
        ((answer,),) = self.execute_sql(statement) or ((None,),)
        taken = answer is not False
        if taken:
            self.locks.append(statement)
        return taken


class _Client(PostgresClient):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        made = self.sql_client
        self.sql_client = stripped(
            _SqlClient(made.dataset_name, made.staging_dataset_name, made.credentials, made.capabilities)
        )

    def initialize_storage(self, *args: Any, **kwargs: Any) -> None:
        with migrating(self.sql_client):
            super().initialize_storage(*args, **kwargs)

    def update_stored_schema(self, *args: Any, **kwargs: Any) -> Any:
        with migrating(self.sql_client):
            return super().update_stored_schema(*args, **kwargs)

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        if file_path.endswith(".parquet"):
            return _CopyJob(file_path)
        return super().create_load_job(table, file_path, load_id, restore)

    def _create_merge_followup_jobs(self, table_chain: Sequence[PreparedTableSchema]) -> list[FollowupJobRequest]:
        return [_LockedMerge.from_table_chain(table_chain, self.sql_client)]


class _LockedMerge(SqlMergeFollowupJob):
    @classmethod
    def generate_sql(cls, table_chain: Sequence[PreparedTableSchema], sql_client: SqlClientBase[Any]) -> list[str]:
        names = [sql_client.get_qualified_table_names(str(table["name"])) for table in table_chain]
        merge = super().generate_sql(table_chain, sql_client)
        emptied = [f"TRUNCATE TABLE {staging}" for _, staging in names]  # people's data does not lie about
        return [f"LOCK TABLE {names[0][0]} IN SHARE ROW EXCLUSIVE MODE", *merge, *emptied]


class _CopyJob(RunnableLoadJob, HasFollowupJobs):
    def run(self) -> None:
        client = self._job_client.sql_client  # type: ignore[attr-defined]
        file = pq.ParquetFile(self._file_path)
        names = ", ".join(client.escape_column_name(name) for name in file.schema_arrow.names)
        table = client.make_qualified_table_name(self.load_table_name)
        with client.begin_transaction(), client.native_connection.cursor() as cursor:
            cursor.copy_expert(
                f"COPY {table} ({names}) FROM STDIN WITH (FORMAT csv, ENCODING 'UTF8')", _CsvOf(file), size=2**16
            )


class _CsvOf(io.RawIOBase):
    """A Parquet file as CSV, one batch in memory: null is nothing, every text is quoted, also the empty one."""

    def __init__(self, file: pq.ParquetFile) -> None:
        self._batches = file.iter_batches(ROWS)
        self._options = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
        self._current = io.BytesIO()

    def read(self, size: int = -1) -> bytes:
        while not (data := self._current.read(size)):
            batch = next(self._batches, None)
            if batch is None:
                return b""
            sink = pa.BufferOutputStream()
            pa_csv.write_csv(batch, sink, self._options)
            self._current = io.BytesIO(sink.getvalue())
        return data


def copied(client: SqlClientBase[Any], sql: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of a query as text, in batches: timestamps in UTC, doubles with all digits.

    A thread of its own receives while the caller works on the batch before.
    """
    blocks: queue.Queue[bytes | BaseException | None] = queue.Queue(2)
    closed = threading.Event()

    def hand_on(block: bytes | BaseException | None) -> None:
        waiting = True
        while waiting and not closed.is_set():
            with contextlib.suppress(queue.Full):
                blocks.put(block, timeout=0.1)
                waiting = False

    def receive() -> None:
        rows = _Rows(hand_on, closed)
        try:
            with client.begin_transaction(), client.native_connection.cursor() as cursor:
                cursor.execute(
                    "set local timezone = 'UTC'; set local datestyle = 'ISO'; set local extra_float_digits = 3"
                )
                cursor.copy_expert(f"copy ({sql}) to stdout with (format csv, encoding 'UTF8')", rows)
            rows.flush()
            hand_on(None)
        except BaseException as error:  # noqa: BLE001 -- raised where the rows are read
            hand_on(error)

    receiver = threading.Thread(target=receive, name="boast-copy", daemon=True)
    receiver.start()
    try:
        while (block := blocks.get()) is not None:
            if isinstance(block, BaseException):
                raise block
            yield _parsed(block, columns)
    finally:
        closed.set()
        if receiver.is_alive():
            with contextlib.suppress(Exception):  # a connection that is gone needs no cancelling
                client.native_connection.cancel()
        receiver.join()


class _Rows:
    """What psycopg2 writes a row at a time, collected into blocks that end where a row ends."""

    def __init__(self, hand_on: Any, closed: threading.Event) -> None:
        self._hand_on, self._closed = hand_on, closed
        self._rows: list[bytes] = []
        self._size = 0

    def write(self, row: bytes) -> int:
        if self._closed.is_set():
            raise BrokenPipeError
        self._rows.append(row)
        self._size += len(row)
        if self._size >= BLOCK:
            self.flush()
        return len(row)

    def flush(self) -> None:
        if self._rows:
            self._hand_on(b"".join(self._rows))
        self._rows, self._size = [], 0


def _parsed(block: bytes, columns: Sequence[str]) -> pa.Table:
    return pa_csv.read_csv(
        pa.py_buffer(block),
        read_options=pa_csv.ReadOptions(column_names=list(columns), block_size=len(block) + 1, use_threads=False),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


@contextlib.contextmanager
def migrating(client: Any) -> Iterator[None]:
    """One process at a time creates or alters the tables of a dataset."""
    key = _key("migration", client.dataset_name)
    client.advisory("pg_advisory_lock", key)
    try:
        yield
    finally:
        client.locks.pop()
        with contextlib.suppress(Exception):  # the server frees the locks of a lost connection
            client.execute_sql("select pg_advisory_unlock(%s)", key)


def taken_account(client: Any, accounts: Sequence[str] | None) -> str | None:
    """Lock the accounts (None: all) for as long as the connection lives; what another run holds, if any.

    Two runs that share an account exclude each other, wherever they run: the older listing of the two would
    otherwise overwrite the newer.
    """
    client.execute_sql("set tcp_keepalives_idle = 60")  # so that a machine that vanished frees its locks soon
    dataset = client.dataset_name
    if accounts is None:
        return None if client.advisory("pg_try_advisory_lock", _key("load", dataset)) else "an account of it"
    if not client.advisory("pg_try_advisory_lock_shared", _key("load", dataset)):
        return "all of its accounts"
    for account in sorted(set(accounts)):
        if not client.advisory("pg_try_advisory_lock", _key("load", dataset, account)):
            return f"account {account}"
    return None


def is_only_sender(client: Any) -> bool:
    """Become the only process that pushes into the dataset, as long as the connection lives."""
    client.execute_sql("set tcp_keepalives_idle = 60")
    return bool(client.advisory("pg_try_advisory_lock", _key("push", client.dataset_name)))


def _key(*what: str) -> int:
    digest = hashlib.sha256("\n".join((ADVISORY, *what)).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
