"""The fixture `place`: an empty dataset in DuckDB, a real Postgres or a real MariaDB, for tests of the views."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from boast_source import models
from boast_source.models.schema import relations
from boast_source.warehouse.pipeline import warehouse_for
from tests.support import mariadb
from tests.support.warehouses import HERE

if TYPE_CHECKING:
    from collections.abc import Sequence

ZONE = "America/New_York"
SESSION = {"duckdb": f"set timezone = '{ZONE}'", "mariadb": f"set time_zone = '{ZONE}'"}
WORDS = {
    "character varying": "varchar",
    "double precision": "double",
    "numeric": "double",
    "timestamp with time zone": "timestamptz",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "jsonb": "json",
}
KINDS = {
    "postgres": {"json": "jsonb", "double": "double precision"},
    "mysql": {"timestamptz": "datetime(6)", "varchar": "text"},
}


def _without_zone(value):
    """Return a time in UTC without its zone, as MySQL stores it; any other value as is."""
    return value.astimezone(timezone.utc).replace(tzinfo=None) if isinstance(value, datetime) else value


def _in_utc(value):
    return value.replace(tzinfo=timezone.utc) if isinstance(value, datetime) and value.tzinfo is None else value


class Dataset:
    """A dataset with the tables that a test creates, and the views on them."""

    def __init__(self, warehouse) -> None:
        self.warehouse, self.client = warehouse, warehouse.client
        self.kind = str(self.client.capabilities.sqlglot_dialect)
        self.client.create_dataset()

    def table(self, name: str, columns: dict[str, str], rows: Sequence[dict]) -> None:
        qualified = self.client.make_qualified_table_name(name)
        self.client.execute_sql(f"create table {qualified} ({', '.join(f'{c} {k}' for c, k in columns.items())})")
        for row in rows:
            self.insert(name, {column: row.get(column) for column in columns})

    def insert(self, name: str, row: dict) -> None:
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        values = [_without_zone(value) if self.kind == "mysql" else value for value in row.values()]
        self.client.execute_sql(
            f"insert into {self.client.make_qualified_table_name(name)} ({names}) values ({marks})", *values
        )

    def declared(self, name: str, rows: Sequence[dict] = ()) -> None:
        """Create a table as models/schema.yml declares it."""
        kinds = KINDS.get(self.kind, {})
        columns = {c: kinds.get(column.data_type, column.data_type) for c, column in relations()[name].columns.items()}
        self.table(name, columns, rows)

    def types(self) -> dict[str, dict[str, str]]:
        """Return the columns of each table and view with their types, as models/schema.yml names them."""
        catalog = (
            "select table_name, column_name, data_type from information_schema.columns"
            " where table_schema = 'boast_data' order by table_name, ordinal_position"
        )
        found: dict[str, dict[str, str]] = {}
        for table, column, kind in self.rows(catalog):
            found.setdefault(table, {})[column] = WORDS.get(kind, kind.lower())
        return found

    def declared_types(self) -> dict[str, dict[str, str]]:
        """Return what `types` should find for a complete dataset, by models/schema.yml; DuckDB has one text type."""
        words = {"text": "varchar"} if self.kind == "duckdb" else {}
        return {
            name: {c: words.get(column.data_type, column.data_type) for c, column in relation.columns.items()}
            for name, relation in relations().items()
        }

    def views(self, time_zone: str = "UTC") -> list[str]:
        return models.create(self.warehouse, time_zone=time_zone)

    def rows(self, sql: str) -> list[tuple]:
        return [tuple(map(_in_utc, row)) for row in self.client.execute_sql(sql)]


@pytest.fixture(scope="session")
def maria():
    """The URL of a MariaDB server with all time zones loaded."""
    if not mariadb.is_installed():
        pytest.skip("no MariaDB: apt-get install mariadb-server")
    with mariadb.serving() as port:
        mariadb.load_time_zones(port)
        yield f"mysql+pymysql://root@127.0.0.1:{port}/{mariadb.DATABASE}"


@pytest.fixture(params=["mariadb"] if HERE else ["duckdb", "postgres"])
def place(request, tmp_path, monkeypatch):
    """An empty dataset in each warehouse; the session's time zone is not UTC, and its clock changes in March."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "state"))
    if request.param == "postgres":
        database = request.getfixturevalue("postgres")
        database.sql(f"alter database {database.name} set timezone = '{ZONE}'")
        for name, value in database.env.items():
            monkeypatch.setenv(name, value)
    if request.param == "mariadb":
        monkeypatch.setenv("DESTINATION__SQLALCHEMY__CREDENTIALS", request.getfixturevalue("maria"))
    destination = "sqlalchemy" if request.param == "mariadb" else request.param
    with warehouse_for(destination, "boast_data").open(patience=5) as warehouse:
        if request.param in SESSION:
            warehouse.client.execute_sql(SESSION[request.param])
        yield Dataset(warehouse)
        if request.param == "mariadb":  # the server outlives the test
            warehouse.client.execute_sql("drop database boast_data")
