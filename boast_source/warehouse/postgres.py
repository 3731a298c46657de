"""Postgres as the connector loads and reads it: dlt's destination, with COPY to read and write, safe for parallel runs.

Rows are written by COPY straight from the Parquet files of the load package (dlt's INSERT statements are slow, and its
CSV job turns empty text into null). What parallel runs into one dataset would break is serialized: migrations by an
advisory lock, merges into one table by a table lock, because two MERGEs do not see each other's rows.

Source: PostgreSQL documentation, COPY, Explicit Locking.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from dlt.common.destination.client import FollowupJobRequest, HasFollowupJobs, LoadJob, RunnableLoadJob
from dlt.destinations.impl.postgres.factory import postgres as dlt_postgres
from dlt.destinations.impl.postgres.postgres import PostgresClient
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from dlt.destinations.sql_jobs import SqlMergeFollowupJob

from boast_source import signals
from boast_source.driver_text import stripped
from boast_source.errors import ConfigurationError, DestinationError, LockedError
from boast_source.warehouse import rights
from boast_source.warehouse.base import Warehouse
from boast_source.warehouse.capabilities import Remembering
from boast_source.warehouse.copying import CsvOf, copied
from boast_source.warehouse.errors import explained

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dlt.common.destination import DestinationCapabilitiesContext
    from dlt.common.destination.typing import PreparedTableSchema
    from dlt.destinations.sql_client import SqlClientBase
    from typing_extensions import Self

ADVISORY = "boast-source"  # the namespace of the advisory locks
# if the server ends an idle connection, its locks are lost; no row on Postgres 13, which has no such setting
_IDLES = "select set_config(name, '0', false) from pg_settings where name = 'idle_session_timeout'"


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
        """The type of dlt's own destination, so that dlt's tools find the pipeline."""
        return "dlt.destinations.postgres"

    @property
    def client_class(self) -> type[PostgresClient]:
        return _Client


@functools.lru_cache
def is_pooled(dsn: str) -> bool:
    """Whether there is a pooler in transaction mode: its sessions have no backend of their own, and keep no lock.

    Source: pgbouncer's documentation, "SQL feature map for pooling modes".
    """
    connect: Any = Psycopg2SqlClient.dbapi.connect  # type: ignore[attr-defined]
    with contextlib.closing(connect(dsn)) as one, contextlib.closing(connect(dsn)) as other:
        backends = []
        for session in (one, one, other):
            session.autocommit = True
            with session.cursor() as cursor:
                cursor.execute("select pg_backend_pid()")
                backends.append(cursor.fetchone())
    first, again, others = backends
    return bool(first != again or first == others)


class _SqlClient(Psycopg2SqlClient):
    """A connection that keeps its advisory locks across errors and reconnections.

    After each error dlt resets a connection with DISCARD ALL, which frees them, and opens another if it broke.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.locks: list[str] = []  # the statements that took them
        self.is_replaced = False

    def open_connection(self) -> Any:
        """Connect without a search path: every name is qualified, and poolers drop or refuse libpq's options."""
        driver: Any = self.dbapi
        if self.is_replaced:
            raise _replaced()
        self._conn = driver.connect(dsn=self.credentials.to_native_representation())
        self._reset_connection()
        for statement in self.locks:
            with self._conn.cursor() as cursor:
                cursor.execute(statement)
                if cursor.fetchone() == (False,):
                    self.close_connection()  # it must not be used any more
                    self.is_replaced = True
                    raise _replaced()
        return self._conn

    def _reset_connection(self) -> None:
        self._conn.rollback()
        self._conn.autocommit = True

    def __enter__(self) -> Self:
        self.locks.clear()
        self.is_replaced = False
        super().__enter__()
        return self

    def is_pooled(self) -> bool:
        return is_pooled(self.credentials.to_native_representation())

    @contextlib.contextmanager
    def execute_query(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Like dlt's, but a stop cancels the statement: libpq ignores signals while it waits."""
        if self._conn is None:  # it broke, and the server refused another one then
            self.open_connection()
        with contextlib.ExitStack() as stack:
            with signals.waking(self._conn.cancel):
                cursor = stack.enter_context(super().execute_query(query, *args, **kwargs))
            yield cursor

    def advisory(self, function: str, key: int) -> bool:
        """Take a lock for as long as the client is open. Return False if it was only tried and another session has it.

        Through a pooler no lock is taken: it would stay on a connection that others get.
        """
        if self.is_pooled():
            return True
        if not self.locks:
            self.locks.append(_IDLES)
            self.execute_sql(_IDLES)
        statement = f"select {function}({key})"
        ((answer,),) = self.execute_sql(statement) or ((None,),)
        taken = answer is not False
        if taken:
            self.locks.append(statement)
        return taken


def _keeping_locks(made: SqlClientBase[Any]) -> _SqlClient:
    """Return the client as one of ours: a user's pipeline may have dlt's own destination."""
    if isinstance(made, _SqlClient):
        return made
    ours = _SqlClient(made.dataset_name, made.staging_dataset_name, made.credentials, made.capabilities)
    stripped(ours)
    return ours


class _Client(PostgresClient):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sql_client = _keeping_locks(self.sql_client)

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
        emptied = [f"TRUNCATE TABLE {staging}" for _, staging in names]  # leaves no personal data behind
        return [f"LOCK TABLE {names[0][0]} IN SHARE ROW EXCLUSIVE MODE", *merge, *emptied]


class _CopyJob(RunnableLoadJob, HasFollowupJobs):
    def run(self) -> None:
        client = self._job_client.sql_client  # type: ignore[attr-defined]
        file = pq.ParquetFile(self._file_path)
        names = ", ".join(client.escape_column_name(name) for name in file.schema_arrow.names)
        table = client.make_qualified_table_name(self.load_table_name)
        with client.begin_transaction(), client.native_connection.cursor() as cursor:
            cursor.copy_expert(
                f"COPY {table} ({names}) FROM STDIN WITH (FORMAT csv, ENCODING 'UTF8')", CsvOf(file), size=2**16
            )


@contextlib.contextmanager
def migrating(client: Any) -> Iterator[None]:
    """Let one process at a time create or alter the tables of a dataset."""
    if client.is_pooled():
        yield
        return
    key = _key("migration", client.dataset_name)
    client.advisory("pg_advisory_lock", key)
    try:
        yield
    finally:
        client.locks.pop()
        with contextlib.suppress(Exception):  # the server frees the locks of a lost connection
            client.execute_sql("select pg_advisory_unlock(%s)", key)


def _replaced() -> DestinationError:
    return DestinationError(
        "The connection to Postgres broke, and another run has taken this one's place",
        hint="Nothing to do: the other run is at work; the next one does what this one left.",
    )


def _locked(why: str) -> LockedError:
    return LockedError(why, hint="Wait until it ends; a scheduler may simply skip this run.")


def _key(*what: str) -> int:
    digest = hashlib.sha256("\n".join((ADVISORY, *what)).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


class Postgres(Warehouse):
    """Postgres itself, not databases that only speak its protocol (Redshift)."""

    how_to_configure = (
        "Set destination.{name}.credentials in .dlt/secrets.toml or DESTINATION__{NAME}__CREDENTIALS,"
        " for example postgresql://user:password@host:5432/database, with special characters percent-encoded."
    )
    has_unique_indexes = True

    def _made(self) -> _SqlClient:
        return _keeping_locks(super()._made())

    def _rows(self, client: SqlClientBase[Any], sql: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        yield from copied(client, sql, columns)

    @contextlib.contextmanager
    def migrating(self) -> Iterator[None]:
        with migrating(self.client):
            yield

    def lock_accounts(self, accounts: Sequence[str] | None) -> None:
        """Let runs that share an account exclude each other, wherever they run: otherwise the older listing of the two
        would overwrite the newer.
        """
        if taken := self._taken_account(accounts):
            raise _locked(f"Another run loads {taken} into the dataset {self.dataset}")

    def _taken_account(self, accounts: Sequence[str] | None) -> str | None:
        """Lock the accounts; return what another run holds, if anything."""
        if accounts is None:
            return None if self._locks("pg_try_advisory_lock", "load") else "an account of it"
        if not self._locks("pg_try_advisory_lock_shared", "load"):
            return "all of its accounts"
        for account in sorted(set(accounts)):
            if not self._locks("pg_try_advisory_lock", "load", account):
                return f"account {account}"
        return None

    def lock_sender(self, *, single_sender: bool) -> None:
        """Become the only process that pushes into the dataset."""
        client: Any = self.client
        if client.is_pooled():
            raise ConfigurationError(
                "A pooler in transaction mode stands between here and Postgres, so no session can hold a lock:"
                " two pushes at the same time would enroll people twice",
                hint="Point the destination at Postgres itself, or at a pool in session mode.",
            )
        if not self._locks("pg_try_advisory_lock", "push"):
            raise _locked(f"Another push is running into the dataset {self.dataset}")

    def _locks(self, function: str, what: str, *more: str) -> bool:
        client: Any = self.client
        with explained():
            client.execute_sql("set tcp_keepalives_idle = 60")  # so that a vanished machine frees its locks soon
            return bool(client.advisory(function, _key(what, client.dataset_name, *more)))

    def ask_rights(self, tables: Sequence[str]) -> None:
        """Raise DestinationError with the statements for an administrator to run, if a right is missing."""
        with explained():
            rights.ask(self.client, tables)
