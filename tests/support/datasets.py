"""An empty dataset in DuckDB and in a real Postgres, to be filled by hand and viewed: the fixture `place`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from boast_source import models, warehouse
from boast_source.models.schema import relations
from boast_source.warehouse.pipeline import pipeline_for

if TYPE_CHECKING:
    from collections.abc import Sequence

ZONE = "America/New_York"
WORDS = {
    "character varying": "varchar",
    "double precision": "double",
    "numeric": "double",
    "timestamp with time zone": "timestamptz",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "jsonb": "json",
}


class Dataset:
    """A dataset with the tables that a test makes, and the views over them."""

    def __init__(self, client) -> None:
        self.client = client
        self.kind = str(client.capabilities.sqlglot_dialect)
        client.create_dataset()

    def table(self, name: str, columns: dict[str, str], rows: Sequence[dict]) -> None:
        qualified = self.client.make_qualified_table_name(name)
        self.client.execute_sql(f"create table {qualified} ({', '.join(f'{c} {k}' for c, k in columns.items())})")
        marks = ", ".join(["%s"] * len(columns))
        for row in rows:
            self.client.execute_sql(f"insert into {qualified} values ({marks})", *[row.get(c) for c in columns])

    def declared(self, name: str, rows: Sequence[dict] = ()) -> None:
        """Create a table as models/schema.yml declares it."""
        kinds = {"postgres": {"json": "jsonb", "double": "double precision"}}.get(self.kind, {})
        columns = {c: kinds.get(column.data_type, column.data_type) for c, column in relations()[name].columns.items()}
        self.table(name, columns, rows)

    def types(self) -> dict[str, dict[str, str]]:
        """The columns of each table and view and their types, in models/schema.yml's words."""
        catalog = (
            "select table_name, column_name, data_type from information_schema.columns"
            " where table_schema = 'boast_data' order by table_name, ordinal_position"
        )
        found: dict[str, dict[str, str]] = {}
        for table, column, kind in self.rows(catalog):
            found.setdefault(table, {})[column] = WORDS.get(kind, kind.lower())
        return found

    def declared_types(self) -> dict[str, dict[str, str]]:
        """What `types` finds where everything is there, by models/schema.yml; DuckDB has one type for texts."""
        words = {"text": "varchar"} if self.kind == "duckdb" else {}
        return {
            name: {c: words.get(column.data_type, column.data_type) for c, column in relation.columns.items()}
            for name, relation in relations().items()
        }

    def views(self, time_zone: str = "UTC") -> list[str]:
        return models.create(self.client, time_zone=time_zone)

    def rows(self, sql: str) -> list[tuple]:
        return [tuple(row) for row in self.client.execute_sql(sql)]


@pytest.fixture(params=["duckdb", "postgres"])
def place(request, tmp_path, monkeypatch):
    """An empty dataset in each of the two, in a session whose time zone is not UTC and whose clock changes in March."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "state"))
    if request.param == "postgres":
        database = request.getfixturevalue("postgres")
        database.sql(f"alter database {database.name} set timezone = '{ZONE}'")
        for name, value in database.env.items():
            monkeypatch.setenv(name, value)
    with warehouse.connected(pipeline_for(request.param, "boast_data"), patience=5) as client:
        if request.param == "duckdb":
            client.execute_sql(f"set timezone = '{ZONE}'")
        yield Dataset(client)
