"""An empty dataset in DuckDB and in a real Postgres, to be filled by hand and viewed: the fixture `place`."""

from __future__ import annotations

import pytest

from boast_source import models, warehouse
from boast_source.warehouse.pipeline import pipeline_for


class Dataset:
    """A dataset with the tables that a test makes, and the views over them."""

    def __init__(self, client) -> None:
        self.client = client
        self.kind = str(client.capabilities.sqlglot_dialect)
        client.create_dataset()

    def table(self, name: str, columns: dict[str, str], rows: list[dict]) -> None:
        qualified = self.client.make_qualified_table_name(name)
        self.client.execute_sql(f"create table {qualified} ({', '.join(f'{c} {k}' for c, k in columns.items())})")
        marks = ", ".join(["%s"] * len(columns))
        for row in rows:
            self.client.execute_sql(f"insert into {qualified} values ({marks})", *[row.get(c) for c in columns])

    def views(self, time_zone: str = "UTC") -> list[str]:
        return models.create(self.client, time_zone=time_zone)

    def rows(self, sql: str) -> list[tuple]:
        return [tuple(row) for row in self.client.execute_sql(sql)]


@pytest.fixture(params=["duckdb", "postgres"])
def place(request, tmp_path, monkeypatch):
    """An empty dataset in each of the two, in a session whose time zone is not UTC."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "state"))
    if request.param == "postgres":
        for name, value in request.getfixturevalue("postgres").env.items():
            monkeypatch.setenv(name, value)
    with warehouse.connected(pipeline_for(request.param, "boast_data"), patience=5) as client:
        yield Dataset(client)
