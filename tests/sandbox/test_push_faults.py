"""Pushes while the server misbehaves: everybody is enrolled exactly once, and every request ends in a known state."""

from __future__ import annotations

import pytest

from tests.support.relay import cut_off_after
from tests.support.sandbox_client import POST
from tests.support.waiting import until

pytest_plugins = ["tests.support.push_fixtures"]


@pytest.fixture
def desk(pushing):
    """A factory: `desk(server_option=..., PUSH__SETTLE_AFTER="4")` is a department with small settings."""
    return lambda **given: pushing(**({"enrollments": 20} | given))


def pairs_of(pushing):
    """The (contact, sequence) of every enrollment on the server."""
    return sorted((e["contact_id"], e["sequence_id"]) for e in pushing.server.truth().values())


# What a changed row, a person's word and an open request do to each other.


def test_while_a_request_is_open_its_contact_gets_nothing_even_if_its_row_names_another_by_now(desk):
    pushing = desk()
    one, two = pushing.free_pairs(2)
    pushing.ask({"request_id": "1", **one})
    pushing.fault("error_before_write", times=1)
    assert pushing.push().counts == {"unknown": 1}
    pushing.table()
    pushing.ask({"request_id": "1", **two}, {"request_id": "2", **one})
    assert pushing.push().counts == {"unknown": 1, "deferred": 1}
    assert pushing.writes == {}


def test_a_released_request_whose_row_changed_is_sent_and_not_mistaken_for_an_old_enrollment(desk):
    pushing = desk()
    (free,) = pushing.free_pairs(1)
    old = pushing.enrollment("completed")
    pushing.ask({"request_id": "1", **free})
    pushing.push()
    pushing.table()
    pushing.ask({"request_id": "1", "contact_id": old["contact_id"], "sequence_id": old["sequence_id"]})
    assert pushing.push().counts == {"held": 1}
    pushing.decide("retry", "1")
    assert pushing.push().counts == {"enrolled": 1}
    assert pushing.writes == {POST: 2}


def test_a_request_that_became_a_removal_by_pair_is_carried_out_once_released(desk):
    pushing = desk()
    (free,) = pushing.free_pairs(1)
    pushing.ask({"request_id": "1", **free})
    pushing.push()
    pushing.table()
    pushing.ask({"request_id": "1", **free, "action": "remove"})
    assert pushing.push().counts == {"held": 1}
    pushing.decide("release", "1")
    assert pushing.push().counts == {"removed": 1}


def test_what_a_person_released_is_what_is_sent_and_not_what_the_row_says_since(desk):
    pushing = desk()
    one, two, three = pushing.free_pairs(3)
    pushing.ask({"request_id": "1", **one})
    pushing.push()
    pushing.table()
    pushing.ask({"request_id": "1", **two})
    assert pushing.push().counts == {"held": 1}
    pushing.decide("release", "1")
    pushing.table()
    pushing.ask({"request_id": "1", **three})
    assert pushing.push().counts == {"held": 1}
    assert pushing.writes == {POST: 1}


def test_the_enrollment_id_that_a_table_notes_beside_an_enroll_row_changes_nothing(desk):
    pushing = desk()
    pushing.table("contact_id text, sequence_id text, enrollment_id text")
    (pair,) = pushing.free_pairs(1)
    pushing.ask(pair)
    assert pushing.push().counts == {"enrolled": 1}
    pushing.execute(
        "update boast_data.pending_enrollments set enrollment_id = (select enrollment_id from boast_data.push_requests)"
    )
    assert pushing.push().summary["queried"] == 0


def test_an_enrollment_is_read_back_for_one_request_only(desk):
    pushing = desk()
    (pair,) = pushing.free_pairs(1)
    pushing.ask({"request_id": "1", **pair})
    pushing.fault("error_before_write", times=1)
    pushing.push()
    pushing.decide("drop", "1")
    pushing.ask({"request_id": "2", **pair})
    assert pushing.push().counts == {"held": 1}
    pushing.decide("release", "2")
    pushing.server.control("DELETE", "faults")
    pushing.fault("error_after_write", times=1)
    third = {"kind": "status", "method": "GET", "path": "sequence_enrollments", "after": 2, "status": 404, "times": 1}
    pushing.server.control("POST", "faults", third)
    pushing.push()  # the list cannot be read back: the next push does it
    pushing.server.control("DELETE", "faults")
    assert pushing.states()["2"] == "unknown"
    assert pushing.push().counts == {"enrolled": 1}
    assert pushing.states() == {"1": "dropped", "2": "enrolled"}


# The server misbehaves.

FAULTS = [
    {"kind": "error_before_write"},
    {"kind": "error_after_write"},
    {"kind": "drop_after_write"},
    {"kind": "hold_then_act", "seconds": 1.6},  # past the client's timeout of a second
    {"kind": "status", "status": 429, "retry_after": 0.1},
    {"kind": "status", "status": 503},
    {"kind": "cut_body"},
    {"kind": "not_json"},
]
SMALL = {"REQUEST_TIMEOUT": "1", "PUSH__SETTLE_AFTER": "4", "PUSH__MAX_ATTEMPTS": "40"}


def push_until_nothing_is_left(pushing, times=40):
    for _ in range(times):
        result = pushing.push()
        assert set(result.counts) <= {"enrolled", "unknown", "deferred"}, pushing.decide("list")
        if not result.summary["unknown"] and not result.summary["deferred"]:
            return
    raise AssertionError(result.summary)


