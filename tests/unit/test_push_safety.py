"""Safe in the hands of people: ledgers that lost events, requests that never arrive, accounts without permission."""

from __future__ import annotations

import uuid

import pytest

from boast_source.errors import ConfigurationError
from boast_source.push.model import State
from tests.support.push_office import Office
from tests.support.push_world import ACCOUNTS

HERE, THERE = ACCOUNTS[:2]
SEQUENCE = str(uuid.UUID(int=200, version=4))
DAY = 86_400.0


def contact(number):
    return str(uuid.UUID(int=100 + number, version=4))


def row(number, account=HERE, **more):
    return {
        "request_id": f"r{number}",
        "account_id": account,
        "contact_id": contact(number),
        "sequence_id": SEQUENCE,
    } | more


def counts(pushed):
    return {state.value: count for state, count in pushed.counts.items() if count}


@pytest.fixture
def open_(tmp_path):
    """A factory of departments."""
    made = []

    def opened(**settings):
        made.append(Office(tmp_path / str(len(made)), **settings))
        return made[-1]

    yield opened
    for one in made:
        one.close()


LOSSES = [
    "drop table boast_data.push_ledger",
    "delete from boast_data.push_ledger",
    "delete from boast_data.push_ledger where request_key in ('r1', 'r2')",
    "delete from boast_data.push_ledger where state = 'enrolled'",
]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_ledger_that_lost_events_sends_nothing_until_that_is_accepted_and_then_holds_what_is_doubtful(open_, loss):
    desk = open_()
    desk.ask(*map(row, range(4)))
    assert counts(desk.push()) == {"enrolled": 4}
    desk.pass_time(60 * DAY)  # older than reenroll_after
    desk.sql(loss)
    desk.ask(row(9))
    with pytest.raises(ConfigurationError, match=r"--accept-ledger|does not know|does not exist") as refused:
        desk.push()
    assert refused.value.exit_code == 2
    with pytest.raises(ConfigurationError, match="first push only"):
        desk.push(new_ledger=True)
    desk.push(accept_ledger=True)
    assert len(desk.world.posts) == 5, "nobody twice"
    assert desk.states()["r9"] == "enrolled"


def test_an_older_copy_of_the_ledger_messages_nobody_again(open_):
    desk = open_()
    desk.ask(row(0))
    desk.push()
    desk.sql("create table boast_data.copy as select * from boast_data.push_ledger")
    desk.ask(row(1), row(2))
    desk.push()
    desk.sql("delete from boast_data.push_ledger")
    desk.sql("insert into boast_data.push_ledger select * from boast_data.copy")
    with pytest.raises(ConfigurationError, match="2 sends that it does not know"):
        desk.push()
    for (_, who, sequence), _ in desk.world.posts[1:]:  # they completed the sequence meanwhile
        key = next(
            e["id"] for e in desk.world.enrollments.values() if (e["contact_id"], e["sequence_id"]) == (who, sequence)
        )
        desk.world.change(key, "completed")
    assert counts(desk.push(accept_ledger=True)) == {"held": 2}
    assert {e["error_code"] for e in desk.newest().values() if e["state"] == "held"} == {"unaccounted"}
    assert len(desk.world.posts) == 3


def test_what_exists_counts_where_both_ledger_and_runs_are_lost(open_):
    desk = open_()
    desk.ask(*map(row, range(5)))
    desk.push()
    for key in list(desk.world.enrollments):
        desk.world.change(key, "completed")
    desk.pass_time(DAY)
    desk.sql("drop table boast_data.push_ledger")
    desk.sql("delete from boast_data.runs")
    assert counts(desk.push(new_ledger=True)) == {"held": 5}
    assert len(desk.world.posts) == 5


@pytest.mark.parametrize("runs", ["kept", "lost"])
def test_a_removal_of_what_a_lost_ledger_made_lets_nobody_be_messaged_again(open_, runs):
    desk = open_()
    desk.ask(row(0, request_id="out", action="remove", requested_at="2026-05-01"))
    desk.push()  # refused: never in the sequence
    desk.ask(row(0, request_id="back", requested_at="2026-05-02"))
    desk.push()
    desk.sql("delete from boast_data.push_ledger")
    if runs == "lost":
        desk.sql("delete from boast_data.runs")
    pushed = desk.push(**{"accept_ledger" if runs == "kept" else "new_ledger": True})
    assert (counts(pushed), pushed.attention) == ({"removed": 1, "held": 1}, {State.HELD: 1})
    assert desk.newest()["back"]["error_code"] == "unaccounted"
    assert len(desk.world.posts) == 1


