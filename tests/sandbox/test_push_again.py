"""Who is asked for again, under the same key or another, is messaged once, or again where that is meant."""

from __future__ import annotations

import json

from tests.support.sandbox_client import POST

pytest_plugins = ["tests.support.push_fixtures"]


def test_who_is_active_in_the_sequence_is_skipped_for_good(pushing):
    desk = pushing()
    active = desk.enrollment("active")
    desk.ask({"request_id": "r", "contact_id": active["contact_id"], "sequence_id": active["sequence_id"]})
    first = desk.push()
    assert (first.code, first.counts) == (0, {"skipped_active": 1})
    assert desk.push().summary["queried"] == 0
    assert desk.execute("select enrollment_id from boast_data.push_requests") == [(active["id"],)]
    assert desk.writes == {}


def test_who_completed_the_sequence_long_ago_is_enrolled_again(pushing):
    desk = pushing()
    done = desk.enrollment("completed")
    desk.ask({"request_id": "r", "contact_id": done["contact_id"], "sequence_id": done["sequence_id"]})
    assert desk.push().counts == {"enrolled": 1}
    known = desk.execute("select distinct known_enrollment_ids from boast_data.push_ledger")
    assert known == [(json.dumps([done["id"]]),)]


def test_an_unknown_status_that_may_mean_active_is_held(pushing):
    desk = pushing()
    done = desk.enrollment("completed")
    desk.server.control("POST", "mutate", {"edits": [{"id": done["id"], "set": {"status": "paused"}}]})
    desk.ask({"request_id": "r", "contact_id": done["contact_id"], "sequence_id": done["sequence_id"]})
    first = desk.push()
    assert (first.code, first.counts) == (3, {"held": 1})
    desk.decide("release", "r")
    assert desk.push().counts == {"enrolled": 1}


def test_equal_rows_are_sent_once(pushing):
    desk = pushing()
    one, two = desk.free_pairs(2)
    desk.ask(one, one, one)  # no request_id
    desk.ask({"request_id": "a", **two}, {"request_id": "b", **two}, {"request_id": "a", **two})
    assert desk.push().counts == {"enrolled": 2, "skipped_duplicate": 4}
    assert desk.writes == {POST: 2}
    assert desk.push().summary["queried"] == 0


def test_one_request_id_with_two_contents_is_held_and_nothing_is_sent(pushing):
    desk = pushing()
    one, two = desk.free_pairs(2)
    desk.ask({"request_id": "a", **one}, {"request_id": "a", **two})
    first = desk.push()
    assert (first.code, first.counts) == (3, {"held": 2})
    assert desk.writes == {}
    desk.execute("delete from boast_data.pending_enrollments where contact_id = ?", [two["contact_id"]])
    desk.decide("release", "a")
    assert desk.push().counts == {"enrolled": 1}


def test_a_row_that_changes_after_it_was_sent_is_held_and_not_sent(pushing):
    desk = pushing()
    one, two = desk.free_pairs(2)
    desk.ask({"request_id": "a", **one})
    desk.push()
    desk.table()
    desk.ask({"request_id": "a", **two})
    assert desk.push().counts == {"held": 1}
    assert desk.push().counts == {"held": 1}
    assert desk.writes == {POST: 1}
    events = "select count(*) from boast_data.push_ledger where state = 'held'"
    assert desk.execute(events) == [(1,)]
    desk.decide("drop", "a")
    assert desk.push().summary["queried"] == 0


def test_a_view_with_new_request_ids_every_night_messages_nobody_twice(pushing):
    desk = pushing()
    (pair,) = desk.free_pairs(1)
    desk.ask({"request_id": "night 1", **pair})
    desk.push()
    desk.table()
    desk.ask({"request_id": "night 2", **pair})
    assert desk.push().counts == {"skipped_active": 1}
    desk.server.control("POST", "advance", {"seconds": 40 * 86400})  # the sequence runs to its end
    enrollment = desk.execute("select enrollment_id from boast_data.push_requests where state = 'enrolled'")[0][0]
    edit = {"id": enrollment, "set": {"status": "completed"}, "touch": True}
    desk.server.control("POST", "mutate", {"edits": [edit]})
    desk.table()
    desk.ask({"request_id": "night 3", **pair})
    third = desk.push()
    assert (third.code, third.counts) == (3, {"held": 1})
    assert desk.writes == {POST: 1}
    desk.decide("release", "night 3")
    assert desk.push().counts == {"enrolled": 1}


def test_after_reenroll_after_a_new_request_is_sent(pushing, monkeypatch):
    monkeypatch.setenv("SOURCES__BOAST__PUSH__REENROLL_AFTER", "0")
    desk = pushing()
    (pair,) = desk.free_pairs(1)
    desk.ask({"request_id": "1", **pair})
    desk.push()
    enrollment = desk.execute("select enrollment_id from boast_data.push_requests")[0][0]
    desk.server.control("POST", "mutate", {"edits": [{"id": enrollment, "set": {"status": "completed"}}]})
    desk.ask({"request_id": "2", **pair})
    assert desk.push().counts == {"enrolled": 1}


def test_a_push_of_another_table_says_nothing_about_what_the_configured_one_asks_for(pushing):
    desk = pushing()
    one, two = desk.free_pairs(2)
    desk.ask({"request_id": "bad", **one, "contact_id": "no id"})
    assert desk.push().counts == {"invalid": 1}
    desk.table(name="push_test")
    desk.ask({"request_id": "test", **two}, name="push_test")
    tried = desk.push(pending="push_test")
    assert (tried.code, tried.counts, desk.states()["bad"]) == (3, {"enrolled": 1}, "invalid")
    assert desk.push().counts == {"invalid": 1}
    assert desk.execute("select count(*) from boast_data.push_ledger where request_key = 'bad'") == [(1,)]
    desk.execute("drop table boast_data.pending_enrollments")
    assert desk.push(pending="push_test").code == 0, "now nobody asks for it any more"
    assert desk.states()["bad"] == "withdrawn"
