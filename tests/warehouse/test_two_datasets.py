"""Two customers' datasets in one folder: what a run of one left unfinished never gets into the other's."""

from __future__ import annotations

import contextlib
import json

import dlt
import duckdb
import pytest

from boast_source import boast_source
from boast_source.errors import LockedError
from boast_source.runs.lock import lock
from boast_source.warehouse.pipeline import warehouse_for
from boast_source.warehouse.working_folder import folder_for


class Customers:
    """Customer a and customer b, each with an API of its own, in one folder with one DuckDB file."""

    def __init__(self, sandbox, workplace):
        self.workplace = workplace
        self.servers = {name: sandbox(enrollments=20, seed=seed) for name, seed in (("a", 1), ("b", 2))}

    def load(self, name, *arguments):
        env = self.servers[name].info["env"]
        return self.workplace.boast("load", "--json", "--dataset", f"customer_{name}", *arguments, **env)

    def sql(self, statement):
        with duckdb.connect(str(self.workplace.folder / "boast.duckdb")) as connection:
            return connection.execute(statement).fetchall()

    def check_that_each_has_its_own(self):
        for name, server in self.servers.items():
            ids = {key for (key,) in self.sql(f"select id from customer_{name}.sequence_enrollments")}
            assert ids == set(server.truth())
        both = [{key for (key,) in self.sql(f"select id from customer_{name}.contacts")} for name in "ab"]
        assert both[0]
        assert both[0].isdisjoint(both[1])


@pytest.fixture
def customers(sandbox, workplace):
    return Customers(sandbox, workplace)


def test_what_a_failed_run_left_is_finished_in_its_own_dataset(customers):
    for name in "ab":
        assert customers.load(name).code == 0
    customers.sql("alter table customer_a.sequence_enrollments alter status set not null")
    edit = {"id": min(customers.servers["a"].truth()), "set": {"status": None}}
    customers.servers["a"].control("POST", "mutate", {"insert": 3, "edits": [edit]})
    assert customers.load("a").code == 1
    other = customers.load("b")
    assert (other.code, "interrupted" in other.err) == (0, False), other.err
    customers.sql("alter table customer_a.sequence_enrollments alter status drop not null")
    own = customers.load("a")
    assert (own.code, "finishing the load package" in own.err) == (0, True), own.err
    customers.check_that_each_has_its_own()


def test_a_first_load_that_failed_is_not_finished_into_the_next_dataset(customers):
    customers.sql("create schema customer_a")
    customers.sql("create table customer_a.sequence_enrollments (id text, status text check (status = 'never'))")
    assert customers.load("a").code == 1
    customers.sql("drop table customer_a.sequence_enrollments")
    assert [customers.load(name).code for name in "ba"] == [0, 0]
    customers.check_that_each_has_its_own()


@pytest.mark.parametrize("last", "ab", ids=["the same customer's", "the other customer's"])
@pytest.mark.parametrize("normalized", [False, True], ids=["extracted", "normalized"])
def test_what_an_older_version_left_gets_into_its_own_dataset_alone(customers, monkeypatch, last, normalized):
    """It had one folder for all datasets, and noted their names as given; `last`: whose command was its last one."""
    place = customers.workplace
    for name in "ab":
        assert customers.load(name).code == 0
    customers.servers["a"].control("POST", "mutate", {"insert": 3})
    file = dlt.destinations.duckdb(str(place.folder / "boast.duckdb"))
    shared = place.folder / "old" / "pipelines"
    with monkeypatch.context() as patch:
        for key, value in customers.servers["a"].info["env"].items():
            patch.setenv(key, value)
        patch.chdir(place.folder)

        def opened(name):
            return dlt.pipeline("boast", destination=file, dataset_name=f"Customer {name}", pipelines_dir=str(shared))

        pipeline = opened("a")
        pipeline.extract(boast_source())
        if normalized:
            pipeline.normalize()
        opened(last)
    place.env["DLT_DATA_DIR"] = str(shared.parent)
    runs = [customers.load(name) for name in "ba"]
    assert [run.code for run in runs] == [0, 0], [run.err for run in runs]
    customers.check_that_each_has_its_own()
    assert ("customer_b: set aside" in runs[0].err) == (last == "b")
    assert ("finishing the load package" in runs[1].err) == (last == "a")


def test_records_that_an_older_version_could_not_write_get_into_their_own_dataset(customers):
    place = customers.workplace
    for name in "ab":
        assert customers.load(name).code == 0
    kept = [{"run_id": name, "command": "load", "dataset": f"customer_{name}"} for name in "ab"]
    shared = place.folder / "state" / "pipelines" / "boast.runs.jsonl"
    shared.write_text("".join(json.dumps(row) + "\n" for row in kept))
    for name in "ba":
        assert customers.load(name).code == 0
        assert customers.sql(f"select run_id from customer_{name}.runs where length(run_id) = 1") == [(name,)]


def test_each_dataset_has_a_lock_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    first, again, second = (warehouse_for("duckdb", name).pipeline for name in ("one", "One", "two"))
    with lock(first), lock(second), pytest.raises(LockedError), contextlib.ExitStack() as held:
        held.enter_context(lock(again))


def test_a_folder_from_before_datasets_counted_is_taken_over_by_its_dataset(tmp_path):
    for place in (tmp_path, tmp_path / "of_1"):
        (place / "boast").mkdir(parents=True)
    (tmp_path / "boast.warehouse").write_text("duckdb /w")
    state = {"destination_type": "duckdb", "_local": {"initial_cwd": "/nowhere"}, "dataset_name": "one"}
    (tmp_path / "boast" / "state.json").write_text(json.dumps(state))
    second = folder_for(tmp_path, "boast", "duckdb /w", "two")
    assert second.parent == tmp_path
    assert [folder_for(tmp_path, "boast", "duckdb /w", name) for name in ("one", "two")] == [tmp_path, second]


@pytest.mark.parametrize("naming", ["snake_case", "direct", "duck_case", "sql_cs_v1", "sql_ci_v1"])
def test_a_dataset_is_the_same_to_the_commands_and_to_a_pipeline_of_your_own(tmp_path, monkeypatch, naming):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("SCHEMA__NAMING", naming)
    mine = dlt.pipeline("mine", destination="duckdb", dataset_name="My-Data")
    assert warehouse_for("duckdb", "My-Data").dataset == mine.sql_client().dataset_name
