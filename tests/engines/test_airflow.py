"""Airflow 3: the shipped DAG through `dag.test()`, against a sandbox and a real Postgres."""

from __future__ import annotations

import pytest

from tests.engines.conftest import ROOT
from tests.support.sandbox_client import client_of
from tests.support.stored_in_postgres import counts, listed, stored


@pytest.fixture
def airflow(engine, workplace):
    """`airflow(server)` runs the DAG; its database stays for the next call. `push`: with that line changed."""
    home = workplace.folder / "airflow"
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(workplace.folder),
    }

    def run(server, *, push=False, **env):
        edits = {"RETRY_AFTER = ": "RETRY_AFTER = timedelta(0)", "PUSH = ": f"PUSH = {push}"}
        definitions = ROOT / "pipelines" / "airflow" / "boast_nightly.py"
        return engine(server, "run_airflow.py", definitions, edits, **settings, **env)

    return run


def states(told):
    return [(task, place, state) for task, place, state, _ in told["tasks"]]


def test_a_night_prepares_loads_each_account_in_its_task_and_tells_once(sandbox, airflow, postgres):
    server = sandbox(enrollments=90, accounts=3)
    told = airflow(server)
    assert told["state"] == "success"
    loads = [("load", place, "success") for place in range(3)]
    assert states(told) == [*loads, ("loaded", -1, "success"), ("prepare", -1, "success")]
    assert told["names"] == sorted(server.account_ids)
    assert told["events"] == [{"accounts": 3, "listed": 90, "loaded": 90, "missing": 0}]
    assert stored(postgres) == listed(server)
    server.control("POST", "mutate", {"update": 7, "insert": 2})
    assert airflow(server)["events"][1:] == [{"accounts": 3, "listed": 92, "loaded": 9, "missing": 0}]
    assert stored(postgres) == listed(server)
    assert counts(postgres, "sequence_enrollments_history", "version_key") == (99, 99)


def test_a_load_that_failed_is_tried_again_and_a_wrong_configuration_is_not(sandbox, airflow, postgres):
    server = sandbox(enrollments=60, accounts=2)
    account = server.account_ids[1]
    fault = {"kind": "status", "status": 404, "path": f"{account}/sequence_enrollments", "times": 1}
    server.control("POST", "faults", fault)
    told = airflow(server)
    assert told["state"] == "success"
    assert [task[1:] for task in told["tasks"] if task[0] == "load"] == [[0, "success", 1], [1, "success", 2]]
    assert stored(postgres) == listed(server)
    wrong = airflow(server, SOURCES__BOAST__TIME_ZONE="Nowhere")
    assert wrong["state"] == "failed"
    assert ["prepare", -1, "failed", 1] in wrong["tasks"]


def test_an_account_that_stays_away_tells_nobody_that_all_is_loaded_and_stops_neither_loads_nor_push(
    sandbox, airflow, postgres, workplace
):
    server = sandbox(enrollments=60, accounts=3)
    airflow(server)
    with client_of(server) as client:
        sequence = client.every("sequences")[0]["id"]
    postgres.sql(
        "create table boast_data.pending_enrollments as"
        f" select account_id, id as contact_id, '{sequence}' as sequence_id from boast_data.contacts"
        f" where account_id = '{server.account_ids[0]}' and id not in"
        f" (select contact_id from boast_data.sequence_enrollments where sequence_id = '{sequence}') limit 3"
    )
    assert workplace.boast("push", "--new-ledger", "--limit", "0", "--destination", "postgres").code == 0
    gone = [key for key, found in server.truth().items() if found["account_id"] == server.account_ids[1]]
    server.control("POST", "mutate", {"delete_ids": gone, "update": 6})
    told = airflow(server, push=True)
    assert told["state"] == "failed"
    assert len(told["events"]) == 1
    assert ("load", 1, "failed") in states(told)
    assert ("load", 2, "success") in states(told)
    assert ("loaded", -1, "upstream_failed") in states(told)
    sent = "select count(*) from boast_data.push_requests where state = 'enrolled'"
    assert postgres.sql(sent) == [(3,)]
