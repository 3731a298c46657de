"""Pushes while the server misbehaves: everybody is enrolled exactly once, and every request ends in a known state."""

from __future__ import annotations

import pytest

from tests.pushing import Pushing

POST = "POST sequence_enrollments"


@pytest.fixture
def desk(sandbox, workplace, monkeypatch):
    """A factory: `desk(server_option=..., PUSH__SETTLE_AFTER="4")` is a department with small settings."""

    def start(**given):
        settings = {name: value for name, value in given.items() if name.isupper()}
        server = sandbox(**({"enrollments": 20} | {n: v for n, v in given.items() if not n.isupper()}))
        workplace.use(server)
        environment = workplace.env | {"DLT_DATA_DIR": str(workplace.folder / "state")}
        environment |= {f"SOURCES__BOAST__{name}": value for name, value in settings.items()}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(workplace.folder)
        return Pushing(server, workplace.folder)

    return start


def fault(pushing, kind, **more):
    pushing.server.control("POST", "faults", {"kind": kind, "method": "POST"} | more)


def pairs_of(pushing):
    """The (contact, sequence) of every enrollment on the server."""
    return sorted((e["contact_id"], e["sequence_id"]) for e in pushing.server.truth().values())


# What a changed row, a person's word and an open request do to each other.


def test_while_a_request_is_open_its_contact_gets_nothing_even_if_its_row_names_another_by_now(desk):
    pushing = desk()
    one, two = pushing.free_pairs(2)
    pushing.ask({"request_id": "1", **one})
    fault(pushing, "error_before_write", times=1)
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
    fault(pushing, "error_before_write", times=1)
    pushing.push()
    pushing.decide("drop", "1")
    pushing.ask({"request_id": "2", **pair})
    assert pushing.push().counts == {"held": 1}
    pushing.decide("release", "2")
    pushing.server.control("DELETE", "faults")
    fault(pushing, "error_after_write", times=1)
    pushing.server.control("POST", "faults", {"kind": "status", "method": "GET", "after": 2, "status": 404, "times": 1})
    pushing.push()  # the list cannot be read back: the next push does it
    pushing.server.control("DELETE", "faults")
    assert pushing.states()["2"] == "unknown"
    assert pushing.push().counts == {"enrolled": 1}
    assert pushing.states() == {"1": "dropped", "2": "enrolled"}
