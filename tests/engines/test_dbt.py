"""The dbt package in a user's project over a loaded warehouse: it builds, and finds wrong and old data."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import duckdb
import pytest
import yaml

from boast_source.models.schema import relations
from tests.engines.conftest import ROOT

PROJECT = {"name": "mine", "version": "1.0", "profile": "mine", "model-paths": ["models"]}
MODEL = """select sequence_name, response_rate from {{ ref('sequence_performance') }}
where sequence_id in (select sequence_id from {{ ref('stg_boast__sequence_enrollments') }})"""


@pytest.fixture(params=["duckdb", "postgres"])
def project(request, sandbox, workplace):
    """`run("test")` runs dbt in a project of a user's own that has the package and a loaded warehouse."""
    workplace.use(sandbox(enrollments=200))
    target = {"type": "duckdb", "path": "boast.duckdb", "schema": "marts"}
    if request.param == "postgres":
        postgres = request.getfixturevalue("postgres")
        workplace.env |= postgres.env
        target = {
            "type": "postgres",
            "host": "127.0.0.1",
            "port": postgres.port,
            "dbname": postgres.name,
            "user": "boast",
            "password": "correct-horse",
            "schema": "marts",
        }
    into = ("--destination", request.param, "--dataset", "reviews")
    done = workplace.boast("load", *into)
    assert done.code == 0, done.err
    for name, content in {
        "dbt_project.yml": PROJECT | {"vars": {"boast_schema": "reviews"}},
        "profiles.yml": {"mine": {"target": "dev", "outputs": {"dev": target}}},
        "packages.yml": {"packages": [{"local": str(ROOT / "dbt")}]},
    }.items():
        (workplace.folder / name).write_text(yaml.safe_dump(content))
    (workplace.folder / "models").mkdir()
    (workplace.folder / "models" / "best.sql").write_text(MODEL)
    dbt = Path(os.environ["BOAST_ENGINE_PYTHON"]).with_name("dbt")
    env = {
        "HOME": str(workplace.folder / "home"),
        "PATH": os.environ["PATH"],
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }

    def run(*arguments):
        command = [dbt, "--no-use-colors", *arguments, "--profiles-dir", "."]
        return subprocess.run(command, cwd=workplace.folder, env=env, capture_output=True, text=True, check=False)

    def change(*statements):
        for statement in statements:
            if request.param == "postgres":
                postgres.sql(statement)
            else:
                with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
                    connection.execute(statement)

    deps = run("deps")
    assert deps.returncode == 0, deps.stdout
    return run, change, workplace


def test_fresh_and_right_data_builds_and_documents_itself(project):
    run, _, workplace = project
    fresh = run("source", "freshness")
    assert fresh.returncode == 0, fresh.stdout
    assert "PASS freshness of boast.good_runs" in fresh.stdout
    built = run("build")
    assert built.returncode == 0, built.stdout
    assert "ERROR=0" in built.stdout
    assert "WARN=0" in built.stdout
    assert "Deprecat" not in built.stdout
    assert run("docs", "generate").returncode == 0
    catalog = json.loads((workplace.folder / "target" / "catalog.json").read_text())
    for name, relation in relations().items():
        if name == "push_ledger":  # before the first push
            continue
        (found,) = [node for node in catalog["sources"].values() if node["metadata"]["name"] == name]
        assert {column.lower() for column in relation.columns} <= {column.lower() for column in found["columns"]}, name
    assert (
        "exposure.boast.boast_report"
        in json.loads((workplace.folder / "target" / "manifest.json").read_text())["exposures"]
    )


def test_wrong_and_old_data_is_found(project):
    run, change, _ = project
    change(
        "insert into reviews.sequence_enrollments select * from reviews.sequence_enrollments limit 1",
        "update reviews.runs set finished_at = finished_at - interval '3 day'",
    )
    tested = run("test", "--select", "source:boast.sequence_enrollments")
    assert (tested.returncode, "source_unique_boast_sequence_enrollments_id" in tested.stdout) == (1, True)
    fresh = run("source", "freshness")
    assert (fresh.returncode, "ERROR STALE freshness of boast.good_runs" in fresh.stdout) == (1, True)
