"""Tables and columns that somebody dropped by hand in the destination come back with the next load."""

from __future__ import annotations

import duckdb
import pytest

from tests.support.workplace import stored
from tests.warehouse.test_postgres import counts, listed
from tests.warehouse.test_postgres import stored as stored_in_postgres

ONLY = ("load", "--resources", "sequence_enrollments", "--json")
DROPS = {
    "drop table boast_data.sequence_enrollments cascade": 30,
    "drop table boast_data.sequence_enrollments_history cascade": 0,
    "alter table boast_data.sequence_enrollments drop column contact_id cascade": 30,
    "alter table boast_data.sequence_enrollments_history drop column status cascade": 0,
}


def good(done):
    assert done.code == 0, done.err
    return sum(account["loaded"] for account in done.json["accounts"])


def execute(workplace, sql):
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize(("drop", "again"), DROPS.items())
def test_what_was_dropped_on_duckdb_is_rebuilt(sandbox, workplace, drop, again):
    server = sandbox(enrollments=30)
    workplace.use(server)
    good(workplace.boast(*ONLY))
    execute(workplace, drop)
    done = workplace.boast(*ONLY)
    assert good(done) == again
    assert stored(workplace) == server.truth()
    assert workplace.sql("select count(*), max(version) from boast_data.sequence_enrollments_history") == [(30, 1)]
    assert good(workplace.boast(*ONLY)) == 0


def test_a_fresh_working_folder_rebuilds_it_too(sandbox, workplace):
    server = sandbox(enrollments=30)
    workplace.use(server)
    good(workplace.boast(*ONLY))
    execute(workplace, "drop table boast_data.sequence_enrollments cascade")
    assert good(workplace.boast(*ONLY, DLT_DATA_DIR=str(workplace.folder / "new"))) == 30
    assert stored(workplace) == server.truth()


def test_what_was_dropped_on_postgres_is_rebuilt(sandbox, workplace, postgres):
    server = sandbox(enrollments=30)
    workplace.use(server).env |= postgres.env
    into = (*ONLY, "--destination", "postgres")
    good(workplace.boast(*into))
    for drop, again in DROPS.items():
        postgres.sql(drop)
        assert good(workplace.boast(*into)) == again, drop
        assert stored_in_postgres(postgres) == listed(server)
        assert counts(postgres, "sequence_enrollments_history", "version_key") == (30, 30)
    assert good(workplace.boast(*into)) == 0


@pytest.mark.parametrize(
    ("table", "key"), [("sequence_enrollments", "id"), ("sequence_enrollments_history", "version_key")]
)
def test_a_key_column_that_no_load_can_fill_is_named_every_time(sandbox, workplace, table, key):
    workplace.use(sandbox(enrollments=3))
    good(workplace.boast(*ONLY))
    execute(workplace, f"alter table boast_data.{table} rename column {key} to mine")
    for _ in range(2):
        done = workplace.boast(*ONLY)
        assert done.code == 1
        assert f'"{table}" has no column {key} any more' in done.json["error"]
    execute(workplace, f"alter table boast_data.{table} rename column mine to {key}")
    good(workplace.boast(*ONLY))


def test_versions_that_a_trigger_keeps_from_the_history_are_told(sandbox, workplace, postgres):
    server = sandbox(enrollments=30)
    workplace.use(server).env |= postgres.env
    into = (*ONLY, "--destination", "postgres")
    good(workplace.boast(*into))
    postgres.sql("create function boast_data.no() returns trigger language plpgsql as $$begin return null; end$$")
    history = "boast_data.sequence_enrollments_history"
    postgres.sql(f"create trigger no before insert on {history} for each row execute function boast_data.no()")
    server.control("POST", "mutate", {"update": 2})
    done = workplace.boast(*into)
    assert done.code == 3
    assert "2 versions did not reach sequence_enrollments_history" in done.json["accounts"][0]["error"]
    postgres.sql(f"drop trigger no on {history}")
    good(workplace.boast(*into))
    assert counts(postgres, "sequence_enrollments_history", "version_key") == (32, 32)


def test_status_names_a_table_that_stands_under_the_name_of_a_view(sandbox, workplace):
    workplace.use(sandbox(enrollments=3))
    good(workplace.boast(*ONLY))
    execute(workplace, "create or replace view boast_data.good_runs as select 1 as x")
    done = workplace.boast("status")
    assert done.code == 1
    assert '"good_runs" is a table or view of yours' in done.err


def test_a_generated_column_that_takes_no_value_is_named(sandbox, workplace, postgres):
    server = sandbox(enrollments=5)
    workplace.use(server).env |= postgres.env
    into = (*ONLY, "--destination", "postgres")
    good(workplace.boast(*into))
    postgres.sql("alter table boast_data.sequence_enrollments add column seq bigint generated always as identity")
    server.control("POST", "mutate", {"update": 1})
    done = workplace.boast(*into)
    assert done.code == 1
    assert "takes no value (sequence_enrollments.seq)" in done.json["error"]
    assert "generated by default" in done.json["error"]


def test_rows_that_the_api_no_longer_has_come_back_from_the_history_on_postgres(sandbox, workplace, postgres):
    server = sandbox(enrollments=30)
    workplace.use(server).env |= postgres.env
    into = (*ONLY, "--destination", "postgres")
    good(workplace.boast(*into))
    server.control("POST", "mutate", {"delete": 2})
    good(workplace.boast(*into))
    gone = "select * from boast_data.sequence_enrollments where missing_since is not null order by id"
    before = postgres.sql(gone)
    assert len(before) == 2
    postgres.sql("delete from boast_data.sequence_enrollments where missing_since is not null")
    done = workplace.boast(*into)
    assert good(done) == 0
    assert "2 enrollments that the API no longer has" in done.err
    assert postgres.sql(gone) == before
