"""A 429 for one request only is about that request; for several in a row it is a rate limit, and nobody hammers."""

from __future__ import annotations

import uuid

import pytest

from boast_source.push.dispatch import MOST_LIMITED
from tests.support.push_office import Office

SEQUENCE = str(uuid.UUID(int=200, version=4))


def contact(number):
    return str(uuid.UUID(int=100 + number, version=4))


@pytest.fixture
def desk(tmp_path):
    """A department with ten rows."""
    office = Office(tmp_path)
    for n in range(10):
        row = {"request_id": f"r{n}", "contact_id": contact(n), "sequence_id": SEQUENCE}
        office.ask(row | {"account_id": office.accounts[0], "requested_at": f"2026-01-01 00:00:0{n}"})
    yield office
    office.close()


@pytest.mark.parametrize("always", [MOST_LIMITED - 1, MOST_LIMITED + 3])
@pytest.mark.parametrize("workers", [1, 3])
def test_what_is_always_answered_429_keeps_nothing_else_from_being_sent(desk, always, workers):
    desk.world.limited |= {contact(n) for n in range(always)}
    codes = [desk.push(workers=workers).exit_code for _ in range(5)]
    assert codes == [3] * 5
    assert len(desk.world.posts) == 10 - always
    assert {state for key, state in desk.states().items() if int(key[1:]) >= always} == {"enrolled"}


def test_it_is_held_with_its_reason_once_it_was_answered_so_while_others_went_through(desk):
    desk.world.limited.add(contact(0))
    for night in range(3):
        pushed = desk.push()
        assert pushed.exit_code == 3
        assert pushed.stopped == "answered with HTTP 429, to be tried again: 1"
        desk.ask({"request_id": f"new{night}", "contact_id": contact(20 + night), "sequence_id": SEQUENCE})
    desk.push()
    event = desk.newest()["r0"]
    assert (event["state"], event["error_code"], event["attempt"]) == ("held", "limited", 0)
    assert event["error_detail"] == "answered with HTTP 429 in 3 runs that carried out others"
    assert desk.waiting() == {"held": 1}
    desk.world.limited.clear()
    desk.decide("release", "r0")
    assert desk.push().exit_code == 0
    assert desk.states()["r0"] == "enrolled"


def test_a_rate_limit_stops_the_sending_and_holds_nothing(desk):
    desk.world.limited |= {contact(n) for n in range(10)}
    for night in range(1, 6):
        pushed = desk.push()
        assert pushed.stopped
        assert pushed.stopped.endswith("requests in a row were answered with HTTP 429")
        assert len(desk.world.asked) <= night * (MOST_LIMITED + 1)
    desk.world.limited.clear()
    assert desk.push().exit_code == 0
    assert len(desk.world.posts) == 10
