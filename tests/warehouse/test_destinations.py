"""What is decided per destination: how to merge without upsert, what a run over given accounts has of its own."""

from __future__ import annotations

from types import SimpleNamespace

import dlt
import pytest

from boast_source.api import AccessTokenCredentials, BoastClient
from boast_source.listing.report import Options
from boast_source.load.load import load
from boast_source.warehouse import warehouse_of
from boast_source.warehouse.duckdb import MANY
from boast_source.warehouse.pipeline import pipeline_name
from tests.support.workplace import finish, stored

QUERY = "select count(*), count(distinct version_key), max(version) from boast_data.sequence_enrollments_history"


def test_a_run_over_given_accounts_has_a_name_that_only_equal_runs_share():
    assert pipeline_name(()) == "boast"
    assert pipeline_name(["a", "b"]) == pipeline_name(["b", "a", "b"])
    assert len({pipeline_name(()), pipeline_name(["a"]), pipeline_name(["b"]), pipeline_name(["a", "b"])}) == 4


def test_merging_is_as_preferred_where_the_destination_can_and_delete_insert_elsewhere():
    def strategy(destination, preferred="upsert", replaced=0):
        warehouse = warehouse_of(SimpleNamespace(destination=destination))
        return warehouse.merging(preferred, replaced=replaced)["write_disposition"]["strategy"]

    assert strategy(dlt.destinations.duckdb()) == "upsert"
    assert strategy(dlt.destinations.redshift()) == "delete-insert"
    assert strategy(dlt.destinations.duckdb(), replaced=MANY + 1) == "delete-insert"
    assert strategy(dlt.destinations.postgres(), replaced=MANY + 1) == "upsert"
    assert strategy(dlt.destinations.clickhouse(), "insert-only") == "delete-insert"


def test_a_warehouse_without_upsert_holds_the_same_rows_and_the_same_history(sandbox, workplace, monkeypatch):
    monkeypatch.chdir(workplace.folder)
    server = sandbox(enrollments=60)
    plain = dlt.destinations.duckdb("boast.duckdb", supported_merge_strategies=["delete-insert"])
    pipeline = dlt.pipeline("boast", destination=plain, dataset_name="boast_data", pipelines_dir="state")
    credentials = AccessTokenCredentials(access_token=server.access_token)
    with BoastClient(credentials, base_url=server.base_url) as client:
        for change in ({}, {"update": 7, "insert": 3}, {}):
            server.control("POST", "mutate", change)
            assert load(warehouse_of(pipeline), client, Options()).exit_code == 0
    assert stored(workplace) == server.truth()
    assert workplace.sql(QUERY) == [(70, 70, 2)]


def test_runs_over_single_accounts_share_the_duckdb_file(sandbox, workplace):
    server = sandbox(enrollments=60, accounts=2)
    workplace.use(server)
    only = ("load", "--json", "--resources", "sequence_enrollments")
    for account in server.account_ids:
        assert workplace.boast(*only, "--account", account).code == 0
    assert [path.name for path in workplace.folder.glob("**/*.duckdb")] == ["boast.duckdb"]
    assert stored(workplace) == server.truth()
    assert sum(account["loaded"] for account in workplace.boast(*only).json["accounts"]) == 0


def test_runs_over_single_accounts_side_by_side_wait_for_the_duckdb_file(sandbox, workplace):
    server = sandbox(enrollments=90, accounts=3)
    workplace.use(server)
    only = ("load", "--json", "--resources", "sequence_enrollments")
    for change in ({}, {"update": 20, "insert": 5}):
        server.control("POST", "mutate", change)
        for process in [workplace.start(*only, "--account", account) for account in server.account_ids]:
            done = finish(process)
            assert done.code == 0, done.err
        assert stored(workplace) == server.truth()
    assert sum(account["loaded"] for account in workplace.boast(*only).json["accounts"]) == 0
    ((recorded,),) = workplace.sql("select count(*) from boast_data.runs where status = 'ok'")
    kept = [line for path in workplace.folder.rglob("*.runs.jsonl") for line in path.read_text().splitlines()]
    assert recorded + len(kept) == 7  # one that met the file in another's hands comes with the account's next run


@pytest.mark.parametrize("key", ["DESTINATION__DUCKDB__CREDENTIALS", "DESTINATION__CREDENTIALS"])
def test_a_configured_duckdb_file_is_used_by_every_run(sandbox, workplace, key):
    server = sandbox(enrollments=20)
    workplace.use(server)
    only = ("load", "--resources", "sequence_enrollments", "--account", server.account_ids[0])
    assert workplace.boast(*only, **{key: "elsewhere.duckdb"}).code == 0
    assert [path.name for path in workplace.folder.glob("**/*.duckdb")] == ["elsewhere.duckdb"]


def test_a_destination_whose_packages_are_not_installed_says_which(sandbox, workplace):
    workplace.use(sandbox(enrollments=1), DESTINATION__SNOWFLAKE__CREDENTIALS="snowflake://a:secret@account/database")
    for command in ("check", "load", "nightly", "status"):
        done = workplace.boast(command, "--destination", "snowflake")
        assert done.code == 2, done.err
        assert "snowflake needs packages that are not installed" in done.err + done.out
        assert 'pip install "dlt[snowflake]"' in done.err + done.out
        assert "secret" not in done.err + done.out
