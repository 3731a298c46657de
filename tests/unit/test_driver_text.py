"""A driver's text is shown without the values it quotes: whatever a row held, none of it is in the message."""

from __future__ import annotations

import logging
import sqlite3
import traceback
from types import SimpleNamespace

import duckdb
import pytest
import sqlalchemy
from hypothesis import example, given
from hypothesis import strategies as st

from boast_source.driver_text import bare, one_line, said, stripped, traceback_of
from boast_source.logs import OneLine
from boast_source.warehouse.causes import (
    BUSY,
    CONSTRAINT,
    CREDENTIALS,
    EXTENSION,
    FILE,
    FULL,
    NO_DATABASE,
    NO_SCHEMA,
    RIGHTS,
    SCHEMA,
    SENDERS,
    TYPE,
    UNREACHABLE,
    cause_of,
    place_of,
)

CANARY = "kan@rie.example 'x' \"y\""

# as the servers say it (Postgres 15, DuckDB 2.0, MariaDB 10.11 through SQLAlchemy, SQLite), with a value in its place
MESSAGES = [
    'invalid input syntax for type uuid: "{}"\nLINE 2: ...\nCONTEXT:  COPY t, line 1, column id: "{}"',
    'invalid input value for enum mood: "{}"',
    'null value in column "status" of relation "t" violates not-null constraint\nDETAIL:  Failing row contains ({}',
    'duplicate key value violates unique constraint "one"\nDETAIL:  Key (id)=({}) already exists.',
    'new row for relation "t" violates check constraint "nope" DETAIL: Failing row contains ({}',
    "Conversion Error: Could not convert string '{}' to INT32\n\nLINE 1: insert into t values ('{}')\n   ^^^",
    'Constraint Error: Duplicate key "id: {}" violates primary key constraint.',
    "(1406, \"Data too long for column 'status' at row 1\")\n[SQL: INSERT ('{}')]\n[parameters: '{}']",
    "(1062, \"Duplicate entry '{}' for key 'PRIMARY'\")",
    "(1366, \"Incorrect string value: '{}' for column `d`.`t`.`status` at row 1\")",
    'connection to server at "db" failed: FATAL: password authentication failed for user "u"\nDETAIL: {}',
]


@pytest.mark.parametrize("message", MESSAGES)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=12))
@example(CANARY)
@example("'")
@example('"; DETAIL')
@example("a\nb")
def test_no_value_of_a_row_is_in_the_text(message, noise):
    value = f"canary{noise}canary"
    assert "canary" not in bare(message.replace("{}", value))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (MESSAGES[2], 'null value in column "status" of relation "t" violates not-null constraint'),
        (MESSAGES[4], 'new row for relation "t" violates check constraint "nope"'),
        ("Table 'd.t' doesn't exist", "Table 'd.t' doesn't exist"),
        ("Access denied for user 'me'@'here' to database 'd'", "Access denied for user 'me'@'here' to database 'd'"),
        (MESSAGES[-1], 'connection to server at "db" failed: FATAL: password authentication failed for user "u"'),
        ("postgresql://me:secret@host/db is wrong", "postgresql://***@host/db is wrong"),
        (
            "Conversion Error: Type INT64 with value 4155 can't be cast to INT32 when casting from source column phone",
            "Conversion Error: to INT32 from column phone",
        ),
        (MESSAGES[7], "Data too long for column 'status'"),
        (MESSAGES[8], "Duplicate entry"),
    ],
)
def test_names_of_columns_tables_and_constraints_stay(text, kept):
    assert one_line(text) == kept


def failing(*statements):
    with duckdb.connect() as connection:
        with pytest.raises(duckdb.Error) as raised:
            connection.execute(";".join(statements)).fetchall()
        return raised.value


# what a view of the user's may do with a row, and what is left of the message
CRM = "create table crm as select 4917000000007::bigint as phone, 'Canary, ''Ann''\nof 4917000000007' as name"
OF_DUCKDB = {
    "phone * phone": "Out of Range Error",
    "repeat(name, phone)": "Out of Range Error",
    "strptime(name, '%Y')": "Invalid Input Error",
    "error('no consent: ' || name)": "Invalid Input Error",
    "error('Catalog Error: ' || name)": "Invalid Input Error",
    "regexp_matches('x', '[' || name)": "Invalid Input Error",
    "make_date(2020, 1, phone)": "Invalid Input Error",
    "json_extract(name, '$')": "Invalid Input Error",
    "(select name from crm union all select name from crm)": "Invalid Input Error",
    "name::int": "Conversion Error: to INT32 from column name",
    "phone::int": "Conversion Error: to INT32 from column phone",
    "phone::decimal(4, 2)": "Conversion Error: from column phone",
    "name::uuid": "Conversion Error: to UUID from column name",
    "name::date": "Conversion Error: from column name",
    "name::json": "Conversion Error: from column name",
    "(name || ' when casting from source column canary')::date": "Conversion Error",
    "from_base64(name)": "Conversion Error",
    "date_trunc(name, now())": "Conversion Error",
    "nobody": 'Binder Error: Referenced column "nobody" not found in FROM clause!',
    "nothing(name)": "Catalog Error: Scalar Function with name nothing does not exist!",
}


