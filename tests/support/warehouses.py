"""The warehouses of the conformance suite: the fixture `place_to_load`, and what each warehouse cannot do.

`make test` runs DuckDB, Postgres, SQLite and Delta tables; `make test-warehouses` the others, in its own environment.
docs/warehouses.md is generated from this file (tools/describe.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest

from boast_source.warehouse.pipeline import warehouse_for
from tests.support import object_store

ALONE = {"SOURCES__BOAST__PUSH__SINGLE_SENDER": "true"}
NO_VIEWS = "dlt keeps each dataset in a separate file there, and a view cannot read another file"
NO_SQL = "the destination has no SQL interface"
NO_REPORT = "it reads the views (`status` is tested: it builds them in memory)"
OF_LAKES = {"push": NO_SQL, "views": NO_SQL, "report": NO_REPORT}
PARTS = {
    "load": "load all lists; the second load writes nothing, the third only what changed",
    "vanished": "vanished rows, history",
    "json": "JSON and unknown fields, stored once and unchanged",
    "push": "push with ledger: each request is carried out once",
    "killed": "killed while loading: the next load is exact",
    "refresh": "`--full-refresh`; a pipeline of your own over the same dataset, with dlt's `refresh` modes",
    "at_once": "two loads at once: refused, or the result is exact",
    "views": "the views, compared with what plain Python computes",
    "report": "report and status",
}


@dataclass(frozen=True)
class Kind:
    """A warehouse of the suite: the destination's name, and the reason why it refuses a part of the suite, by part."""

    title: str
    destination: str
    refused: dict[str, str] = field(default_factory=dict)
    has_lock: bool = False  # otherwise push needs single_sender
    elsewhere: bool = False  # in the environment of `make test-warehouses`


KINDS = {
    "duckdb": Kind("DuckDB file", "duckdb", has_lock=True),
    "postgres": Kind("Postgres", "postgres", has_lock=True),
    "sqlite": Kind("SQLite", "sqlalchemy", {"views": NO_VIEWS, "report": NO_REPORT}),
    "delta": Kind("Delta tables", "filesystem", OF_LAKES),
    "iceberg": Kind("Iceberg tables", "filesystem", OF_LAKES, elsewhere=True),
    "delta_s3": Kind("Delta tables on S3", "filesystem", OF_LAKES, elsewhere=True),
    "postgres18": Kind("Postgres 18", "postgres", has_lock=True, elsewhere=True),
    "ducklake": Kind("DuckLake, catalog in SQLite", "ducklake", elsewhere=True),
    "ducklake_postgres": Kind("DuckLake, catalog in Postgres", "ducklake", elsewhere=True),
    "mariadb": Kind("MariaDB", "sqlalchemy", elsewhere=True),
}
HERE = os.environ.get("BOAST_WAREHOUSES") == "elsewhere"
# not tested, except that dlt's load step accepts the load packages (test_json_kinds.py)
UNTRIED = ("BigQuery", "Snowflake", "Databricks", "Redshift", "ClickHouse", "MotherDuck")


@dataclass
class Place:
    """An empty warehouse; `boast COMMAND *to` uses it."""

    name: str
    kind: Kind
    to: tuple[str, ...]

    def rows(self, table: str, columns: str = "*", where: str = "1 = 1") -> list[tuple]:
        """Return rows read directly from the warehouse."""
        with warehouse_for(self.kind.destination, "boast_data").open(patience=30) as warehouse:
            if not warehouse.has_sql:
                return _rows_of_a_lake(warehouse, table, columns, where)
            client = warehouse.client
            name = client.make_qualified_table_name(table)
            return [tuple(row) for row in client.execute_sql(f"select {columns} from {name} where {where}")]

    def run(self, sql: str) -> None:
        """Execute a statement; `{}` in it is the dataset."""
        with warehouse_for(self.kind.destination, "boast_data").open(patience=30) as warehouse:
            warehouse.client.execute_sql(sql.format(warehouse.client.fully_qualified_dataset_name()))


