"""A driver's text is shown without the values it quotes: whatever a row held, none of it is in the message."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from boast_source.driver_text import bare, one_line
from boast_source.warehouse.causes import BUSY, CONSTRAINT, CREDENTIALS, SCHEMA, TYPE, UNREACHABLE, cause_of

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
            "Type INT64 with value 4155551234 can't be cast because the value is out of range for INT32",
            "Type INT64 with value … can't be cast because the value is out of range for INT32",
        ),
    ],
)
def test_names_of_columns_tables_and_constraints_stay(text, kept):
    assert one_line(text) == kept


def failing(*statements):
    with duckdb.connect() as connection:
        with pytest.raises(duckdb.Error) as raised:
            connection.execute(";".join(statements))
        return raised.value


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


def test_credentials_are_named_for_what_credentials_cause():
    def coded(code, text=""):
        error = Exception(text)
        error.pgcode = code
        return cause_of(error)

    assert [coded(code) for code in ("28P01", "28000", "3D000")] == [CREDENTIALS] * 3
    assert [coded(code) for code in ("08006", "57P01")] == [UNREACHABLE] * 2
    assert coded("57014") == BUSY
    assert coded(None, "FATAL: password authentication failed") == CREDENTIALS
    assert coded(None, "Connection refused") == UNREACHABLE
    others = {coded(code) for code in ("23502", "22P02", "42P01", "42501", "25006", "53100", "P0001", "XX000")}
    assert CREDENTIALS not in others
    assert not any("credentials" in cause.hint.lower() for cause in others)
