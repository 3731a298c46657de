"""`boast push` against the sandbox: what is pending is sent within its limits, and everything about it is said."""

from __future__ import annotations

import pytest

from boast_source.errors import ConfigurationError
from boast_source.jobs.push import push_job
from boast_source.push.model import COUNTED
from tests.support.sandbox_client import DELETE, POST
from tests.support.workplace import stored

pytest_plugins = ["tests.support.push_fixtures"]


def test_what_is_pending_is_enrolled_once_and_lands_in_the_tables_at_once(pushing, workplace):
    desk = pushing()
    desk.ask(*({"request_id": f"r{n}", **pair} for n, pair in enumerate(desk.free_pairs(12))))
    assert desk.push().counts == {"enrolled": 12}
    assert desk.writes == {POST: 12}
    assert stored(workplace) == desk.server.truth()
    new = "select count(*) from boast_data.sequence_enrollments_history where version = 1"
    assert desk.execute(new) == [(72,)]
    assert desk.execute(
        "select count(*) from boast_data.push_requests p join boast_data.sequence_enrollments e"
        " on p.enrollment_id = e.id and p.contact_id = e.contact_id and p.sequence_id = e.sequence_id"
    ) == [(12,)]

    again = desk.push()
    assert (again.code, again.summary["queried"]) == (0, 0)
    assert desk.writes == {POST: 12}


def test_a_request_is_claimed_before_it_is_sent_and_the_ledger_keeps_every_step(pushing):
    desk = pushing()
    (pair,) = desk.free_pairs(1)
    desk.ask({"request_id": "r", **pair})
    desk.push()
    events = desk.execute(
        "select state, event, attempt, contact_id, sequence_id, account_id, known_enrollment_ids, enrollment_id is null"
        " from boast_data.push_ledger order by event"
    )
    common = (pair["contact_id"], pair["sequence_id"], desk.account, "[]")
    assert events == [("claimed", 1, 1, *common, True), ("enrolled", 2, 1, *common, False)]


def test_the_first_push_sends_nothing_until_it_is_told_that_there_is_no_ledger_yet(pushing):
    desk = pushing()
    desk.ask(*desk.free_pairs(2))
    with pytest.raises(ConfigurationError, match="--new-ledger"):
        push_job("duckdb", "boast_data")
    assert desk.writes == {}
    assert desk.push().counts == {"enrolled": 2}
    assert push_job("duckdb", "boast_data").exit_code == 0


@pytest.mark.parametrize("lost", ["drop table boast_data.push_ledger", "delete from boast_data.push_ledger"])
def test_a_lost_ledger_does_not_message_everybody_again(pushing, lost):
    desk = pushing()
    desk.ask(*desk.free_pairs(3))
    desk.push()
    desk.execute("drop view boast_data.push_requests")
    desk.execute(lost)
    with pytest.raises(ConfigurationError, match="Nothing was sent"):
        push_job("duckdb", "boast_data")
    assert desk.writes == {POST: 3}


def test_a_missing_table_or_column_is_told_with_the_ddl_that_makes_it_right(pushing):
    desk = pushing()
    assert "create table" in desk.push(pending="nowhere").error
    desk.table("contact_id text, sequence text")
    assert 'alter table "boast_data"."pending_enrollments" add column sequence_id text' in desk.push().error
    assert desk.writes == {}


def test_the_pending_table_may_have_any_types_spelling_extra_columns_and_no_request_id(pushing):
    desk = pushing()
    desk.table('"Contact_ID" uuid, SEQUENCE_ID uuid, note text, requested_at date')
    one, two, three = desk.free_pairs(3)
    desk.ask(one | {"note": "x"}, two | {"requested_at": "2026-01-01"})
    assert desk.push().counts == {"enrolled": 2}
    desk.table()
    loud = {name: f"  {value.upper()}\n" for name, value in one.items()}
    desk.ask(loud | {"request_id": " "}, three | {"action": " Enroll "}, {"contact_id": None})
    assert desk.push().counts == {"enrolled": 1, "invalid": 1}
    assert desk.duplicates == []


def test_a_view_in_another_schema_can_be_the_pending_table(pushing):
    desk = pushing()
    (pair,) = desk.free_pairs(1)
    desk.ask(pair)
    desk.execute("create schema marketing")
    desk.execute("create view marketing.wanted as select * from boast_data.pending_enrollments")
    assert desk.push(pending="marketing.wanted").counts == {"enrolled": 1}


