"""Reading a DuckDB file that a run holds: DuckDB lets one process open it, so the run answers other processes' queries.

The run listens on a socket in a private folder beside the file and answers one query at a time, each in a read-only
transaction of its own. A question is one line of JSON; the answer is one, followed by Arrow's IPC stream. A query that
sorts, joins or groups would take the memory that the run needs, so it runs in the reader, over copies of its tables.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import threading
from typing import TYPE_CHECKING, Any

import duckdb
import orjson
import pyarrow as pa
from sqlglot import exp, parse_one

from boast_source.errors import DestinationError
from boast_source.warehouse.arrow import READ, quote, reader_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from typing_extensions import Self

SLOW = 10.0  # seconds that a reader may neither read nor write
LONGEST = 60.0  # seconds to wait for an answer
_SOCKET = "socket"
_HUGEINT = pa.decimal128(38, 0)  # as DuckDB hands it to Arrow


@contextlib.contextmanager
def shared(connection: duckdb.DuckDBPyConnection, file: Path) -> Iterator[None]:
    """Answer other processes' queries inside the block, where the system allows it. `connection` has `file` open."""
    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(_listening(file))
            wake, woken = socket.socketpair()
        except (OSError, AttributeError):  # no such sockets here, or too long a path: readers wait for the file
            yield
            return
        cursor = stack.enter_context(connection.cursor())
        stack.enter_context(wake)
        readers: list[socket.socket] = []
        thread = threading.Thread(target=_answer_all, args=(listener, woken, cursor, readers), daemon=True)
        thread.start()
        try:
            yield
        finally:
            wake.close()
            while thread.is_alive():  # a query that only begins now ignores the first interruption
                cursor.interrupt()
                for reader in readers:
                    with contextlib.suppress(OSError):  # the run ends, whatever the reader does
                        reader.shutdown(socket.SHUT_RDWR)
                thread.join(0.05)


