"""Requests whose answer was lost: each is settled by what is listed, and sent again only when it surely did not act."""

from __future__ import annotations

from tests.support.sandbox_client import DELETE, POST, client_of

pytest_plugins = ["tests.support.push_fixtures"]


def test_a_request_without_a_clear_answer_is_settled_in_the_same_run(pushing):
    desk = pushing()
    desk.ask({"request_id": "r", **desk.free_pairs(1)[0]})
    desk.server.control("POST", "faults", {"kind": "error_after_write", "method": "POST", "times": 1})
    assert desk.push().counts == {"enrolled": 1}
    assert desk.writes == {POST: 1}
    states = desk.execute("select state from boast_data.push_ledger order by event")
    assert states == [("claimed",), ("unknown",), ("enrolled",)]


def test_a_request_that_surely_did_not_happen_is_sent_again_only_after_settle_after(pushing, monkeypatch):
    desk = pushing()
    desk.ask({"request_id": "r", **desk.free_pairs(1)[0]})
    desk.server.control("POST", "faults", {"kind": "error_before_write", "method": "POST", "times": 1})
    first = desk.push()
    assert (first.code, first.counts) == (3, {"unknown": 1})
    assert desk.push().counts == {"unknown": 1}
    monkeypatch.setenv("SOURCES__BOAST__PUSH__SETTLE_AFTER", "0.5")
    assert desk.push().counts == {"enrolled": 1}
    assert desk.writes == {POST: 1}


def test_with_settle_after_never_only_a_person_sends_again(pushing, monkeypatch):
    monkeypatch.setenv("SOURCES__BOAST__PUSH__SETTLE_AFTER", "never")
    desk = pushing()
    desk.ask({"request_id": "r", **desk.free_pairs(1)[0]})
    desk.server.control("POST", "faults", {"kind": "error_before_write", "method": "POST", "times": 1})
    desk.push()
    assert desk.push().counts == {"unknown": 1}
    desk.decide("retry", "r")
    assert desk.push().counts == {"enrolled": 1}


def test_an_unknown_request_that_nobody_asks_for_any_more_is_withdrawn(pushing, monkeypatch):
    desk = pushing()
    desk.ask({"request_id": "r", **desk.free_pairs(1)[0]})
    desk.server.control("POST", "faults", {"kind": "error_before_write", "method": "POST", "times": 1})
    desk.push()
    desk.table()
    monkeypatch.setenv("SOURCES__BOAST__PUSH__SETTLE_AFTER", "0.1")
    assert desk.push().counts == {"withdrawn": 1}
    assert desk.writes == {}


def test_nothing_is_sent_for_a_contact_with_an_open_request(pushing):
    desk = pushing()
    (pair,) = desk.free_pairs(1)
    other = next(s for s in desk.sequences if s != pair["sequence_id"])
    desk.ask({"request_id": "1", **pair})
    desk.server.control("POST", "faults", {"kind": "error_before_write", "method": "POST", "times": 1})
    desk.push()
    desk.ask({"request_id": "2", "contact_id": pair["contact_id"], "sequence_id": other})
    assert desk.push().counts == {"unknown": 1, "deferred": 1}
    assert desk.writes == {}
    desk.decide("drop", "1")
    assert desk.push().counts == {"enrolled": 1}


def test_who_was_enrolled_by_hand_while_the_answer_was_open_is_not_enrolled_again(pushing, monkeypatch):
    desk = pushing()
    (pair,) = desk.free_pairs(1)
    desk.ask({"request_id": "r", **pair})
    desk.server.control("POST", "faults", {"kind": "error_before_write", "method": "POST", "times": 1})
    assert desk.push().counts == {"unknown": 1}
    with client_of(desk.server) as client:
        assert client.enroll(pair["contact_id"], pair["sequence_id"]).status == 201
    monkeypatch.setenv("SOURCES__BOAST__PUSH__SETTLE_AFTER", "0")
    assert desk.push().counts == {"enrolled": 1}
    assert desk.writes == {POST: 1}


def test_a_removal_whose_answer_was_lost_is_read_back_by_its_id(pushing):
    desk = pushing()
    desk.table("enrollment_id text, contact_id text, sequence_id text, action text")
    active = desk.enrollment("active")
    desk.ask({"enrollment_id": active["id"], "action": "remove"})
    desk.server.control("POST", "faults", {"kind": "error_after_write", "method": "DELETE", "times": 1})
    assert desk.push().counts == {"removed": 1}
    assert desk.writes == {DELETE: 1}