@pytest.mark.parametrize("fate", ["is lost", "conflicts", "is redirected", "finds nothing"])
def test_what_never_arrives_is_held_after_max_attempts_with_its_history(open_, fate):
    desk = open_(max_attempts=3)
    desk.ask(row(0))
    for _ in range(3):
        assert counts(desk.push(fate)) == {"unknown": 1}
        desk.pass_time(2000)
    assert counts(desk.push()) == {"held": 1}
    event = desk.newest()["r0"]
    assert (event["attempt"], event["error_code"]) == (3, "attempts")
    assert event["error_detail"].startswith("sent 3 times and never there: HTTP ")
    assert len(desk.world.posts) == 0
    assert desk.push().exit_code == 3, "until an operator decides"
    desk.decide("release", "r0")
    assert counts(desk.push()) == {"enrolled": 1}


def test_new_requests_come_before_what_was_tried_before(open_):
    desk = open_()
    desk.ask(row(0))
    desk.push("is lost")
    desk.pass_time(2000)
    desk.ask(row(1))
    assert counts(desk.push(limit=1)) == {"enrolled": 1, "deferred": 1}
    assert desk.states()["r1"] == "enrolled"


def test_what_was_unknown_before_does_not_stop_the_others(open_):
    desk = open_(max_unknowns_in_a_row=3, max_attempts=9)
    desk.ask(*map(row, range(5)))
    desk.world.poisoned |= {contact(n) for n in range(5)}
    assert desk.push().stopped, "news: so many in a row"
    desk.settings = desk.settings.__class__(max_unknowns_in_a_row=9, max_attempts=9)
    desk.pass_time(2000)
    desk.push()
    desk.pass_time(2000)
    desk.settings = desk.settings.__class__(max_unknowns_in_a_row=3, max_attempts=9)
    desk.ask(*map(row, range(10, 14)))
    pushed = desk.push()
    assert pushed.stopped is None
    assert counts(pushed) == {"enrolled": 4, "unknown": 5}


def test_a_403_blocks_its_account_alone_and_its_rows_stay_deferred(open_):
    desk = open_(accounts=(HERE, THERE))
    desk.ask(row(0), row(1), row(2, account=THERE), row(3, account=THERE))
    pushed = desk.push("is forbidden", workers=1)
    assert counts(pushed)["enrolled"] == 2
    assert counts(pushed)["deferred"] == 2
    assert (pushed.exit_code, len(pushed.blocked)) == (3, 1)
    assert counts(desk.push()) == {"enrolled": 2}


def test_a_held_request_of_another_account_stays_held_until_a_person_decides(open_):
    desk = open_(accounts=(HERE, THERE))
    desk.ask(row(1, request_id="twice"), row(2, request_id="twice"))
    assert desk.push().attention == {State.HELD: 1}
    for accounts in ((THERE,), (HERE,), None):
        assert desk.push(accounts=accounts).exit_code == 3
        assert desk.states()["twice"] == "held"


def test_a_removal_that_the_listing_contradicts_is_held(open_):
    desk = open_()
    desk.ask(row(0))
    desk.push()
    desk.sql("delete from boast_data.asked")
    desk.ask(row(0, request_id="out", action="remove"))
    assert counts(desk.push("lies")) == {"removed": 1}
    desk.pass_time(2000)
    pushed = desk.push()
    assert pushed.attention == {State.HELD: 1}
    assert desk.newest()["out"]["error_code"] == "contradicted"
    desk.decide("release", "out")
    assert counts(desk.push()) == {"removed": 1}
    assert desk.world.status_of((HERE, contact(0), SEQUENCE)) == {"removed"}


@pytest.mark.parametrize("fate", ["doubles first", "doubles last"])
@pytest.mark.parametrize("settings", [{}, {"reenroll_after": "0"}])
def test_two_enrollments_of_one_post_are_noticed_whichever_the_answer_names(open_, fate, settings):
    desk = open_(**settings)
    desk.ask(row(0))
    desk.push(fate)
    pushed = desk.push()
    assert len(pushed.duplicates) == 1
    assert (pushed.exit_code, pushed.attention) == (3, {State.DUPLICATE: 1})
    assert desk.push().exit_code == 3, "every run, until it is settled"
    desk.world.change(next(iter(desk.world.enrollments)), "removed")
    assert desk.push().exit_code == 0


