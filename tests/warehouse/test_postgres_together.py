"""Loads into one Postgres side by side: who excludes whom, and what a lock outlasts."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest
from dlt.destinations.exceptions import DatabaseException

from boast_source.errors import DestinationError, LockedError
from boast_source.warehouse.pipeline import warehouse_for
from tests.support.stored_in_postgres import INTO, counts, listed, loaded, stored
from tests.support.waiting import arrived, until
from tests.support.workplace import finish


@pytest.fixture
def warehouses(postgres, monkeypatch, tmp_path):
    """Two runs' connections to the same dataset."""
    for name, value in {**postgres.env, "DLT_DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with contextlib.ExitStack() as opened:
        found = [warehouse_for("postgres", "boast_data") for _ in range(2)]
        yield [opened.enter_context(one.open(patience=5)) for one in found]


def fail(client, postgres):
    with pytest.raises(DatabaseException):
        client.execute_sql("select * from not_there")


def fail_in_a_transaction(client, postgres):
    with pytest.raises(DatabaseException), client.begin_transaction():
        client.execute_sql("select 1 / 0")


def break_the_connection(client, postgres):
    postgres.sql(f"select pg_terminate_backend({client.native_connection.info.backend_pid}, 60000)")
    with pytest.raises(DatabaseException):
        client.execute_sql("select 1")


@pytest.mark.parametrize("mishap", [fail, fail_in_a_transaction, break_the_connection])
def test_a_run_keeps_its_locks_when_the_database_refuses_a_statement_or_drops_the_connection(
    warehouses, postgres, mishap
):
    one, other = warehouses
    one.lock_accounts(["a"])
    one.lock_sender(single_sender=False)
    with one.migrating():
        mishap(one.client, postgres)
        held = postgres.sql("select count(*) from pg_locks where locktype = 'advisory' and granted")
        assert held == [(4,)]  # the dataset, its account, its sender, its migration
    with pytest.raises(LockedError):
        other.lock_accounts(["a"])
    with pytest.raises(LockedError):
        other.lock_sender(single_sender=False)


def test_a_run_whose_connection_broke_does_not_go_on_beside_the_one_that_took_its_place(warehouses, postgres):
    one, other = warehouses
    one.lock_sender(single_sender=False)
    postgres.sql(f"select pg_terminate_backend({one.client.native_connection.info.backend_pid}, 60000)")
    other.lock_sender(single_sender=False)
    for _ in range(2):  # nor does what a first error let go on
        with pytest.raises(DestinationError, match="has taken this one's place"):
            one.client.execute_sql("select 1")


def test_a_run_goes_on_once_the_server_takes_connections_again(warehouses, postgres):
    one, other = warehouses
    one.lock_sender(single_sender=False)
    one.client.close_connection()  # as after an error while the server was down
    one.client.execute_sql("select 1")
    with pytest.raises(LockedError):
        other.lock_sender(single_sender=False)


def test_a_server_that_drops_idle_connections_lets_no_second_run_in(warehouses):
    one, other = warehouses
    one.client.execute_sql("set idle_session_timeout = 200")
    one.lock_accounts(["a"])
    one.lock_sender(single_sender=False)
    time.sleep(1)  # a long listing, or an API that answers slowly
    with pytest.raises(LockedError):
        other.lock_accounts(["a"])
    with pytest.raises(LockedError):
        other.lock_sender(single_sender=False)


def test_locks_end_with_the_connection(warehouses):
    one, other = warehouses
    one.lock_sender(single_sender=False)
    one.client.__exit__(None, None, None)
    other.lock_sender(single_sender=False)


def test_two_runs_over_one_account_exclude_each_other_wherever_they_run(sandbox, job, postgres):
    server = sandbox(enrollments=60, accounts=3, latency=0.3)
    job.use(server)
    one, two, three = server.account_ids
    first = job.start(*INTO, "--account", one, "--account", two)
    until(lambda: postgres.sql("select count(*) from pg_locks where locktype = 'advisory'") == [(3,)])
    other_machine = {"DLT_DATA_DIR": str(job.folder / "elsewhere")}
    others = [
        job.start(*INTO, "--account", two, "--account", three, **other_machine),
        job.start(*INTO, **other_machine),
    ]
    shared, whole = map(finish, others)
    assert (shared.code, whole.code) == (4, 4)
    assert f"Another run loads account {two}" in shared.err
    assert finish(first).code == 0


@contextlib.contextmanager
def changing(server):
    """Some thirty changes a second."""
    ended = threading.Event()

    def change():
        while not ended.wait(0.1):
            server.control("POST", "mutate", {"update": 2, "insert": 1})

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_four_processes_load_twenty_accounts_side_by_side_and_exactly(sandbox, job, postgres):
    server = sandbox(enrollments=1000, accounts=20, page_size=100)
    job.use(server)
    some = ("--json", "--resources", "sequence_enrollments,accounts,contacts")
    shares = [server.account_ids[place::4] for place in range(4)]

    def round_of_four():
        running = [job.start(*INTO, "--json", *(p for a in share for p in ("--account", a))) for share in shares]
        return sum(loaded(done) for done in map(finish, running))

    assert round_of_four() == 1000
    assert stored(postgres) == listed(server)
    server.control("POST", "mutate", {"update": 100, "insert": 40})
    edits = [{"id": key, "set": {"campaign": place}} for place, key in enumerate(sorted(server.truth())[::25])]
    server.control("POST", "mutate", {"edits": edits})
    changed = round_of_four()
    assert 140 <= changed <= 140 + len(edits)
    assert stored(postgres) == listed(server)
    assert counts(postgres, "sequence_enrollments", "id") == (1040, 1040)
    assert counts(postgres, "sequence_enrollments_history", "version_key") == (1000 + changed, 1000 + changed)
    assert counts(postgres, "accounts", "id") == (20, 20)
    rows, ids = counts(postgres, "contacts", "id")
    assert rows == ids > 100
    told = postgres.sql("select status, count(*), count(distinct account_ids) from boast_data.runs group by 1")
    assert told == [("ok", 8, 4)]
    whole = job.boast(*INTO, *some)
    assert loaded(whole) == 0
    assert {account["verified"] for account in whole.json["accounts"]} == {"covered"}
    with changing(server):
        round_of_four()
    round_of_four()
    assert stored(postgres) == listed(server)
    rows, ids = counts(postgres, "sequence_enrollments", "id")
    assert rows == ids
    keys = "select count(*), count(distinct (id, version)) from boast_data.sequence_enrollments_history"
    assert len(set(postgres.sql(keys)[0])) == 1
    staged = postgres.sql("select schemaname, tablename from pg_tables where schemaname like '%staging%'")
    assert any(table == "contacts" for _, table in staged)
    for schema, table in staged:  # nobody's data lies about
        if not table.startswith("_dlt"):
            assert postgres.sql(f'select count(*) from "{schema}"."{table}"') == [(0,)]


def test_a_run_that_hangs_keeps_no_other_account_waiting(sandbox, job, postgres):
    server = sandbox(enrollments=90, accounts=3, page_size=10)
    job.use(server)
    first, *others = server.account_ids
    before = loaded(job.boast(*INTO, "--json", "--account", first))
    server.control("POST", "mutate", {"update": 20})
    server.control("POST", "faults", {"kind": "hold", "seconds": 3600, "path": first, "after": 3})
    server.control("DELETE", "counters")
    hanging = job.start(*INTO, "--account", first)
    arrived(server, "GET sequence_enrollments", 3, process=hanging)
    assert sum(loaded(job.boast(*INTO, "--json", "--account", account)) for account in others) == 90 - before
    assert hanging.poll() is None
    hanging.kill()
    finish(hanging)
    server.control("DELETE", "faults")
    assert job.boast(*INTO).code == 0
    assert stored(postgres) == listed(server)


def test_a_field_whose_column_another_run_made_of_another_type_fails_no_later_load(sandbox, job, postgres):
    server = sandbox(enrollments=10, accounts=2)
    job.use(server)
    ids = sorted(key for key, row in server.truth().items() if row["account_id"] == server.account_ids[0])
    only = (*INTO, "--json", "--resources", "sequence_enrollments", "--account", server.account_ids[0])

    def edit(key, value):
        server.control("POST", "mutate", {"edits": [{"id": key, "set": {"note": value}}]})

    edit(ids[0], "one")
    assert loaded(job.boast(*only)) == len(ids)
    postgres.sql("drop view boast_data.enrollment_history cascade")
    for table in ("sequence_enrollments", "sequence_enrollments_history"):  # as a run of the other account would
        postgres.sql(f"alter table boast_data.{table} alter note type jsonb using to_jsonb(note)")
    edit(ids[1], "two")
    assert loaded(job.boast(*only)) >= 1
    edit(ids[1], "three")
    assert loaded(job.boast(*only)) == 1
    notes = postgres.sql("select note from boast_data.sequence_enrollments where note is not null")
    assert sorted(map(str, notes)) == ["('one',)", "('three',)"]