def test_an_invalid_row_is_sent_once_it_is_mended(pushing):
    desk = pushing()
    (pair,) = desk.free_pairs(1)
    desk.ask({"request_id": "a", **pair, "contact_id": "somebody@example.org"})
    assert desk.push().counts == {"invalid": 1}
    assert desk.push().counts == {"invalid": 1}
    assert desk.execute("select count(*), max(contact_id) from boast_data.push_ledger") == [(1, None)]
    desk.table()
    desk.ask({"request_id": "a", **pair})
    assert desk.push().counts == {"enrolled": 1}


def test_without_an_account_and_with_several_the_row_is_invalid(pushing):
    desk = pushing(accounts=2)
    (pair,) = desk.free_pairs(1)
    desk.table("contact_id text, sequence_id text, account_id text, enrollment_id text, action text")
    desk.ask(pair)
    assert desk.push().counts == {"invalid": 1}
    desk.table("contact_id text, sequence_id text, account_id text, enrollment_id text, action text")
    active = desk.enrollment("active")
    desk.ask(pair | {"account_id": desk.account.upper()}, {"enrollment_id": active["id"], "action": "remove"})
    assert desk.push().counts == {"enrolled": 1, "removed": 1}
    assert desk.server.truth()[active["id"]]["status"] == "removed"


def test_what_the_api_refuses_is_final_until_it_is_released(pushing):
    desk = pushing()
    good, bad = desk.free_pairs(2)
    nobody = "00000000-0000-4000-8000-000000000000"
    desk.ask({"request_id": "bad", **bad, "contact_id": nobody}, {"request_id": "good", **good})
    first = desk.push()
    assert (first.code, first.counts) == (3, {"enrolled": 1, "refused": 1})
    assert desk.push().summary["queried"] == 0
    (refused,) = desk.decide("list")
    assert (refused["request_key"], refused["state"], refused["http_status"]) == ("bad", "refused", 422)
    desk.decide("release", "bad")
    assert desk.push().counts == {"refused": 1}


def test_a_removal_by_id_or_by_pair_of_every_kind(pushing):
    desk = pushing(on_inactive="refuse")
    desk.table("request_id text, contact_id text, sequence_id text, action text, enrollment_id text")
    active, removed, completed = (desk.enrollment(status) for status in ("active", "removed", "completed"))
    free = desk.free_pairs(1)[0]
    desk.ask(
        {"request_id": "active", "enrollment_id": active["id"].upper(), "action": "REMOVE"},
        {"request_id": "removed", "enrollment_id": removed["id"], "action": "remove"},
        {"request_id": "completed", "enrollment_id": completed["id"], "action": "remove"},
        {"request_id": "unknown", "enrollment_id": "00000000-0000-4000-8000-000000000000", "action": "remove"},
        {"request_id": "never", **free, "action": "remove"},
        {"request_id": "empty", "action": "remove"},
    )
    assert desk.push().counts == {"removed": 2, "refused": 3, "invalid": 1}
    assert desk.states() == {
        "active": "removed",
        "removed": "removed",
        "completed": "refused",
        "unknown": "refused",
        "never": "refused",
        "empty": "invalid",
    }
    assert desk.writes == {DELETE: 1}
    row = "select status from boast_data.sequence_enrollments where id = ?"
    assert desk.execute(row, [active["id"]]) == [("removed",)]
    versions = "select status from boast_data.sequence_enrollments_history where id = ? order by version"
    assert desk.execute(versions, [active["id"]]) == [("active",), ("removed",)]


def test_a_removal_by_pair_finds_the_active_enrollment(pushing):
    desk = pushing()
    active = desk.enrollment("active")
    pair = {"contact_id": active["contact_id"], "sequence_id": active["sequence_id"]}
    desk.ask(pair | {"action": "remove"})
    assert desk.push().counts == {"removed": 1}
    assert desk.server.truth()[active["id"]]["status"] == "removed"


def test_requests_of_one_contact_keep_their_order_removals_first_among_equals(pushing):
    desk = pushing()
    desk.table("request_id text, contact_id text, sequence_id text, action text, requested_at timestamp")
    active = desk.enrollment("active")
    pair = {"contact_id": active["contact_id"], "sequence_id": active["sequence_id"]}
    desk.ask(
        {"request_id": "back", **pair, "requested_at": "2026-01-02"},
        {"request_id": "out", **pair, "requested_at": "2026-01-02", "action": "remove"},
        {"request_id": "early", **pair, "requested_at": "2026-01-01"},
    )
    assert desk.push().counts == {"skipped_active": 1, "removed": 1, "enrolled": 1}
    assert desk.states() == {"early": "skipped_active", "out": "removed", "back": "enrolled"}
    assert desk.writes == {DELETE: 1, POST: 1}


