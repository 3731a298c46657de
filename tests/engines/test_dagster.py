"""Dagster: the shipped definitions, scheduled and materialized in-process against a sandbox and a real Postgres."""

from __future__ import annotations

import pytest

from tests.engines.conftest import ROOT
from tests.support.sandbox_client import client_of
from tests.support.stored_in_postgres import counts, listed, stored

LISTS = {"accounts", "contacts", "forms", "responses", "sequences"}


@pytest.fixture
def dagster(engine, tmp_path):
    """`dagster(server, *arguments)` runs the definitions; its events add up."""
    (tmp_path / "dagster").mkdir()
    script, definitions = "run_dagster.py", ROOT / "pipelines" / "dagster" / "boast_assets.py"

    def run(server, *arguments, **env):
        edits = {"RETRY_AFTER = ": "RETRY_AFTER = 0.1"}
        return engine(server, script, definitions, edits, str(tmp_path / "dagster"), *arguments, **env)

    return run


def test_a_night_materializes_each_table_of_each_account_and_checks_it(sandbox, dagster, postgres):
    server = sandbox(enrollments=90, accounts=3)
    told = dagster(server)
    assert told["keys"] == [f" {account}" for account in server.account_ids]
    assert [run["success"] for run in told["runs"]] == [True] * 3
    assert stored(postgres) == listed(server)
    assert counts(postgres, "sequence_enrollments_history", "version_key") == (90, 90)
    enrollments = [run["materialized"]["sequence_enrollments"] for run in told["runs"]]
    assert sum(found["listed"] for found in enrollments) == 90
    assert {found["verified"] for found in enrollments} == {"covered"}
    assert {*told["runs"][0]["materialized"]} == LISTS | {"sequence_enrollments", "sequence_enrollments_history"}
    assert [run["checks"]["verified"][0] for run in told["runs"]] == [True] * 3
    assert told["fresh"][0] is True


def test_the_check_of_the_morning_fails_when_no_night_was_good_for_long(sandbox, dagster, postgres):
    server = sandbox(enrollments=40, accounts=2)
    dagster(server)
    for hours, passed in ((20, True), (10, False)):  # 20, then 30 hours ago
        postgres.sql(
            f"update boast_data.runs set started_at = started_at - interval '{hours} hours',"
            f" finished_at = finished_at - interval '{hours} hours'"
        )
        assert dagster(server, "fresh")[0] is passed


def test_an_account_that_fails_its_verification_fails_its_check_and_no_other(sandbox, dagster, postgres):
    server = sandbox(enrollments=90, accounts=3)
    dagster(server)
    gone = [key for key, found in server.truth().items() if found["account_id"] == server.account_ids[1]]
    server.control("POST", "mutate", {"delete_ids": gone})
    failed = dagster(server)["runs"]
    assert [run["success"] for run in failed] == [True, False, True]
    assert "sequence_enrollments" not in failed[1]["materialized"]
    passed, about = failed[1]["checks"]["verified"]
    assert passed is False
    assert "--accept-missing" in about["error"]
    server.control("POST", "mutate", {"restore_ids": gone})
    assert all(run["success"] for run in dagster(server)["runs"])
    assert stored(postgres) == listed(server)


def test_what_may_pass_is_tried_again_and_what_only_a_person_can_mend_is_not(sandbox, dagster, postgres):
    server = sandbox(enrollments=40)
    dagster(server)
    (account,) = server.account_ids
    server.control("POST", "mutate", {"update": 5})
    server.control("POST", "faults", {"kind": "status", "status": 404, "path": "sequence_enrollments", "times": 1})
    healed = dagster(server, "boast_tables", account)
    assert (healed["success"], healed["retries"]) == (True, 1)
    assert stored(postgres) == listed(server)
    wrong = dagster(server, "boast_tables", account, SOURCES__BOAST__TIME_ZONE="Nowhere")
    assert (wrong["success"], wrong["retries"]) == (False, 0)


def test_a_push_is_an_asset_and_a_run_of_it_again_sends_nothing(sandbox, dagster, postgres, workplace):
    server = sandbox(enrollments=40)
    dagster(server)
    with client_of(server) as client:
        sequence = client.every("sequences")[0]["id"]
    postgres.sql(
        f"create table boast_data.pending_enrollments as select id as contact_id, '{sequence}' as sequence_id"
        " from boast_data.contacts where id not in"
        f" (select contact_id from boast_data.sequence_enrollments where sequence_id = '{sequence}') limit 3"
    )
    unready = dagster(server, "push_ledger")
    assert (unready["success"], unready["retries"]) == (False, 0)
    assert workplace.boast("push", "--new-ledger", "--limit", "0", "--destination", "postgres").code == 0
    assert dagster(server, "push_ledger")["materialized"]["push_ledger"]["enrolled"] == 3
    assert dagster(server, "push_ledger")["materialized"]["push_ledger"]["enrolled"] == 0
    assert len(server.truth()) == 43


def test_the_source_is_assets_of_dagster_dlt_verified_with_views(sandbox, engine, tmp_path, postgres):
    server = sandbox(enrollments=90, accounts=3)
    (tmp_path / "dagster").mkdir()

    def run():
        definitions = ROOT / "pipelines" / "dagster" / "boast_dlt_assets.py"
        return engine(server, "run_dagster_dlt.py", definitions, {}, str(tmp_path / "dagster"))

    first = run()
    assert first["success"], first["failed"][0][-3000:]
    tables = LISTS | {"sequence_enrollments", "sequence_enrollments_history"}
    assert {*first["loaded"]} == {f"boast_data/{table}" for table in tables}
    assert first["loaded"]["boast_data/sequence_enrollments"] == 90
    server.control("POST", "mutate", {"update": 5})
    second = run()
    assert (second["success"], second["loaded"]["boast_data/sequence_enrollments"]) == (True, 5)
    assert stored(postgres) == listed(server)
    assert postgres.sql("select sum(enrolled) from boast_data.sequence_performance") == [(90,)]
    assert postgres.sql("select verified, listed from boast_data.good_runs") == [("covered", 90)] * 2
    server.control("POST", "mutate", {"delete_ids": list(server.truth())})
    refused = run()
    assert refused["success"] is False
    assert "--accept-missing" in refused["failed"][0]
    assert len(stored(postgres)) == 90
