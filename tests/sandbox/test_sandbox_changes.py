"""The list changes under its reader as it was told to, and the sandbox keeps the truth."""

from __future__ import annotations

import pytest

from tests.support.sandbox_client import client_of


@pytest.fixture
def server(sandbox):
    return sandbox(enrollments=60)


@pytest.fixture
def client(server):
    with client_of(server) as client:
        yield client


def mutate(server, **plan):
    return server.control("POST", "mutate", plan)


def test_truth_is_what_a_still_list_delivers(server, client):
    listed = {record["id"]: record | {"account_id": client.account} for record in client.every()}
    assert server.truth() == listed


@pytest.mark.parametrize("touch", [True, False])
def test_a_change_touches_updated_at_or_not(server, touch):
    before = server.truth()
    changed = mutate(server, update=5, touch=touch)["updated"]
    after = server.truth()
    assert len(set(changed)) == 5
    for key in before:
        assert (before[key] != after[key]) == (key in changed)
        assert (before[key]["updated_at"] != after[key]["updated_at"]) == (touch and key in changed)


def test_created_and_late_rows_are_listed(server):
    made = mutate(server, insert=2)["created"] + mutate(server, insert=1, updated_at=1_600_000_000)["created"]
    truth = server.truth()
    assert set(made) <= set(truth)
    assert truth[made[2]]["updated_at"] == "2020-09-13T12:26:40.000Z"


def test_what_vanished_is_404_until_it_is_restored(server, client):
    gone = mutate(server, delete=3)["deleted"]
    assert len(server.truth()) == 57
    assert {client.ask("GET", f"sequence_enrollments/{key}").status for key in gone} == {404}
    mutate(server, restore_ids=gone)
    assert len(client.every()) == 60
    assert {client.ask("GET", f"sequence_enrollments/{key}").status for key in gone} == {200}


def test_a_record_may_be_edited_to_anything(server, client):
    key = client.page()["data"][4]["id"]
    mutate(
        server,
        edits=[{"id": key, "set": {"status": "paused", "new_field": [1], "response_id": 7}, "drop": ["sequence_id"]}],
    )
    record = client.ask("GET", f"sequence_enrollments/{key}").json()["data"]
    assert (record["status"], record["new_field"], record["response_id"]) == ("paused", [1], 7)
    assert "sequence_id" not in record


def test_deletes_between_pages_hide_rows_that_were_there_all_the_time(sandbox):
    server = sandbox(enrollments=400)
    with client_of(server) as client:
        before = set(server.truth())
        server.control("POST", "drift", {"delete": 2, "every_pages": 1})
        seen = {record["id"] for number in range(1, 21) for record in client.page(number)["data"]}
    assert (before & set(server.truth())) - seen


def test_drift_stops_when_told_to(server, client):
    server.control("POST", "drift", {"insert": 1, "every_pages": 2, "times": 2})
    for _ in range(10):
        client.page()
    assert len(server.truth()) == 62


def test_time_advances_and_enrollments_progress_deterministically(sandbox):
    def played():
        server = sandbox(enrollments=60)
        server.control("POST", "advance", {"seconds": 86_400, "events": 20})
        return server.truth(), server.control("GET", "transitions")

    truth, transitions = played()
    assert len(transitions) == 20
    assert (truth, transitions) == played()
    assert {"id", "at", "status"} == set(transitions[0])
    assert transitions[-1]["at"] > "2026-06-02"


def test_a_live_sandbox_changes_by_itself(sandbox):
    server = sandbox(enrollments=60, live=864_000.0)
    seen = 0
    for _ in range(2000):
        seen = len(server.control("GET", "transitions"))
        if seen:
            break
    assert seen


def test_counters_tell_requests_writes_and_duplicates(server, client):
    old = client.page()["data"][0]
    for _ in range(3):
        client.enroll(old["contact_id"], old["sequence_id"])
    client.refresh("wrong")
    counters = server.control("GET", "counters")
    assert counters["requests"]["POST sequence_enrollments 201"] == 3
    assert counters["requests"]["GET sequence_enrollments 200"] == 1
    assert counters["writes"] == {"POST sequence_enrollments": 3}
    assert counters["token_requests"] == 1
    assert counters["most_at_once"] == 1
    assert counters["duplicates"] == [{"contact_id": old["contact_id"], "sequence_id": old["sequence_id"], "count": 3}]
    assert server.control("DELETE", "counters")["requests"] == {}


def test_vanishing_restoring_and_touching_twice_lose_and_double_no_row(sandbox):
    server = sandbox(enrollments=60, order="updated_asc")
    key, other = list(server.truth())[3:5]
    mutate(server, delete_ids=[key])
    mutate(server, delete_ids=[key], edits=[{"id": key, "touch": True}], restore_ids=[other])
    with client_of(server) as client:
        assert sorted(record["id"] for record in client.every()) == sorted(server.truth())
        assert len(client.every()) == 59
        mutate(server, restore_ids=[key])
        assert len({record["id"] for record in client.every()}) == 60


def test_a_removal_that_changed_nothing_is_not_a_write(sandbox):
    server = sandbox(enrollments=60, on_inactive="unchanged")
    with client_of(server) as client:
        key = next(record["id"] for record in client.every() if record["status"] == "completed")
        assert client.ask("DELETE", f"sequence_enrollments/{key}").status == 200
    assert server.control("GET", "counters")["writes"] == {}
