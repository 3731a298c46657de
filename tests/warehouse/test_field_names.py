"""No name that the API may send breaks a load or a view, in any warehouse, and none takes another's column."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.support.workplace import NO_REPORT

VIEW_COLUMNS = ("valid_from", "valid_to", "is_current", "version", "active", "day")
SYSTEM = (
    "ctid",
    "xmin",
    "xmax",
    "cmin",
    "cmax",
    "tableoid",
    "oid",
    "rowid",
    "_rowid_",
    "_PARTITIONTIME",
    "_TABLE_SUFFIX",
)
OWN = ("account_id", "missing_since", "version_key", "content_hash", "observed_at", "_extra", "_hash", "_seq", "_pass")
MORE = ("_account", "step", "before", "before_key", "place", "whole", "fresh", "single", "incoming", "r", "s", "n", "h")
DLT = ("_dlt_id", "_dlt_load_id", "_dlt_version", "_dlt_list_idx", "Id", "ID", "status__v_text", "id_x")
WORDS = ("select", "order", "user", "table", "at", "desc", "offset", "limit", "group", "primary", "null", "true", "end")
ODD = (
    "",
    " ",
    "'",
    '"',
    "it's",
    'a "b"',
    "a\nb",
    "a\tb",
    "a.b",
    "a/b",
    "a~1b",
    "a~b",
    "%s",
    "%",
    ":x",
    "{name}",
    "$",
    "`",
    "--",
)
UNICODE = ("名前", "имя", "é", "e\u0301", "\u0661\u0662", "🙂", "a\u00a0b", "\ufeffbom")
COLLIDING = ("userId", "user_id", "UserID", "user__id", "User Id", "user-id")
LONG = ("n" * 62, "n" * 63, "n" * 64, "long_" * 14 + "a", "long_" * 14 + "b", "é" * 70, "\u0661" * 63)
NAMES = (*VIEW_COLUMNS, *SYSTEM, *OWN, *MORE, *DLT, *WORDS, *ODD, *UNICODE, *COLLIDING, *LONG, "\0", "1", "0", "-1")


@pytest.fixture(params=["duckdb", "postgres", "sqlite"])
def stored(request, workplace):
    """Where commands load, and a function that returns the rows of a table or view as dicts."""
    workplace.env |= NO_REPORT
    if request.param == "postgres":
        database = request.getfixturevalue("postgres")
        workplace.env |= database.env
        return ("--destination", "postgres"), lambda table: _rows_of_postgres(database, table)
    if request.param == "sqlite":
        url = f"sqlite:///{workplace.folder}/boast.db"
        workplace.env |= {"DESTINATION__SQLALCHEMY__CREDENTIALS": url, "PYTHONPATH": ""}
        return ("--destination", "sqlalchemy"), lambda table: _rows_of_sqlite(workplace, table)
    return (), lambda table: _rows_of_duckdb(workplace, table)


def _rows_of_postgres(database, table):
    with database.connection() as connection, connection.cursor() as cursor:
        cursor.execute(f"select * from boast_data.{table}")
        return [dict(zip((column[0] for column in cursor.description), row, strict=True)) for row in cursor]


def _rows_of_sqlite(workplace, table):
    with closing(sqlite3.connect(workplace.folder / "boast__boast_data.db")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"select * from {table}")]


def _rows_of_duckdb(workplace, table):
    import duckdb  # noqa: PLC0415

    with duckdb.connect(str(workplace.folder / "boast.duckdb"), read_only=True) as connection:
        found = connection.execute(f"select * from boast_data.{table}")
        return [dict(zip((column[0] for column in found.description), row, strict=True)) for row in found.fetchall()]


def test_every_name_has_a_column_of_its_own_and_breaks_nothing(sandbox, workplace, stored):
    into, rows = stored
    server = sandbox(enrollments=6)
    workplace.use(server)
    key, other, *_ = sorted(server.truth())
    load = ("load", "--json", "--resources", "sequence_enrollments", *into)

    def loaded(expected):
        done = workplace.boast(*load)
        assert (done.code, [one["loaded"] for one in done.json["accounts"]]) == (0, [expected]), done.err
        assert "not all views" not in done.err
        return {row["id"]: row for row in rows("sequence_enrollments")}

    loaded(6)
    values = {name: f"value {place}." for place, name in enumerate(NAMES)}
    server.control("POST", "mutate", {"edits": [{"id": key, "set": values}]})
    row = loaded(1)[key]
    columns = {value: column for column, value in row.items() if str(value).startswith("value ")}
    assert sorted(columns) == sorted(values.values())
    assert (row["id"], row["account_id"]) == (key, server.account_ids[0])
    loaded(0)

    # each alone, and all but a few: a value stays in its column, whoever comes and goes
    some = {name: f"other {place}." for place, name in enumerate(NAMES) if place % 2}
    gone = [name for name in NAMES if name not in some]
    server.control("POST", "mutate", {"edits": [{"id": key, "set": some, "drop": gone}]})
    row = loaded(1)[key]
    assert {name: row[columns[values[name]]] for name in some} == some
    server.control("POST", "mutate", {"edits": [{"id": other, "set": {name: f"late {name}" for name in COLLIDING}}]})
    row = loaded(1)[other]
    assert {name: row[columns[values[name]]] for name in COLLIDING} == {name: f"late {name}" for name in COLLIDING}
    loaded(0)
    if "sqlalchemy" not in into:
        assert len(rows("enrollment_history")) == 9