@pytest.mark.parametrize("why", ["is forbidden", "is not reached", "is lost", "invalid", "refuses"])
def test_what_did_not_happen_and_is_no_longer_asked_for_is_withdrawn_and_comes_back_with_its_row(open_, why):
    desk = open_()
    desk.ask(row(0, action="nonsense") if why == "invalid" else row(0))
    desk.push(why)
    if why == "refuses":
        desk.decide("release", "r0")
    desk.pass_time(2000)
    desk.sql("delete from boast_data.asked")
    assert desk.push().exit_code == 0
    assert desk.states() == {"r0": "withdrawn"}
    assert desk.push().queried == 0
    desk.ask(row(0))  # as after a night in which the view it comes from was empty
    assert counts(desk.push()) == {"enrolled": 1}
    assert len(desk.world.posts) == 1


def test_dropping_a_request_whose_rows_contradict_each_other_sends_none_of_them(open_):
    desk = open_()
    desk.ask(row(1, request_id="twice"), row(2, request_id="twice"))
    assert desk.push().attention == {State.HELD: 1}
    desk.decide("drop", "twice")
    for _ in range(2):
        assert (desk.push().exit_code, desk.states()) == (0, {"twice": "dropped"})
    assert desk.world.posts == []


@pytest.mark.parametrize("changed", [False, True])
def test_what_is_found_late_and_what_its_row_says_since_are_two_events(open_, changed):
    desk = open_(max_attempts=1)
    desk.ask(row(0), row(1))
    desk.push("doubles first", "is lost")
    desk.pass_time(2000)
    assert counts(desk.push()) == {"held": 1}
    desk.world.enroll((HERE, contact(1), SEQUENCE), ours=True)  # the server acted later than it may
    desk.world.enroll((HERE, contact(0), SEQUENCE), ours=True)
    if changed:
        desk.sql("update boast_data.asked set contact_id = ?", [contact(5)])
    desk.pass_time(2000)
    assert counts(desk.push()) == ({"held": 2} if changed else {"enrolled": 1})
    told = desk.sql("select count(*), count(distinct (request_key, event)) from boast_data.push_ledger")
    assert told[0][0] == told[0][1]
    assert desk.states() == dict.fromkeys(("r0", "r1"), "held" if changed else "enrolled")


SPELLINGS = [
    ("4711", ["4711.0", "4711.00", " 4711 "]),
    ("2026-05-01 12:00:00+00:00", ["2026-05-01T12:00:00Z", "2026-05-01 14:00:00+02:00", "2026-05-01 12:00:00"]),
    ("5B2E0F5C-0000-4000-8000-000000000001", ["5b2e0f5c-0000-4000-8000-000000000001"]),
]


@pytest.mark.parametrize(("first", "later"), SPELLINGS)
def test_a_key_is_one_request_however_its_column_spells_it(open_, first, later):
    desk = open_(reenroll_after="0")
    desk.ask(row(0, request_id=first))
    desk.push()
    for key in list(desk.world.enrollments):
        desk.world.change(key, "completed")
    desk.pass_time(60 * DAY)
    for spelling in later:
        desk.sql("update boast_data.asked set request_id = ?", [spelling])
        assert counts(desk.push()) == {}, spelling
    assert len(desk.world.posts) == 1


@pytest.mark.parametrize("columns", ["*", "event", "attempt", "recorded_at"])
def test_a_ledger_restored_as_text_is_said_to_be_so(open_, columns):
    desk = open_()
    desk.ask(row(0))
    desk.push()
    restored = (
        f"select columns({columns})::text" if columns == "*" else f"select * replace ({columns}::text as {columns})"
    )
    desk.sql(f"create or replace table boast_data.push_ledger as {restored} from boast_data.push_ledger")
    desk.ask(row(1))
    for options in ({}, {"dry_run": True}, {"accept_ledger": True}):
        with pytest.raises(ConfigurationError, match="texts in place of its numbers and times"):
            desk.push(**options)
    assert len(desk.world.posts) == 1
