"""Iceberg tables: what they need, and what they bear besides the conformance suite."""

from __future__ import annotations

import json
import sqlite3
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dlt
import pyarrow as pa
import pytest

from boast_source import boast_source
from boast_source.warehouse.pipeline import warehouse_for
from tests.support.warehouses import HERE, as_iceberg
from tests.support.workplace import finish

pytestmark = pytest.mark.skipif(not HERE, reason="pyiceberg is in the environment of `make test-warehouses`")
CATALOG = "ICEBERG_CATALOG__ICEBERG_CATALOG_CONFIG"
LOAD = ("load", "--json", "--resources", "sequence_enrollments", "--destination", "filesystem")


@pytest.fixture
def iceberg(sandbox, workplace, monkeypatch):
    """A server and a workplace whose warehouse is Iceberg tables; so is the test's own."""
    server = sandbox(enrollments=20)
    workplace.use(server, **as_iceberg(workplace.folder))
    for key, value in (workplace.env | {"DLT_DATA_DIR": str(workplace.folder / "of_the_test")}).items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(workplace.folder)
    return server


def loaded(workplace):
    done = workplace.boast(*LOAD)
    assert done.code == 0, done.err
    return done.json["accounts"][0]["loaded"]


def table(name):
    return warehouse_for("filesystem", "boast_data")._table(name)


def stored(name="sequence_enrollments"):
    return {row["id"]: row for row in table(name).scan().to_arrow().to_pylist()}


def data_files(workplace):
    return {path.name for path in workplace.folder.glob("lake/*/sequence_enrollments/data/*")}


def edit(server, key, **fields):
    server.control("POST", "mutate", {"edits": [{"id": key, "set": fields, "touch": True}]})


@pytest.mark.parametrize("catalog", [None, {"type": "sql", "uri": "sqlite:///:memory:", "warehouse": "file:///tmp"}])
def test_a_catalog_that_does_not_last_is_refused_before_anything_is_loaded(iceberg, workplace, catalog):
    del workplace.env[CATALOG]
    done = workplace.boast(*LOAD, **({CATALOG: json.dumps(catalog)} if catalog else {}))
    assert done.code == 2, done.err
    assert "Iceberg tables need a catalog that lasts" in done.err
    assert not list(workplace.folder.glob("lake/**/*.parquet"))


def test_a_catalog_that_cannot_be_opened_is_told_without_its_address(iceberg, workplace):
    catalog = {"type": "sql", "uri": "sqlite:////no/such/folder/secret.db", "warehouse": "file:///tmp"}
    done = workplace.boast(*LOAD, **{CATALOG: json.dumps(catalog)})
    assert done.code == 1, done.err
    assert "The Iceberg catalog cannot be opened" in done.err
    assert "secret" not in done.err


def test_tables_of_the_other_format_are_refused_whichever_came_first(iceberg, workplace):
    assert loaded(workplace) == 20
    done = workplace.boast(*LOAD, SOURCES__BOAST__TABLE_FORMAT="delta")
    assert (done.code, "holds Iceberg tables" in done.err) == (2, True), done.err
    for code in (0, 2):
        form = "iceberg" if code else "delta"
        done = workplace.boast(*LOAD, "--dataset", "other", SOURCES__BOAST__TABLE_FORMAT=form)
        assert done.code == code, done.err
    assert "holds Delta tables" in done.err


def test_fields_that_come_in_any_order_and_columns_of_the_users_stay(iceberg, workplace):
    """Another pipeline knows the columns in another order, and none that the user added."""
    from pyiceberg.types import IntegerType  # noqa: PLC0415

    assert loaded(workplace) == 20
    first, second, *_ = sorted(iceberg.truth())
    edit(iceberg, first, note="a")
    assert loaded(workplace) == 1
    edit(iceberg, second, big=1)
    assert loaded(workplace) == 1
    mine = table("sequence_enrollments")
    with mine.update_schema() as update:
        update.add_column("mine", IntegerType())  # a type that the connector never writes
    mine.append(mine.schema().as_arrow().empty_table())
    whole = mine.scan().to_arrow()
    place = whole.column_names.index("mine")
    whole = whole.set_column(place, whole.field(place), pa.array([7] * whole.num_rows, whole.field(place).type))
    mine.overwrite(whole)
    edit(iceberg, first, note="b", big=2)
    edit(iceberg, second, fresh=True)
    other = dlt.pipeline("other", destination="filesystem", dataset_name="boast_data", pipelines_dir="p")
    other.run(boast_source().with_resources("sequence_enrollments", "sequence_enrollments_history"))
    found = stored()
    assert {row["mine"] for row in found.values()} == {7}
    assert [(found[key]["note"], found[key]["big"], found[key]["fresh"]) for key in (first, second)] == [
        ("b", 2, None),
        (None, 1, True),
    ]
    assert loaded(workplace) == 0


def test_two_loads_of_the_same_account_from_two_machines_end_exact(iceberg, workplace):
    """Neither the folder nor the lock is shared: what both write is committed once, or one of them fails."""
    assert loaded(workplace) == 20
    iceberg.control("POST", "mutate", {"update": 5, "insert": 3})
    both = [workplace.start(*LOAD, DLT_DATA_DIR=str(workplace.folder / name)) for name in ("a", "b")]
    codes = sorted(finish(process).code for process in both)
    assert codes[0] == 0
    workplace.boast(*LOAD)
    truth = {key: record["status"] for key, record in iceberg.truth().items()}
    assert {key: row["status"] for key, row in stored().items()} == truth
    assert table("sequence_enrollments").scan().count() == len(truth)


def test_old_runs_and_old_snapshots_are_forgotten(iceberg, workplace):
    for rows in (20, 0):
        assert loaded(workplace) == rows
    warehouse = warehouse_for("filesystem", "boast_data")
    assert len(table("runs").snapshots()) > 1
    iceberg.control("POST", "mutate", {"update": 5})
    assert loaded(workplace) == 5
    before = data_files(workplace)
    warehouse.tidy(datetime.now(timezone.utc) - timedelta(days=1))
    assert data_files(workplace) == before  # young
    warehouse.tidy(datetime.now(timezone.utc) - timedelta(days=1), kept=timedelta(0))
    needed = table("sequence_enrollments").inspect.files()["file_path"].to_pylist()
    assert data_files(workplace) == {Path(path).name for path in needed} < before
    assert (table("runs").scan().count(), len(table("runs").snapshots())) == (3, 1)
    warehouse.tidy(datetime.now(timezone.utc) + timedelta(days=1))
    assert table("runs").scan().count() == 0
    assert loaded(workplace) == 0


def test_a_catalog_that_another_run_is_creating_opens_a_moment_later(iceberg, workplace, monkeypatch):
    assert warehouse_for("filesystem", "boast_data")._catalog.list_namespaces() == []  # now all is imported
    file = workplace.folder / "new.db"
    catalog = json.loads(workplace.env[CATALOG]) | {"uri": f"sqlite:///{file}?timeout=0.01"}
    monkeypatch.setenv(CATALOG, json.dumps(catalog))
    other = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
    other.execute("begin exclusive")
    timer = threading.Timer(0.35, other.close)  # it is tried again for at least 0.4 seconds
    timer.start()
    assert warehouse_for("filesystem", "boast_data")._catalog.list_namespaces() == []
    timer.join()
