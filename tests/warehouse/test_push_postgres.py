"""`boast push` from a real Postgres: the same promises, and a second sender is excluded by the warehouse."""

from __future__ import annotations

import pytest

from tests.support.sandbox_client import client_of
from tests.support.waiting import arrived
from tests.support.workplace import finish

PUSH = ("push", "--destination", "postgres", "--json")


@pytest.fixture
def desk(sandbox, workplace, postgres):
    """A sandbox, a workplace on the empty database, and four pairs without an enrollment."""
    server = sandbox(enrollments=60)
    workplace.use(server).env |= postgres.env
    there = {(e["contact_id"], e["sequence_id"]) for e in server.truth().values()}
    with client_of(server) as client:
        contacts = [record["id"] for record in client.every("contacts")]
        sequence = client.every("sequences")[0]["id"]
    pairs = [(contact, sequence) for contact in contacts if (contact, sequence) not in there][:4]
    with postgres.connection() as connection, connection.cursor() as cursor:
        cursor.execute(
            "create schema boast_data; create table boast_data.pending_enrollments"
            " (request_id uuid default gen_random_uuid(), contact_id uuid, sequence_id uuid, requested_at timestamptz)"
        )
        for contact, sequence in pairs:
            cursor.execute(
                "insert into boast_data.pending_enrollments (contact_id, sequence_id, requested_at)"
                " values (%s, %s, now())",
                (contact, sequence),
            )
    return server, workplace, postgres


def test_what_is_pending_is_enrolled_once_and_lands_in_the_tables_at_once(desk):
    server, workplace, postgres = desk
    first = workplace.boast(*PUSH)
    assert first.code == 2
    assert "--new-ledger" in first.err
    assert workplace.boast(*PUSH, "--new-ledger").json["enrolled"] == 4
    assert workplace.boast(*PUSH).json["queried"] == 0
    assert server.control("GET", "counters")["writes"] == {"POST sequence_enrollments": 4}
    assert postgres.sql(
        "select count(*) from boast_data.push_requests p"
        " join boast_data.sequence_enrollments e on e.id = p.enrollment_id"
        " join boast_data.sequence_enrollments_history h on h.id = e.id where p.state = 'enrolled'"
    ) == [(4,)]


def test_an_unclear_answer_is_settled_and_a_contact_is_enrolled_once(desk):
    server, workplace, postgres = desk
    server.control("POST", "faults", {"kind": "error_after_write", "method": "POST", "times": 2})
    assert workplace.boast(*PUSH, "--new-ledger").json["enrolled"] == 4
    assert server.control("GET", "counters")["duplicates"] == []
    states = "select state, count(*) from boast_data.push_ledger group by 1 order by 1"
    assert postgres.sql(states) == [("claimed", 4), ("enrolled", 4), ("unknown", 2)]


def test_a_server_that_drops_idle_connections_makes_no_push_impossible(desk):
    server, workplace, postgres = desk
    assert workplace.boast(*PUSH, "--new-ledger", "--limit", "0").code == 0
    server.control("POST", "faults", {"kind": "latency", "seconds": 4, "path": "sequence_enrollments", "times": 1})
    postgres.sql(f'alter database "{postgres.name}" set idle_session_timeout = 2000')
    done = workplace.boast(*PUSH)
    assert done.code == 0, done.err
    assert done.json["enrolled"] == 4
    assert server.control("GET", "counters")["duplicates"] == []


def test_a_connection_that_is_dropped_takes_its_locks_again_or_sends_nothing(desk):
    server, workplace, postgres = desk
    assert workplace.boast(*PUSH, "--new-ledger", "--limit", "0").code == 0
    server.control("DELETE", "counters")
    server.control("POST", "faults", {"kind": "hold", "seconds": 3600, "path": "sequence_enrollments"})
    process = workplace.start(*PUSH)
    arrived(server, "GET sequence_enrollments", 1, process=process)
    from boast_source.warehouse.postgres import _key  # noqa: PLC0415 -- needs the extra

    with postgres.connection() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select count(pg_terminate_backend(pid, 60000)) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        cursor.execute("select pg_advisory_lock(%s)", (_key("push", "boast_data"),))  # another run is quicker
        server.control("DELETE", "faults")
        done = finish(process)
    assert done.code == 1, done.err
    assert "another run has taken this one's place" in done.err
    assert server.control("GET", "counters")["writes"] == {}


def test_the_same_event_cannot_be_recorded_by_two_senders(desk):
    _, workplace, postgres = desk
    workplace.boast(*PUSH, "--new-ledger")
    unique = "select indexdef from pg_indexes where indexname = 'push_ledger_once'"
    assert "UNIQUE" in postgres.sql(unique)[0][0]


def test_a_second_push_at_the_same_time_ends_with_4(desk):
    _, workplace, postgres = desk
    workplace.boast(*PUSH, "--new-ledger", "--limit", "0")
    with postgres.connection() as connection, connection.cursor() as cursor:
        from boast_source.warehouse.postgres import _key  # noqa: PLC0415 -- needs the extra

        cursor.execute("select pg_advisory_lock(%s)", (_key("push", "boast_data"),))
        second = workplace.boast(*PUSH)
    assert second.code == 4, second.err
    assert "Another push" in second.err


def test_a_plan_names_the_contacts_that_were_loaded(desk):
    _, workplace, postgres = desk
    assert workplace.boast("load", "--destination", "postgres").code == 0
    assert workplace.boast(*PUSH, "--plan", "plan.html").json["queried"] == 4
    page = (workplace.folder / "plan.html").read_text()
    emails = postgres.sql(
        "select c.email from boast_data.contacts c join boast_data.pending_enrollments p on c.id = p.contact_id::text"
    )
    assert {email in page for (email,) in emails} == {True}
    assert len(emails) == 4