@pytest.mark.parametrize("expression", OF_DUCKDB)
def test_of_what_duckdb_says_of_a_row_only_the_class_the_type_and_the_column_are_left(expression):
    error = failing(CRM, f"select {expression} from crm")
    assert said(error) == OF_DUCKDB[expression]
    assert bare(str(error)) == OF_DUCKDB[expression]
    assert "canary" not in traceback_of(error).lower()


# the same on Postgres: as it says it, and its error code
OF_POSTGRES = {
    ("operator does not exist: uuid = text\nLINE 1: where id = 'Ada'", "42883"): "operator does not exist: uuid = text",
    ("UNION types text and uuid cannot be matched", "42804"): "UNION types text and uuid cannot be matched",
    ("no consent: canary", "P0001"): "RaiseException (SQLSTATE P0001)",
    ("FATAL: no consent of canary", "P0001"): "RaiseException (SQLSTATE P0001)",
    ("permission denied for canary", "42501"): "RaiseException (SQLSTATE 42501)",
    ("canary may not be written to", "23514"): "RaiseException (SQLSTATE 23514)",
    ('relation "canary of canary" is gone', "42P01"): "RaiseException (SQLSTATE 42P01)",
    ('invalid input syntax for type integer: "canary"', "22P02"): "invalid input syntax for type integer: …",
    ('value "canary" is out of range for type integer', "22003"): "value … is out of range for type integer",
    ("integer out of range", "22003"): "integer out of range",
    ('date/time field value out of range: "canary"', "22008"): "RaiseException (SQLSTATE 22008)",
    ("invalid regular expression: canary", "2201B"): "RaiseException (SQLSTATE 2201B)",
    ('invalid value "canary" for "YYYY"', "22007"): "RaiseException (SQLSTATE 22007)",
    ('relation "boast_data.crm" does not exist\nLINE 1: canary', "42P01"): 'relation "boast_data.crm" does not exist',
    ("permission denied for table crm", "42501"): "permission denied for table crm",
}


class RaiseException(sqlite3.DatabaseError):
    """A driver's error with Postgres' code, as psycopg2 raises it."""

    pgcode: str
    diag: SimpleNamespace


@pytest.mark.parametrize(("text", "code"), OF_POSTGRES)
def test_of_what_postgres_says_of_a_row_only_known_words_or_the_code_are_left(text, code):
    error = RaiseException(text)
    error.pgcode = code
    assert said(error) == OF_POSTGRES[text, code].removesuffix(": …")
    again = RaiseException(said(error))
    again.pgcode = code
    assert said(again) == said(error)
    wrapped = RuntimeError(f"The step load failed with exception: {text}")
    wrapped.__cause__ = error
    assert "canary" not in traceback_of(wrapped)


def test_a_name_in_a_statement_that_a_function_makes_may_be_a_value_of_a_row():
    error = RaiseException('column "canary" does not exist')
    error.pgcode, error.diag = "42703", SimpleNamespace(internal_query="select canary from t")
    assert said(error) == "RaiseException (SQLSTATE 42703)"


@pytest.mark.parametrize(
    "context", ["PL/pgSQL function f() line 1 at RAISE\nCOPY t, line 1", 'SQL function "f" statement 1']
)
def test_what_a_trigger_says_and_names_may_be_a_value_of_a_row(context):
    error = RaiseException('new row for relation "canary" violates check constraint "canary"')
    names = {"schema_name": "canary", "table_name": "canary", "column_name": "canary"}
    error.pgcode, error.diag = "23514", SimpleNamespace(internal_query=None, context=context, **names)
    assert said(error) == "RaiseException (SQLSTATE 23514)"
    assert place_of(error, "contacts") == " (contacts)"
    error.diag.context = "COPY t, line 1"
    assert said(error) == str(error)
    assert place_of(error) == " (canary.canary.canary)"


