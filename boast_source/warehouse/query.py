"""Runs a user's own statement, in the warehouse's dialect and with the names of the dataset."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import sqlglot
from dlt.destinations.exceptions import DatabaseException
from sqlglot import exp

from boast_source.errors import ConfigurationError
from boast_source.warehouse.connection import SqlClient, interruptible
from boast_source.warehouse.errors import words_of

if TYPE_CHECKING:
    from collections.abc import Iterator


ROWS = 5_000  # per batch
_READING = {"select", "with", "from", "values", "table", "show", "describe", "desc", "summarize", "pivot", "unpivot"}
_ODD = re.compile(r"[$`\\#]|--|/\*")  # quotes and comments that differ between databases
_RUN = re.compile(r"/\*M?!")  # a comment that MySQL and MariaDB execute
_OUT = {"outfile", "dumpfile"}
# by sqlglot's dialect, what makes a session read-only, and what ends that
_READ_ONLY = {
    "duckdb": ("begin transaction read only", "rollback"),
    "postgres": ("begin read only", "rollback"),
    "mysql": ("set session transaction read only", "set session transaction read write"),  # dlt commits each statement
    "sqlite": ("pragma query_only = on", "pragma query_only = off"),
}
_USE = {"postgres": "set search_path to {}, public", "mysql": "use {}"}  # their sessions have no dataset by default


@contextlib.contextmanager
def asked(client: SqlClient, sql: str, *, write: bool) -> Iterator[tuple[list[str], Iterator[list[tuple[Any, ...]]]]]:
    """Execute one statement; yield the names of its columns (empty: it has no result) and its rows, in batches.

    Raises ConfigurationError for a statement that the warehouse refuses, and without `write` for one that changes it.
    """
    statement = _single(sql, client.capabilities.sqlglot_dialect)
    if use := _USE.get(client.capabilities.sqlglot_dialect or ""):
        client.execute_sql(use.format(client.fully_qualified_dataset_name()))
    try:
        with (
            _permission(client, statement, write=write),
            interruptible(client),
            client.execute_query(_literal(client, statement)) as cursor,
        ):
            names = _names(cursor.native_cursor)
            yield names, iter(lambda: cursor.fetchmany(ROWS) if names else [], [])
    except DatabaseException as error:
        words = words_of(error)
        if "syntax error" in words and (place := _place(statement, client.capabilities.sqlglot_dialect)):
            words = f"{words.removesuffix(' at or near …')} at {place}"
        raise ConfigurationError(f"The query failed: {words}", hint=_hint(error)) from None


def _names(cursor: Any) -> list[str]:
    """Return the names of a result's columns, from the driver or SQLAlchemy; empty if there is no result."""
    if hasattr(cursor, "returns_rows"):
        return list(map(str, cursor.keys())) if cursor.returns_rows else []
    return [str(column[0]) for column in cursor.description or ()]


def _literal(client: SqlClient, statement: str) -> str:
    """Escape colons if `:name` is a parameter, as in SQLAlchemy."""
    return statement.replace(":", r"\:") if client.dbapi.paramstyle == "named" else statement


@contextlib.contextmanager
def _permission(client: SqlClient, statement: str, *, write: bool) -> Iterator[None]:
    begin, end = _READ_ONLY.get(client.capabilities.sqlglot_dialect or "", ("", ""))
    if write:
        yield
        return
    if not _reads(statement, client.capabilities.sqlglot_dialect):
        raise ConfigurationError(
            "This is no query, or one that may write files",
            hint="A query begins with select or with, and has no semicolon beside comments or odd quotes. "
            "For anything else add --write.",
        )
    if not begin:
        if not isinstance(sqlglot.parse_one(statement, read=client.capabilities.sqlglot_dialect), exp.Query):
            raise ConfigurationError("This is no query", hint="Add --write to change the warehouse.")
        yield
        return
    client.execute_sql(begin)
    try:
        yield
    finally:
        with contextlib.suppress(DatabaseException):  # a refused statement has ended the transaction
            client.execute_sql(end)


def _reads(statement: str, dialect: str | None) -> bool:
    """Whether a statement begins like a query, also for a warehouse that ends comments and quotes elsewhere. A
    read-only transaction is not enough: it lets COPY, EXPORT, ATTACH and INTO OUTFILE write files.
    """
    words = " ".join(token.text for token in _tokens(statement, dialect)).lower().split()  # EXPLAIN … is one token
    while words and words[0] in {"explain", "analyze", "verbose", "("}:
        del words[0]
    if _RUN.search(statement) or (";" in statement and _ODD.search(statement)) or _OUT & {*words}:
        return False
    return bool(words) and words[0] in _READING


def _place(statement: str, dialect: str | None) -> str:
    """Return where a statement breaks the grammar, quoting only the statement: the warehouse may quote a row."""
    try:
        sqlglot.parse_one(statement, read=dialect)
    except sqlglot.errors.ParseError as error:
        found = error.errors[0]
        return f"{found['highlight']!r}, line {found['line']}, column {found['col']}"
    except sqlglot.errors.TokenError:  # a quote that does not end, which every warehouse reports
        pass
    return ""


def _tokens(sql: str, dialect: str | None) -> list[sqlglot.Token]:
    try:
        return sqlglot.tokenize(sql, read=dialect)
    except sqlglot.errors.TokenError:
        return []  # the warehouse may read it otherwise, and as several statements


def _single(sql: str, dialect: str | None) -> str:
    """Return the statement without its semicolon. Two at once could leave the read-only transaction."""
    tokens = _tokens(sql, dialect)
    ends = [token.start for token in tokens if token.token_type is sqlglot.TokenType.SEMICOLON]
    if ends and any(token.start > ends[0] for token in tokens if token.start not in ends):
        raise ConfigurationError("Only one statement at a time", hint="Run `boast sql` once for each.")
    found = sql[: ends[0]] if ends else sql
    if not found.strip():
        raise ConfigurationError("There is no query", hint='Give one, for example boast sql "select * from runs".')
    return found


def _hint(error: DatabaseException) -> str:
    if "read-only" in str(error) or "readonly" in str(error):
        return "Add --write to change the warehouse."
    return 'Tables and columns: docs/model.md, or boast sql "select table_name from information_schema.tables".'
