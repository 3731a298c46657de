"""The last word counts: whatever chain of rows names one contact and sequence, in one run or several."""

from __future__ import annotations

import itertools
import random
import uuid

import pytest

from boast_source.push import model
from tests.support.push_office import Office
from tests.support.push_world import ACCOUNT

CONTACT, SEQUENCE = (str(uuid.UUID(int=n, version=4)) for n in (100, 200))
PAIR = (ACCOUNT, CONTACT, SEQUENCE)
SOMEBODY = (ACCOUNT, str(uuid.UUID(int=101, version=4)), SEQUENCE)
WAITS = model.states(lambda rule: rule.attention)


@pytest.fixture
def office(tmp_path):
    """A factory: `office(before="active", **settings)`: what the contact is before; None: never in the sequence."""
    made = []

    def open_(before=None, **settings):
        one = Office(tmp_path / str(len(made)), **settings)
        made.append(one)
        if before:
            one.world.enroll(PAIR, ours=False)
            one.world.change(*one.world.enrollments, before)
            one.world.pass_time(60 * 86_400)
            one.world.enroll(SOMEBODY, ours=False)  # by which the API's clock is known
        return one

    yield open_
    for one in made:
        one.close()


def row(action, number, *, key=True, at=True):
    """The `number`th row of a chain."""
    given = {"contact_id": CONTACT, "sequence_id": SEQUENCE, "action": action}
    given |= {"request_id": f"r{number}"} if key else {}
    return given | ({"requested_at": f"2026-01-01 10:{number:02}:00"} if at else {})


def active(office):
    return "active" in office.world.status_of(PAIR)


@pytest.mark.parametrize("before", [None, "active", "completed", "removed"])
@pytest.mark.parametrize("chain", ["rer", "ere", "er", "re", "rere", "erer", "reer", "erre"])
def test_the_last_of_a_chain_in_one_run_counts(office, chain, before):
    desk = office(before)
    for number, letter in enumerate(chain):
        desk.ask(row({"r": "remove", "e": "enroll"}[letter], number))
    desk.push()
    assert active(desk) == (chain[-1] == "e")
    assert len(desk.world.posts) <= 1
    assert desk.push().queried == 0


def test_who_opts_out_after_an_enrollment_that_was_not_sent_yet_gets_no_message(office):
    desk = office()
    desk.ask(row("enroll", 1), row("remove", 2))
    assert dict(desk.push().counts) == {"withdrawn": 1, "removed": 1, "skipped_duplicate": 0}
    assert desk.world.posts == []


def test_a_row_that_comes_twice_has_the_place_of_its_last(office):
    desk = office("active")
    desk.ask(row("remove", 1, key=False), row("enroll", 2, key=False), row("remove", 3, key=False))
    desk.push()
    assert not active(desk)


def test_a_removal_that_is_asked_for_again_while_the_contact_is_active_is_held(office):
    desk = office("active")
    desk.ask(row("remove", 1, key=False))
    assert desk.push().counts["removed"] == 1
    desk.ask(row("enroll", 2, key=False))
    assert desk.push().counts["enrolled"] == 1
    assert desk.push().queried == 0
    desk.ask(row("remove", 3, key=False))
    pushed = desk.push()
    assert (pushed.counts["held"], pushed.exit_code) == (1, 3)
    (held,) = [e for e in desk.newest().values() if e["state"] == "held"]
    assert held["error_code"] == "active_again"
    desk.decide("release", held["request_key"])
    desk.push()
    assert not active(desk)


def test_a_removal_whose_contact_somebody_enrolled_by_hand_is_held_while_its_row_is_there(office):
    desk = office("active")
    desk.ask(row("remove", 1))
    desk.push()
    desk.world.enroll(PAIR, ours=False)
    assert desk.push().counts["held"] == 1
    desk.decide("drop", "r1")
    pushed = desk.push()
    assert (pushed.queried, pushed.exit_code) == (0, 0)


def test_a_removal_whose_row_is_gone_says_nothing_about_who_is_enrolled_by_hand_later(office):
    desk = office("active")
    desk.ask(row("remove", 1))
    desk.push()
    desk.sql("delete from boast_data.asked")
    desk.world.enroll(PAIR, ours=False)
    assert desk.push().exit_code == 0


def test_an_enrollment_that_comes_late_and_was_asked_for_before_a_removal_is_not_sent(office):
    desk = office("active")
    desk.ask(row("remove", 5))
    desk.push()
    desk.ask(row("enroll", 2))
    assert desk.push().counts["withdrawn"] == 1
    assert not active(desk)


def test_a_removal_without_a_moment_is_the_last_word_so_an_enrollment_in_a_later_run_is_told(office):
    desk = office("active")
    desk.ask(row("remove", 1, at=False))
    desk.push()
    assert not active(desk)
    desk.ask(row("enroll", 2))
    desk.push()
    pushed = desk.push()
    assert not active(desk) or (pushed.exit_code, pushed.counts["held"]) == (3, 1)


def test_a_removal_that_comes_late_and_was_asked_for_before_an_enrollment_is_held(office):
    desk = office()
    desk.ask(row("enroll", 5))
    desk.push()
    desk.ask(row("remove", 2))
    assert desk.push().counts["held"] == 1
    assert active(desk)


@pytest.mark.parametrize("seed", range(12))
def test_a_chain_over_several_runs_ends_as_its_rows_say_in_order_or_waits_for_an_operator(office, seed):
    rng = random.Random(seed)
    strict = rng.random() < 0.5  # every row is a request of its own, and nobody is too young to be enrolled again
    before = rng.choice([None, "active", "completed", "removed"])
    desk = office(before, reenroll_after="0" if strict else "30 days")
    numbers = itertools.count()
    wanted = before == "active"
    for _ in range(rng.randint(2, 4)):
        for _ in range(rng.randint(0, 3)):
            action = rng.choice(["enroll", "remove"])
            wanted = action == "enroll"
            desk.ask(row(action, next(numbers), key=strict or rng.random() < 0.5))
        desk.push()
    desk.push()
    waits = [e for e in desk.newest().values() if e["state"] in WAITS and e["error_code"] != "not_found"]
    assert active(desk) == wanted or (waits and not strict), f"seed {seed}: {desk.newest()}"
