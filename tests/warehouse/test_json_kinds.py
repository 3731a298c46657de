"""JSON where the warehouse takes it, JSON text elsewhere: decided by dlt's capabilities, never refused by dlt."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import dlt
import pytest
from dlt.common.destination import Destination
from dlt.common.destination.utils import verify_schema_capabilities, verify_supported_data_types

from boast_source import boast_source, load_job
from boast_source.api import AccessTokenCredentials
from boast_source.warehouse import Warehouse
from boast_source.warehouse.capabilities import keeps_json
from tests.support.workplace import NO_REPORT

CLOUDS = ("athena", "bigquery", "clickhouse", "databricks", "dremio", "fabric", "motherduck", "mssql", "redshift")
EVERY = (*CLOUDS, "snowflake", "synapse", "ducklake", "sqlalchemy", "duckdb", "postgres")
DEEP = {"tags": ["a", {"b": None}], "deep": {"z": [1, 2.5], "a": {}}}


@pytest.mark.parametrize("name", EVERY)
def test_dlt_accepts_every_table_for_every_destination(sandbox, name, tmp_path, monkeypatch):
    """Without an account: the package is extracted and normalized, and checked as dlt's load step checks it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Warehouse, "kinds", lambda *_: {})  # there is no server to ask
    monkeypatch.setattr(Warehouse, "stored_schema", lambda *_: {})
    monkeypatch.setattr(Warehouse, "read", lambda *_, **__: iter(()))
    monkeypatch.setattr(Warehouse, "sum_in_duckdb", lambda *_, **__: None)
    monkeypatch.setattr(Warehouse, "may_replace", lambda *_: False)
    server = sandbox(enrollments=5)
    server.control("POST", "mutate", {"edits": [{"id": min(server.truth()), "set": DEEP}]})
    pipeline = dlt.pipeline("boast", destination=name, dataset_name="boast_data", pipelines_dir=str(tmp_path / "p"))
    credentials = AccessTokenCredentials(access_token=server.access_token)
    pipeline.extract(boast_source(credentials, base_url=server.base_url))
    pipeline.normalize()
    caps, schema = pipeline.destination.capabilities(), pipeline.default_schema
    (load_id,) = pipeline.list_normalized_load_packages()
    jobs = [job.job_file_info for job in pipeline.get_load_package_info(load_id).jobs["new_jobs"]]
    tables = [table | {"x-insert-api": "copy_into"} for table in schema.tables.values()]  # as Databricks prepares them
    assert {job.table_name for job in jobs} >= {"sequence_enrollments", "responses", "sequence_enrollments_history"}
    assert verify_schema_capabilities(schema, caps, pipeline.destination.destination_type) == []
    assert verify_supported_data_types(tables, jobs, caps, pipeline.destination.destination_type) == []
    kinds = {
        schema.tables[t]["columns"][c]["data_type"]
        for t, c in (("sequence_enrollments", "deep"), ("responses", "tags"))
    }
    assert kinds == {"json" if keeps_json(pipeline.destination) else "text"}


def test_only_where_dlt_would_refuse_or_encode_it_twice_is_json_text():
    assert [n for n in EVERY if not keeps_json(Destination.from_reference(n))] == [
        "bigquery",
        "sqlalchemy",
    ]


def test_on_sqlite_json_is_encoded_once_and_equal_the_next_night(sandbox, workplace):
    server = sandbox(enrollments=8)
    url = f"sqlite:///{workplace.folder}/boast.db"
    workplace.use(server, DESTINATION__SQLALCHEMY__CREDENTIALS=url, PYTHONPATH="", **NO_REPORT)
    key = min(server.truth())
    server.control("POST", "mutate", {"edits": [{"id": key, "set": DEEP}]})
    night = ("load", "--destination", "sqlalchemy", "--json")
    first = workplace.boast(*night)
    assert (first.code, first.err) == (0, "")

    def one(sql):
        with closing(sqlite3.connect(workplace.folder / "boast__boast_data.db")) as connection:
            return connection.execute(sql).fetchone()

    tags, deep, last = one(f"select tags, deep, tags ->> '$[0]' from sequence_enrollments where id = '{key}'")
    assert (json.loads(tags), json.loads(deep), last) == (DEEP["tags"], DEEP["deep"], "a")
    again = workplace.boast(*night)
    assert (again.code, sum(account["loaded"] for account in again.json["accounts"])) == (0, 0), again.err
    server.control("POST", "mutate", {"edits": [{"id": key, "set": {"deep": [1]}}]})
    assert [workplace.boast(*night).code for _ in range(2)] == [0, 0]
    assert one(f"select deep from sequence_enrollments where id = '{key}'") == ("[1]",)


@pytest.mark.filterwarnings("ignore:implicitly coercing SELECT")  # of dlt on SQLite
def test_on_sqlite_what_version_0_1_0_encoded_twice_is_put_right_once(sandbox, tmp_path, monkeypatch):
    server = sandbox(enrollments=8)
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/boast.db"
    places = {"DESTINATION__SQLALCHEMY__CREDENTIALS": url, "DLT_DATA_DIR": str(tmp_path / "state")}
    for key, value in (server.info["env"] | places).items():
        monkeypatch.setenv(key, value)
    key = min(server.truth())
    server.control("POST", "mutate", {"edits": [{"id": key, "set": DEEP}]})
    with monkeypatch.context() as patch:
        patch.setattr("boast_source.listing.listing.keeps_json", lambda _: True)  # as version 0.1.0 had it
        assert load_job("sqlalchemy").exit_code == 3
    nights = [load_job("sqlalchemy") for _ in range(2)]
    assert [(night.exit_code, night.as_json()["accounts"][0]["loaded"]) for night in nights] == [(0, 1), (0, 0)]
    with closing(sqlite3.connect(tmp_path / "boast__boast_data.db")) as connection:
        (deep,) = connection.execute(f"select deep from sequence_enrollments where id = '{key}'").fetchone()
    assert json.loads(deep) == DEEP["deep"]
