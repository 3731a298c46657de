"""Pushes while others change what is listed: nobody is enrolled or left enrolled because a row was hidden."""

from __future__ import annotations

import pytest

from tests.support.sandbox_client import DELETE, client_of

pytest_plugins = ["tests.support.push_fixtures"]

SIZE = 20


@pytest.fixture
def desk(pushing):
    return pushing(page_size=SIZE, order="created_asc")


def shift(desk):
    """While page 1 is on its way, its first rows go and as many new ones come: those at the head of page 2 are in no
    page of that pass, and the count is right. Returns the pair of an active one among them.
    """
    with client_of(desk.server) as client:
        rows = client.every()
    pairs = [(row["contact_id"], row["sequence_id"]) for row in rows]
    hidden = next(n for n in range(SIZE, SIZE + 9) if rows[n]["status"] == "active" and pairs.count(pairs[n]) == 1)
    gone = [row["id"] for row in rows[: hidden - SIZE + 1]]
    change = {"delete_ids": gone, "insert": len(gone), "every_pages": 1, "times": 1}
    desk.server.control("POST", "drift", change)
    return dict(zip(("contact_id", "sequence_id"), pairs[hidden], strict=True))


def test_one_pass_can_hide_a_row_behind_a_right_count(desk, workplace):
    pair = shift(desk)
    assert workplace.boast("load", "--json").json["accounts"][0]["verified"] == "covered"
    stored = "select count(*) from boast_data.sequence_enrollments where contact_id = ? and sequence_id = ?"
    assert desk.execute(stored, [*pair.values()]) == [(0,)]


def test_who_is_hidden_in_one_pass_is_not_enrolled_twice(desk):
    desk.ask({"request_id": "r", **shift(desk)})
    assert desk.push().counts == {"skipped_active": 1}
    assert desk.writes == {}


def test_who_is_hidden_in_one_pass_is_removed_all_the_same(desk):
    desk.ask({"request_id": "r", **shift(desk), "action": "remove"})
    assert desk.push().counts == {"removed": 1}
    assert desk.writes == {DELETE: 1}


def test_nothing_to_remove_is_said_for_good_only_when_the_list_held_still(desk):
    (pair,) = desk.free_pairs(1)
    desk.ask({"request_id": "r", **pair, "action": "remove"})
    desk.server.control("POST", "drift", {"update": 1, "every_pages": 1, "times": 10_000})
    told = desk.push()
    assert (told.code, told.counts) == (0, {"deferred": 1})
    desk.server.control("POST", "drift", {"every_pages": 1, "times": 0})
    assert desk.push().counts == {"refused": 1}


def test_what_follows_a_removal_that_waits_for_a_still_list_waits_too(desk):
    (pair,) = desk.free_pairs(1)
    desk.table("request_id text, contact_id text, sequence_id text, action text, requested_at timestamp")
    desk.ask({"request_id": "1", **pair, "action": "remove", "requested_at": "2026-01-01"})
    desk.ask({"request_id": "2", **pair, "action": "enroll", "requested_at": "2026-01-02"})
    desk.server.control("POST", "drift", {"update": 1, "every_pages": 1, "times": 10_000})
    assert desk.push().counts == {"deferred": 2}
    assert desk.writes == {}


def test_a_list_that_never_holds_still_does_not_keep_anybody_from_being_enrolled(desk):
    desk.ask(*({"request_id": f"r{n}", **pair} for n, pair in enumerate(desk.free_pairs(5))))
    desk.server.control("POST", "drift", {"update": 1, "every_pages": 1, "times": 10_000})
    assert desk.push().counts == {"enrolled": 5}


def test_a_night_in_which_nothing_can_be_sent_reads_the_list_once(desk):
    desk.ask({"request_id": "done", **desk.free_pairs(1)[0]}, {"request_id": "bad", "contact_id": "x"})
    assert desk.push().counts == {"enrolled": 1, "invalid": 1}
    desk.server.control("DELETE", "counters")
    assert desk.push().counts == {"invalid": 1}
    assert desk.server.control("GET", "counters")["arrived"]["GET sequence_enrollments"] == 4


@pytest.mark.parametrize("apart", ["before", "at once", "days later"])
def test_who_is_active_twice_is_told_unless_somebody_enrolled_the_contact_later(desk, apart):
    (pair,) = desk.free_pairs(1)
    desk.ask({"request_id": "r", **pair})
    assert desk.push().counts == {"enrolled": 1}
    with client_of(desk.server) as client:
        second = client.enroll(**pair).json()["data"]["id"]
    created = {"before": "2026-05-01T00:00:00Z", "days later": "2026-06-05T00:00:00Z"}.get(apart)
    if created:
        edit = {"id": second, "set": {"created_at": created}}
        desk.server.control("POST", "mutate", {"edits": [edit]})
    if apart == "days later":  # somebody in Boast itself wanted it so
        assert desk.push().code == 0
        return
    told = desk.push()
    assert (told.code, told.counts) == (3, {})
    newest = "select state, error_code, error_detail from boast_data.push_ledger order by event desc limit 1"
    ((state, code, detail),) = desk.execute(newest)
    assert (state, code) == ("enrolled", "duplicate")
    assert second in detail
    assert desk.push().code == 3
    assert desk.decide("drop", "r")[0]["error_code"] == "accepted"
    assert desk.push().code == 0


def test_who_is_enrolled_again_after_the_first_time_is_over_is_no_duplicate(desk):
    (pair,) = desk.free_pairs(1)
    desk.ask({"request_id": "r", **pair})
    assert desk.push().counts == {"enrolled": 1}
    desk.ask({"request_id": "out", **pair, "action": "remove"})
    assert desk.push().counts == {"removed": 1}
    with client_of(desk.server) as client:
        assert client.enroll(**pair).status == 201
    told = desk.push()  # the row that asks for the removal is still there
    assert (told.code, told.counts, told.summary["duplicates"]) == (3, {"held": 1}, [])
    desk.decide("drop", "out")
    assert desk.push().code == 0


def test_an_enrollment_that_vanishes_before_it_is_removed_is_removed(desk):
    desk.table("request_id text, contact_id text, sequence_id text, action text, enrollment_id text")
    active = desk.enrollment("active")
    desk.ask({"request_id": "r", "enrollment_id": active["id"], "action": "remove"})
    # after the last page of the second pass
    desk.server.control("POST", "drift", {"delete_ids": [active["id"]], "every_pages": 6, "times": 1})
    told = desk.push()
    assert (told.code, told.counts) == (0, {"removed": 1})
    assert desk.execute("select error_code from boast_data.push_requests") == [("gone",)]