def _rows_of_a_lake(warehouse, table: str, columns: str, where: str) -> list[tuple]:
    found = warehouse._table(table)
    rows = warehouse._reader(found, warehouse._schema(found).names).read_all()
    with duckdb.connect() as connection:
        return connection.register(table, rows).sql(f"select {columns} from {table} where {where}").fetchall()


@pytest.fixture(scope="session")
def duckdb_extensions(tmp_path_factory):
    """A folder to use as HOME, with the DuckDB extensions that DuckLake needs."""
    home = tmp_path_factory.mktemp("extensions")
    code = "from duckdb_extensions import import_extension as i; [i(e) for e in {}]"
    names = ["ducklake", "sqlite_scanner", "postgres_scanner"]
    subprocess.run([sys.executable, "-c", code.format(names)], env=os.environ | {"HOME": str(home)}, check=True)
    return home


@pytest.fixture(params=[name for name, kind in KINDS.items() if kind.elsewhere == HERE])
def place_to_load(request, workplace, monkeypatch):
    """Each of the warehouses, empty."""
    name = request.param
    kind = KINDS[name]
    with contextlib.ExitStack() as stack:
        env = _environment(name, request, workplace, stack)
        workplace.env |= env | ({} if kind.has_lock else ALONE) | {"SOURCES__BOAST__REPORT_PATH": ""}
        for key, value in (env | {"DLT_DATA_DIR": str(workplace.folder / "of_the_test")}).items():
            monkeypatch.setenv(key, value)
        monkeypatch.chdir(workplace.folder)
        yield Place(name, kind, ("--destination", kind.destination))


def as_iceberg(folder: Path) -> dict[str, str]:
    """Return the settings for Iceberg tables in a folder, with a catalog next to them."""
    lake = (folder / "lake").as_uri()
    catalog = {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": lake}
    return {
        "DESTINATION__FILESYSTEM__BUCKET_URL": lake,
        "SOURCES__BOAST__TABLE_FORMAT": "iceberg",
        "ICEBERG_CATALOG__ICEBERG_CATALOG_CONFIG": json.dumps(catalog),
        "PYTHONPATH": "",
    }


def _environment(name, request, workplace, stack) -> dict[str, str]:
    if name.startswith("postgres"):
        return request.getfixturevalue("postgres").env
    if name == "sqlite":
        url = f"sqlite:///{workplace.folder}/boast.db"
        return {"DESTINATION__SQLALCHEMY__CREDENTIALS": url, "PYTHONPATH": ""}
    if name == "mariadb":
        from tests.support import mariadb  # noqa: PLC0415

        if not mariadb.is_installed():
            pytest.skip("no MariaDB: apt-get install mariadb-server")
        port = stack.enter_context(mariadb.serving())
        url = f"mysql+pymysql://root@127.0.0.1:{port}/{mariadb.DATABASE}"
        return {"DESTINATION__SQLALCHEMY__CREDENTIALS": url, "PYTHONPATH": ""}
    if name == "delta":
        return {"DESTINATION__FILESYSTEM__BUCKET_URL": (workplace.folder / "lake").as_uri()}
    if name == "iceberg":
        return as_iceberg(workplace.folder)
    if name == "delta_s3":
        return stack.enter_context(object_store.serving()).env_of_dlt
    if name.startswith("ducklake"):
        home = workplace.folder / "home"
        (home / ".duckdb").symlink_to(request.getfixturevalue("duckdb_extensions") / ".duckdb")
        catalog = f"sqlite:///{workplace.folder}/catalog.sqlite"
        if name == "ducklake_postgres":
            catalog = request.getfixturevalue("postgres").url()
        return {
            "HOME": str(home),
            "DESTINATION__DUCKLAKE__CREDENTIALS__CATALOG": catalog,
            "DESTINATION__DUCKLAKE__CREDENTIALS__STORAGE__BUCKET_URL": f"{workplace.folder}/lake",
        }
    return {}