def test_a_limit_sends_so_many_and_the_next_run_goes_on(pushing):
    desk = pushing()
    desk.ask(*desk.free_pairs(10))
    assert desk.push(limit=4).counts == {"enrolled": 4, "deferred": 6}
    assert desk.push(limit=0).counts == {"deferred": 6}
    assert desk.push().counts == {"enrolled": 6}
    assert desk.duplicates == []


def test_more_than_max_sends_sends_nothing_until_it_is_approved(pushing):
    desk = pushing()
    desk.ask(*desk.free_pairs(10))
    first = desk.push(max_sends=9)
    assert (first.code, first.counts) == (3, {"deferred": 10})
    assert desk.writes == {}
    assert desk.push(max_sends=9, limit=9).counts == {"enrolled": 9, "deferred": 1}
    assert desk.push(max_sends=10).counts == {"enrolled": 1}


def test_a_dry_run_says_what_would_happen_and_sends_and_writes_nothing(pushing, workplace):
    desk = pushing()
    active = desk.enrollment("active")
    free = desk.free_pairs(2)
    desk.ask({"request_id": "s", "contact_id": active["contact_id"], "sequence_id": active["sequence_id"]})
    desk.ask(*({"request_id": f"r{n}", **pair} for n, pair in enumerate(free)), {"request_id": "i"})
    before = desk.execute("select count(*) from duckdb_tables()")
    done = workplace.boast("push", "--dry-run", "--json")
    assert done.code == 0
    would = {request["request_key"]: request["would"] for request in done.json["requests"]}
    assert would == {"s": "skipped_active", "r0": "enroll", "r1": "enroll", "i": "invalid"}
    assert {state: done.json[state] for state in COUNTED if done.json[state]} == {
        "deferred": 2,
        "skipped_active": 1,
        "invalid": 1,
    }
    assert desk.execute("select count(*) from duckdb_tables()") == before
    assert desk.writes == {}
    told = workplace.boast("push", "--dry-run")
    assert "2 would be sent" in told.out
    assert "the contact is active in this sequence" in told.out


def test_an_account_that_cannot_be_listed_defers_its_requests_and_no_others(pushing):
    desk = pushing(accounts=2)
    desk.table("contact_id text, sequence_id text, account_id text")
    mine = desk.free_pairs(1)[0] | {"account_id": desk.account}
    with_other = {"contact_id": mine["contact_id"], "sequence_id": mine["sequence_id"]}
    other = with_other | {"account_id": desk.server.account_ids[1]}
    desk.ask(mine, other)
    path = f"accounts/{desk.server.account_ids[1]}/sequence_enrollments"
    desk.server.control("POST", "faults", {"kind": "status", "status": 403, "path": path, "method": "GET"})
    first = desk.push()
    assert (first.code, first.counts) == (3, {"enrolled": 1, "deferred": 1})


def test_when_nothing_can_be_listed_the_push_fails_and_sends_nothing(pushing):
    desk = pushing()
    desk.ask(*desk.free_pairs(2))
    path = "sequence_enrollments"
    desk.server.control("POST", "faults", {"kind": "status", "status": 403, "path": path, "method": "GET"})
    first = desk.push()
    assert (first.code, first.counts) == (1, {"deferred": 2})
    assert desk.writes == {}


def test_the_run_record_counts_what_was_sent(pushing):
    desk = pushing()
    desk.ask(*desk.free_pairs(2), {"request_id": "x", **desk.free_pairs(3)[2], "contact_id": desk.account})
    desk.push()
    counts = "select command, status, exit_code, sent, refused, unknown, held, listed from boast_data.runs"
    assert desk.execute(counts) == [("push", "attention", 3, 2, 1, 0, 0, 60)]


def test_a_person_reads_what_to_do_about_each_request_that_waits(pushing, workplace):
    desk = pushing()
    desk.ask({"request_id": "bad", **desk.free_pairs(1)[0], "contact_id": desk.account})
    done = workplace.boast("push", "--new-ledger")
    assert done.code == 3
    assert "boast requests list --state refused" in done.out
    listed = workplace.boast("requests", "list")
    assert "invalid_contact" in listed.out
    assert "boast requests release KEY" in listed.out
    assert workplace.boast("requests", "drop", "nothing").code == 2
    assert workplace.boast("requests", "retry", "bad", "--json").json["requests"][0]["state"] == "released"
    assert "\x1b" not in done.out + done.err + listed.out