def test_what_a_trigger_of_sqlite_says_may_be_a_value_of_a_row():
    raising = "create trigger r before insert on t begin select raise(abort, 'no such table: canary'); end"
    with sqlite3.connect(":memory:") as connection, pytest.raises(sqlite3.IntegrityError) as raised:
        connection.executescript(f"create table t (c text); {raising}; insert into t values ('x')")
    assert said(raised.value) == "IntegrityError"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("(pymysql.err.OperationalError) (1644, \"Table 'canary' doesn't exist\")", "DatabaseError (error 1644)"),
        ("(pymysql.err.OperationalError) (1644, 'no consent: canary')\n[SQL: canary]", "DatabaseError (error 1644)"),
        (
            "(pymysql.err.DataError) (1264, \"Out of range value for column 'n' at row 1\")",
            "Out of range value for column 'n'",
        ),
        (
            "(pymysql.err.DataError) (1366, \"Incorrect integer value: 'canary' for column 'n'\")",
            "Incorrect integer value",
        ),
        ("(sqlite3.IntegrityError) no consent: canary", "IntegrityError"),
        ("(sqlite3.IntegrityError) UNIQUE constraint failed: t.id\n[SQL: canary]", "UNIQUE constraint failed: t.id"),
        ("(sqlite3.OperationalError) no such table: crm", "no such table: crm"),
        ('(sqlite3.OperationalError) near "canary": syntax error', "near …: syntax error"),
    ],
)
def test_of_what_mysql_and_sqlite_say_through_sqlalchemy_only_known_words_or_the_code_are_left(text, kept):
    assert one_line(text).startswith(kept)
    assert "canary" not in one_line(f"The job failed: {text}")


@pytest.mark.parametrize(
    ("statements", "cause"),
    [
        (("create table t (n int not null)", "insert into t values (null)"), CONSTRAINT),
        (("select cast('canary' as int)",), TYPE),
        (("select * from nowhere",), SCHEMA),
    ],
)
def test_duckdbs_classes_name_the_cause(statements, cause):
    error = failing(*statements)
    assert cause_of(error) == cause
    assert "canary" not in bare(str(error))


def test_the_traceback_of_a_log_line_shows_no_value_of_a_driver_behind_another():
    refused = type("IntegrityError", (type("DatabaseError", (Exception,), {}),), {})
    error = RuntimeError("The step load failed")
    error.__cause__ = refused(1062, f"Duplicate entry '{'canary'}' for key 'rule'")
    told = (RuntimeError, error, None)
    line = OneLine("%(message)s").format(logging.LogRecord("x", logging.DEBUG, "x", 1, "it failed", (), told))
    assert "Duplicate entry" in line
    assert "RuntimeError: The step load failed" in line
    assert "canary" not in line


def test_what_dlts_client_raises_holds_no_value_in_any_link_of_the_chain():
    class Client:
        def _make_database_exception(self, error):
            return RuntimeError("dlt's")

    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("create table t (n text unique check (json(n) is not null))"))
        with pytest.raises(sqlalchemy.exc.DBAPIError) as raised:
            connection.execute(sqlalchemy.text("insert into t values (:n)"), {"n": CANARY})
    error = raised.value
    error.orig.args = (1062, f"Duplicate entry '{CANARY}' for key 'rule'")  # as MariaDB's drivers tell it
    error.__cause__ = error.orig
    stripped(Client())._make_database_exception(error)
    shown = "".join(traceback.format_exception(error))
    assert "Duplicate entry" in shown
    assert "rie.example" not in shown


def test_credentials_are_named_for_what_credentials_cause():
    def coded(code, text=""):
        error = Exception(text)
        error.pgcode = code
        return cause_of(error)

    assert [coded(code) for code in ("28P01", "28000")] == [CREDENTIALS] * 2
    assert coded("3D000") == NO_DATABASE
    assert [coded(code) for code in ("08006", "57P01")] == [UNREACHABLE] * 2
    assert coded("57014") == coded("21000") == BUSY
    assert coded("23505", 'duplicate key value violates unique constraint "push_ledger_once"') == SENDERS
    assert coded(None, "FATAL: password authentication failed") == CREDENTIALS
    assert coded(None, "Connection refused") == UNREACHABLE
    others = {coded(code) for code in ("23502", "22P02", "42P01", "42501", "25006", "53100", "P0001", "XX000")}
    assert CREDENTIALS not in others
    assert not any("credentials" in cause.hint.lower() for cause in others)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (duckdb.IOException('IO Error: Failed to download extension "ducklake" at URL "http://x"'), EXTENSION),
        (sqlite3.ProgrammingError("(1044, \"Access denied for user 'me'@'h' to database 'd'\")"), RIGHTS),
        (sqlite3.ProgrammingError("(1142, \"DROP command denied to user 'me'@'h' for table `d`.`t`\")"), RIGHTS),
        (
            sqlite3.OperationalError('connection to server at "db" failed: FATAL: database "d" does not exist'),
            NO_DATABASE,
        ),
        (sqlite3.OperationalError("(1049, \"Unknown database 'd'\")"), NO_DATABASE),
        (sqlite3.ProgrammingError("permission denied for database d"), NO_SCHEMA),
        (sqlite3.OperationalError("connection failed: FATAL:  permission denied for database d"), UNREACHABLE),
        (sqlite3.OperationalError("database is locked"), BUSY),
        (sqlite3.OperationalError("(1205, 'Lock wait timeout exceeded; try restarting transaction')"), BUSY),
        (sqlite3.OperationalError("database or disk is full"), FULL),
        (sqlite3.OperationalError("unable to open database file"), FILE),
    ],
)
def test_a_cause_that_no_code_names_is_known_by_its_words(error, cause):
    assert cause_of(error) == cause
