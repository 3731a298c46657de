"""One ritual around every run: whatever ends it leaves a row in `runs`, or one beside the pipeline."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest

from boast_source import BoastError, load_job, nightly_job, push_job, report_job
from boast_source.jobs.load import prepare_job
from boast_source.jobs.requests import requests_job
from boast_source.runs.health import status
from boast_source.runs.lock import lock
from boast_source.warehouse.pipeline import warehouse_for

JOBS = {"load": load_job, "prepare": prepare_job, "push": push_job, "nightly": nightly_job, "report": report_job}
LOCKING = [name for name in JOBS if name != "report"]


@pytest.fixture
def place(sandbox, monkeypatch, tmp_path):
    """An empty folder, configured for a sandbox."""
    server = sandbox(enrollments=20)
    for name, value in server.info["env"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SOURCES__BOAST__REPORT_PATH", "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recorded(folder) -> list[dict[str, Any]]:
    """The rows of `runs`."""
    with duckdb.connect(str(folder / "boast.duckdb"), read_only=True) as connection:
        rows = connection.sql("from boast_data.runs order by started_at")
        return [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]


def kept(folder) -> list[dict[str, Any]]:
    """The rows beside the pipeline."""
    path = folder / "state" / "pipelines" / "boast.runs.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def refused(job, *arguments) -> BoastError:
    with pytest.raises(BoastError) as caught:
        job(*arguments)
    return caught.value


@pytest.mark.parametrize("name", JOBS)
def test_a_setting_that_cannot_be_read_leaves_a_record_and_a_summary(place, monkeypatch, name):
    monkeypatch.setenv("SOURCES__BOAST__TIME_ZONE", "Atlantis/Capital")
    error = refused(JOBS[name])
    (row,) = kept(place)
    assert (row["command"], row["status"], row["exit_code"], row["error"]) == (name, "failed", 2, str(error))
    assert error.summary == error.summary | {"run_id": row["run_id"], "status": "failed", "error": str(error)}
    assert not (place / "boast.duckdb").exists()


@pytest.mark.parametrize("name", JOBS)
def test_a_destination_that_is_not_there_makes_no_file(place, name):
    error = refused(JOBS[name], "duckbd")
    assert error.exit_code == 2
    assert [row["command"] for row in kept(place)] == [name]
    assert list(place.glob("*.duckdb")) == []


@pytest.mark.parametrize("name", LOCKING)
def test_a_lock_of_another_run_leaves_a_record_and_a_summary(place, name):
    with lock(warehouse_for("duckdb", "boast_data").pipeline):
        error = refused(JOBS[name])
    (row,) = kept(place)
    assert (row["command"], row["status"], row["exit_code"]) == (name, "locked", 4)
    assert error.summary["status"] == "locked"
    assert error.summary["run_id"] == row["run_id"]


@pytest.mark.parametrize("name", ["load", "push", "nightly"])
def test_a_run_that_fails_before_anything_was_loaded_makes_no_dataset_for_its_record(place, monkeypatch, name):
    monkeypatch.setenv("SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN", "not-the-token")
    error = refused(JOBS[name])
    assert [row["exit_code"] for row in kept(place)] == [error.exit_code]
    if (place / "boast.duckdb").exists():
        with duckdb.connect(str(place / "boast.duckdb"), read_only=True) as connection:
            assert connection.sql("select * from duckdb_tables() where table_name = 'runs'").fetchall() == []


def test_what_was_kept_is_recorded_by_the_next_run(place, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setenv("SOURCES__BOAST__TIME_ZONE", "Atlantis/Capital")
        refused(load_job)
    loaded = load_job()
    assert [(row["command"], row["exit_code"]) for row in recorded(place)] == [("load", 2), ("load", 0)]
    assert recorded(place)[-1]["run_id"] == loaded.run_id == loaded.as_json()["run_id"]
    assert kept(place) == []


def test_a_refused_push_and_a_report_leave_their_rows_beside_the_load(place):
    load_job()
    refused(push_job)
    report_job(place="report.html")
    rows = [(row["command"], row["status"]) for row in recorded(place)]
    assert rows == [("load", "ok"), ("push", "failed"), ("report", "ok")]


def test_a_mistyped_dataset_makes_nothing_and_is_named(place):
    load_job()
    for job in (push_job, report_job):
        refused(job, "duckdb", "bosat_data")
    refused(lambda: requests_job("duckdb", "bosat_data", action="list"))
    with duckdb.connect(str(place / "boast.duckdb"), read_only=True) as connection:
        schemas = {name for (name,) in connection.sql("select schema_name from duckdb_schemas()").fetchall()}
    assert "bosat_data" not in schemas


def test_looking_makes_no_file_and_says_where_it_looked(place):
    found = status(warehouse_for("duckdb", "boast_data"), max_age=None, patience=5, on_wait=print)
    assert found.health is None
    assert str(place / "boast.duckdb") in found.where
    assert "There is no warehouse at" in str(refused(report_job))
    assert "There is no warehouse at" in str(refused(lambda: requests_job(action="list")))
    assert not (place / "boast.duckdb").exists()


def test_jobs_return_what_they_did_and_print_nothing(place, capfd):
    assert prepare_job().accounts == [loaded.account_id for loaded in load_job().enrollments]
    night = nightly_job()
    assert (night.exit_code, night.as_json()["load"]["accounts"][0]["listed"]) == (0, 20)
    made = report_job(place=str(place / "report.html"))
    assert made.as_json() == {"run_id": made.run_id, "status": "ok", "report": str(place / "report.html")}
    assert capfd.readouterr() == ("", "")


def test_a_record_of_another_dataset_waits_for_that_dataset(place, monkeypatch):
    """Two datasets of one folder keep their records apart."""
    load_job()
    refused(push_job, "duckdb", "other_data")
    load_job()
    assert [row["command"] for row in recorded(place)] == ["load", "load"]
    load_job("duckdb", "other_data")
    with duckdb.connect(str(place / "boast.duckdb"), read_only=True) as connection:
        rows = connection.sql("select command from other_data.runs order by started_at").fetchall()
    assert rows == [("push",), ("load",)]
    assert kept(place) == []


def test_a_report_that_succeeds_does_not_hide_a_run_that_failed(place):
    load_job()
    refused(push_job)
    report_job(place="report.html")
    found = status(warehouse_for("duckdb", "boast_data"), max_age=None, patience=5, on_wait=print)
    assert (found.health["last_command"], found.health["last_exit_code"]) == ("push", 2)


def test_a_load_that_succeeds_does_not_hide_a_push_that_failed(place):
    load_job()
    refused(push_job)
    load_job()
    found = status(warehouse_for("duckdb", "boast_data"), max_age=None, patience=5, on_wait=print)
    assert (found.health["last_command"], found.health["last_exit_code"]) == ("push", 2)
    assert found.judgement == "The last run needs attention."


def test_a_push_that_failed_and_was_given_up_is_forgotten_after_a_week(place):
    load_job()
    refused(push_job)
    load_job()
    with duckdb.connect(str(place / "boast.duckdb")) as connection:
        connection.sql("update boast_data.runs set finished_at = finished_at - interval 8 days where command = 'push'")
    found = status(warehouse_for("duckdb", "boast_data"), max_age=None, patience=5, on_wait=print)
    assert (found.health["last_command"], found.judgement) == ("load", "Nothing needs attention.")
