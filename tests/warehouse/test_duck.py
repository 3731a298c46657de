"""DuckDB as destination: merged straight from the load package, with no staging, whatever the folder is called."""

from __future__ import annotations

import os
from datetime import datetime, timezone

import duckdb
import pytest

from boast_source.models import VIEWS
from boast_source.models.schema import relations
from boast_source.outputs.copy import publish
from boast_source.outputs.report import figures
from boast_source.warehouse.duckdb import _statements
from boast_source.warehouse.pipeline import warehouse_for
from tests.support.datasets import Dataset
from tests.support.workplace import NO_REPORT, stored

MOMENT = datetime(2026, 3, 1, tzinfo=timezone.utc)
TABLES = [name for name in relations() if name not in VIEWS]
SCHEMAS = "select distinct schema_name from duckdb_tables() order by 1"


def test_there_is_no_staging_and_nothing_else_changes_in_a_folder_with_an_odd_name(sandbox, workplace):
    server = sandbox(enrollments=60)
    workplace.use(server, DLT_DATA_DIR=str(workplace.folder / "it's [a] folder?*"), **NO_REPORT)
    for change in ({}, {"update": 7, "insert": 3}, {"delete": 2}, {}):
        server.control("POST", "mutate", change)
        assert workplace.boast("nightly").code == 0
        assert stored(workplace) == server.truth()
    assert workplace.sql(SCHEMAS) == [("boast_data",)]


@pytest.mark.parametrize("strategy", ["upsert", "delete-insert", "insert-only"])
def test_a_file_that_is_merged_again_changes_nothing(strategy):
    rows = "(select unnest(['a', 'b', 'c']) as id, unnest([1, 2, 3]) as value, null as lacking)"
    with duckdb.connect() as connection:
        connection.execute("create table stored as select 'a' as id, 0 as value, 9 as lacking")
        connection.execute("insert into stored values ('z', 26, 26)")
        for _ in range(2):
            connection.begin()
            for statement in _statements(strategy, "stored", rows, "id", "id, value, lacking"):
                connection.execute(statement)
            connection.commit()
            first = ("a", 0, 9) if strategy == "insert-only" else ("a", 1, None)
            rest = [("b", 2, None), ("c", 3, None), ("z", 26, 26)]
            assert connection.execute("from stored order by id").fetchall() == [first, *rest]


@pytest.mark.timeout(120)  # to open a pipe waits for ever
@pytest.mark.parametrize("command", ["load", "status"])
def test_a_pipe_is_refused_and_stays(sandbox, workplace, command):
    place = workplace.folder / "boast.duckdb"
    os.mkfifo(place)
    done = workplace.use(sandbox()).boast(command)
    assert (done.code, done.out) == (2, "")
    assert f"{place} is not a file" in done.err
    assert place.is_fifo()


@pytest.mark.parametrize("command", ["load", "check"])
def test_an_address_of_motherduck_makes_no_file_and_shows_no_token(sandbox, workplace, command):
    address = {"DESTINATION__DUCKDB__CREDENTIALS": "md:mine?motherduck_token=canary"}
    done = workplace.use(sandbox()).boast(command, **address)
    assert (done.code, "canary" in done.out + done.err) == (2, False)
    assert "is an address of MotherDuck" in done.out + done.err
    assert not list(workplace.folder.glob("md:*"))


@pytest.mark.parametrize("command", ["load", "status"])
def test_a_path_that_no_file_can_have_is_told(sandbox, workplace, command):
    path = {"DESTINATION__DUCKDB__CREDENTIALS": f"/tmp/{'long' * 70}.duckdb"}
    done = workplace.use(sandbox()).boast(command, **path)
    assert (done.code, done.out) == (2, "")
    assert "cannot be used: File name too long" in done.err


@pytest.mark.timeout(120)  # DuckDB waits for ever
def test_what_an_error_left_half_read_does_not_keep_the_file_open(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    warehouse, half_read = warehouse_for("duckdb", "boast_data"), []
    for _ in range(2):
        with warehouse.open(patience=5):
            warehouse.client.execute_sql("create schema if not exists boast_data")
            warehouse.client.execute_sql(
                "create or replace table boast_data.accounts as select range as id from range(100000)"
            )
            half_read.append(warehouse.read("accounts", ["id"]))
            assert next(half_read[-1]).num_rows


def test_rows_are_read_from_the_catalog_in_use_where_a_file_is_attached_under_another_name(tmp_path, monkeypatch):
    """As DuckLake and MotherDuck do it: a cursor of DuckDB inherits no `use`."""
    monkeypatch.chdir(tmp_path)
    with warehouse_for("duckdb", "boast_data").open(patience=5) as warehouse:
        client = warehouse.client
        client.execute_sql("attach 'other.duckdb' as lake")
        client.execute_sql("use lake")
        client.create_dataset()
        client.execute_sql("create table boast_data.accounts as select 'a' as id")
        rows = [row for batch in warehouse.read("accounts", ["id", "name"]) for row in batch.to_pylist()]
        assert rows == [{"id": "a"}]
        client.execute_sql("use main")


def test_views_report_and_copy_are_of_the_catalog_in_use_where_a_file_is_attached_under_another_name(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    notes: list[str] = []
    with warehouse_for("duckdb", "boast_data").open(patience=5) as warehouse:
        client = warehouse.client
        client.execute_sql("create schema boast_data")
        client.execute_sql("create table boast_data.sequences as select 'of another' as id, 'of another' as name")
        client.execute_sql("attach 'other.duckdb' as lake")
        client.execute_sql("use lake")
        place = Dataset(warehouse)
        for name in TABLES:
            place.declared(name)
        row = {"id": "e", "sequence_id": "s", "account_id": "a", "status": "active", "created_at": MOMENT, "version": 1}
        place.insert("sequences", {"id": "s", "name": "Review"})
        place.insert("sequence_enrollments", {key: value for key, value in row.items() if key != "version"})
        place.insert("sequence_enrollments_history", row | {"observed_at": MOMENT, "updated_at": MOMENT})
        shown = figures.read(warehouse, "UTC")
        assert [(row["sequence_name"], row["enrolled"]) for row in shown.sequences] == [("Review", 1)]
        copy = publish(warehouse, "bi/copy.duckdb", [], notes.append)
        client.execute_sql("use main")
    assert notes == []
    with duckdb.connect(str(copy), read_only=True) as connection:
        rows = connection.execute("select sequence_name, enrolled from boast_data.sequence_performance").fetchall()
    assert rows == [("Review", 1)]
