"""dbt: the shipped sources on a loaded DuckDB file; their tests pass, and fail where the data is wrong or old."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest

from tests.engines.conftest import ROOT

PROJECT = "{name: boast_models, version: '1.0', profile: boast, model-paths: [models]}"
PROFILE = "boast: {target: dev, outputs: {dev: {type: duckdb, path: boast.duckdb, schema: marts}}}"


@pytest.fixture
def project(sandbox, workplace):
    """`project("test")` runs dbt in a folder that holds the sources and a loaded boast.duckdb."""
    workplace.use(sandbox(enrollments=200))
    done = workplace.boast("load")
    assert done.code == 0, done.err
    (workplace.folder / "models").mkdir()
    shutil.copy(ROOT / "pipelines" / "dbt" / "sources.yml", workplace.folder / "models")
    (workplace.folder / "dbt_project.yml").write_text(PROJECT)
    (workplace.folder / "profiles.yml").write_text(PROFILE)
    dbt = Path(os.environ["BOAST_ENGINE_PYTHON"]).with_name("dbt")
    env = {
        "HOME": str(workplace.folder / "home"),
        "PATH": os.environ["PATH"],
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }

    def run(*arguments):
        command = [dbt, "--no-use-colors", *arguments, "--profiles-dir", "."]
        return subprocess.run(command, cwd=workplace.folder, env=env, capture_output=True, text=True, check=False)

    return run, workplace


def test_fresh_and_right_data_passes(project):
    run, _ = project
    fresh = run("source", "freshness")
    assert fresh.returncode == 0, fresh.stdout
    assert "PASS freshness of boast.good_runs" in fresh.stdout
    tested = run("test")
    assert tested.returncode == 0, tested.stdout
    assert "ERROR=0" in tested.stdout
    assert "WARN=0" in tested.stdout
    assert "Deprecat" not in tested.stdout


def test_wrong_and_old_data_is_found(project):
    run, workplace = project
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute("insert into boast_data.sequence_enrollments from boast_data.sequence_enrollments limit 1")
        connection.execute("update boast_data.runs set finished_at = finished_at - interval 3 day")
    tested = run("test", "--select", "source:boast.sequence_enrollments")
    assert (tested.returncode, "source_unique_boast_sequence_enrollments_id" in tested.stdout) == (1, True)
    fresh = run("source", "freshness")
    assert (fresh.returncode, "ERROR STALE freshness of boast.good_runs" in fresh.stdout) == (1, True)