@pytest.mark.parametrize("warehouse", ["duckdb", "postgres"])
def test_with_faults_on_a_fifth_of_the_writes_everybody_is_enrolled_exactly_once(desk, request, warehouse):
    database = request.getfixturevalue("postgres") if warehouse == "postgres" else None
    pushing = desk(database=database, enrollments=40, page_size=50, **SMALL)
    before = pairs_of(pushing)
    asked = pushing.free_pairs(160)
    pushing.ask(*({"request_id": f"r{n}", **pair} for n, pair in enumerate(asked)))
    pushing.server.control("POST", "faults", [{**one, "method": "POST", "probability": 0.03} for one in FAULTS])
    push_until_nothing_is_left(pushing)
    assert pairs_of(pushing) == sorted(before + [(p["contact_id"], p["sequence_id"]) for p in asked])
    assert pushing.states() == {f"r{n}": "enrolled" for n in range(160)}
    assert pushing.writes == {POST: 160}
    assert pushing.duplicates == []
    wrong = pushing.execute(
        "select count(*) from boast_data.push_requests p left join boast_data.sequence_enrollments e"
        " on p.enrollment_id = e.id and p.contact_id = e.contact_id and p.sequence_id = e.sequence_id"
        " where e.id is null"
    )
    assert wrong == [(0,)]


@pytest.mark.parametrize("order", ["created_asc", "created_desc", "updated_asc", "updated_desc"])
def test_answers_that_were_lost_are_read_back_in_any_order_of_the_list(desk, order):
    pushing = desk(order=order, page_size=7, enrollments=40)
    asked = pushing.free_pairs(8)
    pushing.ask(*({"request_id": f"r{n}", **pair} for n, pair in enumerate(asked)))
    pushing.fault("drop_after_write")
    assert pushing.push().counts == {"enrolled": 8}
    assert pushing.writes == {POST: 8}
    assert pushing.push().summary["queried"] == 0


def test_an_api_that_cannot_be_reached_any_more_defers_the_rest_and_the_next_run_sends_it(desk, monkeypatch):
    pushing = desk(**SMALL)
    pushing.ask(*pushing.free_pairs(60))
    with cut_off_after(pushing.server, writes=20) as address:
        monkeypatch.setenv("SOURCES__BOAST__BASE_URL", address)
        first = pushing.push()
    assert first.code == 3
    assert first.summary["deferred"] >= 20
    assert first.summary["enrolled"] >= 1
    monkeypatch.setenv("SOURCES__BOAST__BASE_URL", pushing.server.base_url)
    push_until_nothing_is_left(pushing)
    assert pushing.writes == {POST: 60}
    assert pushing.duplicates == []


def test_an_enrollment_that_shows_up_late_is_told_once_as_a_duplicate_with_both_ids(desk):
    pushing = desk(REQUEST_TIMEOUT="0.5", PUSH__SETTLE_AFTER="0.5")
    (pair,) = pushing.free_pairs(1)
    pushing.ask({"request_id": "r", **pair})
    pushing.fault("hold_then_act", seconds=3600, times=1)  # until the rule goes
    assert pushing.push().counts == {"unknown": 1}
    push_until_nothing_is_left(pushing)
    assert pushing.writes == {POST: 1}
    pushing.server.control("DELETE", "faults")
    until(lambda: pushing.writes == {POST: 2})
    told = pushing.push()
    assert (told.code, told.counts) == (3, {})
    ids = {e["id"] for e in pushing.server.truth().values() if e["contact_id"] == pair["contact_id"]}
    rows = pushing.execute("select state, error_code, error_detail from boast_data.push_ledger order by event desc")
    assert rows[0][:2] == ("enrolled", "duplicate")
    new = {i for i in ids if i in rows[0][2]}
    assert len(new) == 2
    waits = pushing.push()  # until somebody settles it
    assert (waits.code, waits.summary["attention"], waits.summary["duplicates"]) == (3, {"duplicate": 1}, [])
    pushing.server.control("POST", "mutate", {"edits": [{"id": min(new), "set": {"status": "removed"}}]})
    assert pushing.push().code == 0


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_not_accepted_any_more_stops_the_sending(desk, status):
    pushing = desk(MAX_CONCURRENCY="2")
    pushing.ask(*pushing.free_pairs(40))
    pushing.fault("status", status=status, after=10)
    first = pushing.push()
    assert (first.code, first.summary["enrolled"]) == (3, 10)
    assert first.summary["deferred"] == 30
    assert first.summary["unknown"] == 0
    assert pushing.server.control("GET", "counters")["arrived"][POST] <= 14


def test_a_run_of_refusals_stops_the_sending(desk):
    pushing = desk(PUSH__MAX_REFUSALS_IN_A_ROW="4", MAX_CONCURRENCY="1")
    pushing.ask(*pushing.free_pairs(40))
    pushing.fault("status", status=422)
    first = pushing.push()
    assert first.code == 3
    assert 4 <= first.summary["refused"] <= 8
    assert first.summary["deferred"] == 40 - first.summary["refused"]


def test_a_run_of_unclear_answers_stops_the_sending_and_what_was_not_sent_is_sent_next_time(desk):
    pushing = desk(PUSH__MAX_UNKNOWNS_IN_A_ROW="4", MAX_CONCURRENCY="1", PUSH__SETTLE_AFTER="1")
    pushing.ask(*pushing.free_pairs(30))
    pushing.fault("error_before_write")
    first = pushing.push()
    assert first.code == 3
    assert 4 <= first.summary["unknown"] <= 8
    assert first.summary["deferred"] == 30 - first.summary["unknown"]
    pushing.server.control("DELETE", "faults")
    push_until_nothing_is_left(pushing)
    assert pushing.writes == {POST: 30}
