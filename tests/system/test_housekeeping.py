"""What a machine that keeps its disk keeps for how long: a thousand nights need no more room than a few."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

import duckdb
import pytest

from boast_source.jobs.nightly import nightly_job
from tests.support.pushing import Pushing

NIGHTS = int(os.environ.get("BOAST_NIGHTS", "8"))  # `make soak` asks for a thousand
KEPT = 3  # packages


@pytest.fixture
def house(sandbox, workplace, monkeypatch):
    """A sandbox and a folder in which nights run in this process."""
    server = sandbox(enrollments=100, page_size=100)
    workplace.use(server, SOURCES__BOAST__KEEP_PACKAGES=str(KEPT), LOAD__DELETE_COMPLETED_JOBS="true")
    for name, value in (workplace.env | {"DLT_DATA_DIR": str(workplace.folder / "state")}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(workplace.folder)
    return server, workplace.folder


def execute(folder, sql, *values):
    with duckdb.connect(str(folder / "boast.duckdb")) as connection:
        return connection.execute(sql, values).fetchall()


def room(folder) -> tuple[int, int]:
    """Files, and bytes in them."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


@pytest.mark.timeout(300 + 10 * NIGHTS)
def test_many_nights_need_no_more_room_than_a_few(house):
    server, folder = house
    early = None
    for night in range(NIGHTS):
        server.control("POST", "mutate", {"update": 3, "insert": 1})
        assert nightly_job().exit_code == 0
        execute(folder, "update boast_data.runs set started_at = started_at - interval '100 days'")
        if night == KEPT + 1:
            early = room(folder / "state"), (folder / "boast.duckdb").stat().st_size
    (files, size), file = early
    after = room(folder / "state")
    assert after[0] <= files
    assert after[1] < 1.2 * size
    # the warehouse grows with what is stored: four versions a night, and a row of dlt's for each package
    assert (folder / "boast.duckdb").stat().st_size < file + 2**21 + NIGHTS * 4096
    assert execute(folder, "select count(*) from boast_data.runs") == [(4,)]  # aged 100 days a night, kept for 400
    assert len(list((folder / "state" / "pipelines" / "boast" / "load" / "loaded").iterdir())) == KEPT


def test_the_rows_of_runs_that_others_rest_on_are_kept_and_the_ledger_for_ever(house):
    server, folder = house
    desk = Pushing(server, folder)
    desk.ask({"request_id": "r1", **desk.free_pairs(1)[0]})
    assert desk.push().counts == {"enrolled": 1}
    long_ago = datetime.now(timezone.utc) - timedelta(days=5000)
    for table, column in (("runs", "started_at"), ("runs", "finished_at"), ("push_ledger", "recorded_at")):
        execute(folder, f"update boast_data.{table} set {column} = ?", long_ago)
    execute(
        folder,
        "insert into boast_data.runs (run_id, command, started_at, exit_code) values ('x', 'load', ?, 1)",
        long_ago,
    )
    left = "select count(*) filter (run_id = 'x'), count(*) filter (sent > 0), count(*) from boast_data.runs"
    assert desk.push().counts == {}
    assert execute(folder, left) == [(1, 1, 3)]  # as if this run's clock were ahead: nothing is old by the one before
    assert desk.push().counts == {}
    assert execute(folder, left) == [(0, 1, 3)]
    assert execute(folder, "select count(*), max(attempt) from boast_data.push_ledger") == [(2, 1)]
    execute(folder, "delete from boast_data.push_ledger")
    desk.ask({"request_id": "r2", **desk.free_pairs(1)[0]})
    assert nightly_job().exit_code == 2  # the ledger is lost, and the runs say so after 5,000 days


def test_what_a_killed_run_left_of_its_packages_goes_with_the_next_good_run(house):
    _, folder = house
    assert nightly_job().exit_code == 0
    working = folder / "state" / "pipelines" / "boast"
    here = sorted(path for path in working.rglob("*") if path.is_dir() and "loaded" not in path.parts)
    left = [
        working / "load" / "new" / "1795418212.5620205",
        working / "normalize" / "0a1b2c3d" / "new" / "1795418212.5",
    ]
    for package in left:
        (package / "new_jobs").mkdir(parents=True)
        (package / "new_jobs" / "contacts.e0f2a997ab.0.parquet").write_text("jane@example.com")
    assert nightly_job().exit_code == 0
    assert sorted(path for path in working.rglob("*") if path.is_dir() and "loaded" not in path.parts) == here


def test_a_run_survives_a_table_of_an_older_version(house):
    _, folder = house
    assert nightly_job().exit_code == 0
    execute(folder, "drop view boast_data.pipeline_health")
    execute(folder, "alter table boast_data.runs drop column told")
    assert nightly_job().exit_code == 0
    assert execute(folder, "select exit_code, told from boast_data.runs") == [(0, None), (0, None)]
    assert not (folder / "state" / "pipelines" / "boast.runs.jsonl").exists()