@contextlib.contextmanager
def _listening(file: Path) -> Iterator[socket.socket]:
    """Yield the listening socket. Raises OSError, also if another connection of this process is shared already."""
    folder, address = _folder(file), _address(file)
    with socket.socket(socket.AF_UNIX) as listener:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        _refuse_foreign(folder)
        if (folder / _SOCKET).exists():
            with contextlib.suppress(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as other:
                other.connect(address)
                raise FileExistsError
            (folder / _SOCKET).unlink()  # a killed run left it
        try:
            listener.bind(address)
            listener.listen()
            yield listener
        finally:
            (folder / _SOCKET).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()


def _folder(file: Path) -> Path:
    file = file.resolve()  # whatever name a run, or a reader, has for it
    return file.with_name(f".{file.name}.run")


def _refuse_foreign(folder: Path) -> None:
    """Raise PermissionError unless the folder is this user's alone: others could answer in the run's name."""
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PermissionError


def _address(file: Path) -> str:
    """Return the socket's path, short if possible: systems allow some 100 bytes."""
    path = str(_folder(file) / _SOCKET)
    return min(path, os.path.relpath(path), key=len)


def _answer_all(
    listener: socket.socket, woken: socket.socket, cursor: duckdb.DuckDBPyConnection, readers: list[socket.socket]
) -> None:
    """Answer until the other end of `woken` is closed. `readers`: the one that is being answered."""
    with woken:
        while woken not in select.select([listener, woken], [], [])[0]:
            try:
                reader = listener.accept()[0]
            except OSError:  # such as no free file descriptor: it stays readable, so do not ask again at once
                select.select([woken], [], [], 0.1)
                continue
            with contextlib.suppress(Exception), reader:  # whatever a reader sends
                reader.settimeout(SLOW)
                readers[:] = [reader]
                _answer(reader, cursor)


def _answer(reader: socket.socket, cursor: duckdb.DuckDBPyConnection) -> None:
    with reader.makefile("rwb") as stream:
        asked = orjson.loads(stream.readline())
        cursor.execute("begin transaction read only")
        try:
            if [one.type for one in cursor.extract_statements(asked["sql"])] != [duckdb.StatementType.SELECT]:
                raise duckdb.InvalidInputException("A run answers one read-only query")
            batches = reader_of(cursor.sql(asked["sql"], params=asked["values"]), READ)
        except (duckdb.InterruptException, duckdb.ConnectionException):
            return  # the run is about to close the file
        except duckdb.Error as error:
            stream.write(orjson.dumps({"error": type(error).__name__, "words": str(error)}) + b"\n")
        else:
            stream.write(b"{}\n")
            out = pa.ipc.new_stream(stream, batches.schema)
            for batch in batches:
                out.write_batch(batch)
            out.close()  # only here: it marks the answer as whole
        finally:
            cursor.execute("rollback")


def reading(file: Path) -> Reading | None:
    """Return what answers queries through the run that holds the file; None if no run of ours does."""
    through = Reading(file)
    try:
        through.execute("select 1")
    except (DestinationError, AttributeError):
        through.close()
        return None
    return through


class Reading:
    """Takes queries like a DuckDB connection, and asks the run that holds the file. Close it at the end."""

    def __init__(self, file: Path, local: duckdb.DuckDBPyConnection | None = None) -> None:
        self._file = file
        self._local = local or duckdb.connect()
        self._answers = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._answers.close()
        self._local.close()

    def cursor(self) -> Reading:
        return Reading(self._file, self._local.cursor())

    def interrupt(self) -> None:
        self._local.interrupt()

    def rollback(self) -> None:
        """Do nothing: each query has its own transaction."""

    def execute(self, sql: str, values: Sequence[Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Run a query in the run. Raises the run's duckdb.Error; DestinationError if the run does not answer."""
        return self._over(self._asked(sql, values), "from answer")

    def sql(self, sql: str) -> duckdb.DuckDBPyRelation:
        """Return a query's rows, to be read once. Raises what `execute` raises."""
        tree = parse_one(sql, dialect="duckdb")
        if not tree.find(exp.Join, exp.Group, exp.Order, exp.Window, exp.Distinct):
            rows = self._asked(sql)
            return self._fresh().from_arrow(rows).project(_columns(rows.schema))
        for table in tree.find_all(exp.Table):
            if table.db:  # not one that the query itself defines
                name = exp.Table(this=table.this, db=table.args["db"]).sql("duckdb")
                self._fresh().execute(f"create schema if not exists {quote(table.db)}")
                rows = self._asked(f"select * from {name}")
                self._over(rows, f"create or replace table {name} as from answer")
        return self._fresh().sql(sql)

    def _over(self, rows: pa.Table, statement: str) -> duckdb.DuckDBPyConnection:
        """Run a statement over these rows, which it calls `answer`."""
        connection = self._fresh()
        connection.register("rows", rows)
        connection.execute(f"create temp view answer as select {_columns(rows.schema)} from rows")
        return connection.execute(statement)

    def _fresh(self) -> duckdb.DuckDBPyConnection:
        return self._answers.enter_context(self._local.cursor())  # an open result occupies its connection

    def _asked(self, sql: str, values: Sequence[Any] | None = None) -> pa.Table:
        """Return the whole answer: whoever reads it slowly would be in the way of the next question."""
        try:
            _refuse_foreign(_folder(self._file))
            with socket.socket(socket.AF_UNIX) as run, run.makefile("rwb") as stream:
                run.settimeout(LONGEST)
                run.connect(_address(self._file))
                stream.write(orjson.dumps({"sql": sql, "values": values or []}) + b"\n")
                stream.flush()
                answer = orjson.loads(stream.readline())
                if "error" not in answer:
                    return pa.ipc.open_stream(_Unbroken(stream)).read_all()
        except (OSError, ValueError):
            raise DestinationError(
                "The run that has the DuckDB file open did not answer", hint="It may just have ended: run this again."
            ) from None
        raise getattr(duckdb, answer["error"])(answer["words"])


class _Unbroken:
    """A stream for Arrow, which would take the end of a broken connection for the end of the rows."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        found: bytes = self._stream.read(size)
        if len(found) < size:
            raise ConnectionError
        return found


def _columns(schema: pa.Schema) -> str:
    """Return the columns to select, with the types that DuckDB had."""
    whole = [quote(field.name) for field in schema if field.type == _HUGEINT]
    replaced = ", ".join(f"cast({name} as hugeint) as {name}" for name in whole)
    return f"* replace ({replaced})" if whole else "*"
