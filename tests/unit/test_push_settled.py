"""What stays settled whatever becomes of the rows: what was dropped, what is accounted for, who opted out."""

from __future__ import annotations

import uuid

import pytest

from tests.support.push_office import Office
from tests.support.push_world import ACCOUNT

SEQUENCE = str(uuid.UUID(int=200, version=4))
DAY = 86_400.0


def contact(number):
    return str(uuid.UUID(int=100 + number, version=4))


def row(key, number=0, action="enroll", at=None):
    ids = {"account_id": ACCOUNT, "contact_id": contact(number), "sequence_id": SEQUENCE}
    return {"request_id": key, "action": action, "requested_at": f"2026-01-{at:02}" if at else None} | ids


def there(office, number=0, status="completed"):
    """The contact was in the sequence before, by somebody's hand."""
    made = office.world.enroll((ACCOUNT, contact(number), SEQUENCE), ours=False)
    return office.world.change(made["id"], status)["id"]


def says(office, key, **what):
    """The row with this key says something else now."""
    changes = ", ".join(f"{column} = ?" for column in what)
    office.sql(f"update boast_data.asked set {changes} where request_id = ?", [*what.values(), key])


def waits(office, exit_code=3):
    """What waits for a person, said alike by the exit code and by the ledger."""
    pushed = office.push()
    found = {key: e["error_code"] for key, e in office.newest().items() if e["state"] in {"held", "invalid"}}
    assert (pushed.exit_code, sum(pushed.attention.values())) == (exit_code, len(found))
    return found


@pytest.fixture
def desk(tmp_path):
    office = Office(tmp_path)
    yield office
    office.close()


# Dropped requests.


@pytest.mark.parametrize("why", ["unaccounted", "invalid"])
def test_what_was_dropped_before_it_was_sent_is_held_when_its_row_changes(desk, why):
    there(desk)
    desk.ask(row("r") if why == "unaccounted" else row("r") | {"contact_id": "zz"})
    assert waits(desk) == {"r": why}
    desk.decide("drop", "r")
    assert waits(desk, exit_code=0) == {}
    for new in ("yy", contact(1), contact(2)):  # a mistake, then what could be sent
        says(desk, "r", contact_id=new)
        assert waits(desk) == {"r": "changed"}
    assert desk.world.posts == []
    desk.decide("drop", "r")
    assert waits(desk, exit_code=0) == {}
    says(desk, "r", contact_id=contact(3))
    assert waits(desk) == {"r": "changed"}
    desk.decide("release", "r")
    desk.push()
    assert [pair[1] for pair, _ in desk.world.posts] == [contact(3)], "a person said so"


# Enrollments that are accounted for.


@pytest.mark.parametrize("to", [0, 1])
@pytest.mark.parametrize("action", ["remove", "enroll"])
def test_a_request_whose_row_changed_after_it_was_sent_stays_held_whoever_is_enrolled(desk, action, to):
    """`to`: whom the row then asks to enroll: the same contact, or another one who was in the sequence once."""
    there(desk, 1)
    if action == "remove":
        there(desk, 0, "active")
    desk.ask(row("r", action=action))
    desk.push()
    says(desk, "r", action="enroll" if action == "remove" else "remove", contact_id=contact(to))
    assert waits(desk) == {"r": "changed"}
    says(desk, "r", action="enroll")
    for _ in range(2):
        assert waits(desk) == {"r": "changed"}


def test_what_another_request_enrolled_is_not_found_late_though_that_ones_row_changed_since(tmp_path):
    office = Office(tmp_path, max_attempts=1, reenroll_after="0")
    office.ask(row("lost"))
    office.push("is lost")
    office.pass_time(2000)
    assert waits(office) == {"lost": "attempts"}
    office.ask(row("made"))
    office.push()
    says(office, "made", contact_id=contact(1))
    for _ in range(2):
        assert waits(office) == {"lost": "attempts", "made": "changed"}
    office.close()


@pytest.mark.parametrize("column", ["content_key", "known_enrollment_ids"])
def test_a_ledger_that_lost_a_column_takes_no_enrollment_for_one_that_came_late(desk, column):
    there(desk, 2)
    desk.ask(row("1 made"), row("2 lost", 1), row("3 held", 2))
    desk.push("acts", "is lost")
    desk.sql(f"alter table boast_data.push_ledger drop column {column}")
    there(desk, 1)
    desk.pass_time(2000)
    for _ in range(2):
        assert desk.push().exit_code == 3
    made, lost = ("held", "held") if column == "content_key" else ("enrolled", "unknown")
    assert desk.states() == {"1 made": made, "2 lost": lost, "3 held": "held"}
    assert len(desk.world.posts) == 1


# Who opted out.


def let_go(desk, decision, how, folder):
    """An operator lets request r be sent, and a push follows."""
    desk.decide(decision, "r")
    if how == "plan":
        plan = desk.push(dry_run=True, plan=str(folder / "plan.json")).plan
        assert plan.members == {}, "the plan knows of the opt-out too"
        desk.push(approve=plan.hash)
    else:
        desk.push(only="r" if how == "only" else None)


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize(
    ("why", "decision", "how", "gone"),
    [
        ("held", "release", "push", ()),
        ("held", "retry", "plan", ("out",)),
        ("skipped_active", "release", "push", ("out",)),
        ("skipped_active", "release", "only", ()),
        ("refused", "retry", "push", ()),
    ],
)
def test_an_opt_out_outlasts_the_release_of_a_request_that_was_asked_for_before_it(
    desk, tmp_path, why, decision, how, gone, timed
):
    if why != "refused":
        there(desk, status="active" if why == "skipped_active" else "completed")
    desk.ask(row("r", at=timed and 1))
    desk.push("refuses")
    assert desk.states() == {"r": why}
    desk.ask(row("out", action="remove", at=timed and 5))
    desk.push()
    assert desk.states()["out"] == ("removed" if why == "skipped_active" else "refused")
    for key in gone:
        desk.sql("delete from boast_data.asked where request_id = ?", [key])
    let_go(desk, decision, how, tmp_path)
    newest = desk.newest()["r"]
    assert (newest["state"], newest["error_code"]) == ("withdrawn", "superseded")
    assert "out" in newest["error_detail"]
    desk.push()
    assert desk.world.posts == []


@pytest.mark.parametrize("timed", [True, False])
def test_who_opted_out_before_a_request_is_enrolled_by_its_release(desk, timed):
    there(desk)
    desk.ask(row("out", action="remove", at=timed and 1))
    desk.push()
    desk.ask(row("r", at=timed and 5))
    desk.push()
    assert desk.states() == {"out": "refused", "r": "held"}
    desk.decide("release", "r")
    desk.push()
    assert desk.states()["r"] == "enrolled"


def test_an_opt_out_that_waits_for_a_person_holds_back_what_is_released(desk):
    there(desk)
    desk.ask(row("r", at=1), row("out", 1, at=5))
    assert waits(desk) == {"r": "unaccounted"}
    says(desk, "out", action="remove", contact_id=contact(0))
    assert waits(desk) == {"r": "unaccounted", "out": "changed"}
    desk.sql("delete from boast_data.asked where request_id = 'out'")
    desk.decide("release", "r")
    desk.push()
    assert desk.states() == {"r": "released", "out": "held"}
    desk.decide("drop", "out")
    desk.push()
    assert desk.states() == {"r": "withdrawn", "out": "dropped"}


def dropped(desk):
    desk.decide("drop", "k")


ENDS = {  # how a request ends, what comes before its row, and after its push
    "enrolled": (None, None),
    "skipped_active": (lambda desk: there(desk, status="active"), None),
    "removed": (lambda desk: there(desk, status="active"), None),
    "refused": (None, None),
    "dropped": (None, dropped),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("later", [True, False])
def test_a_second_row_that_says_something_else_makes_any_request_ambiguous_in_every_run(desk, end, later):
    before, after = ENDS[end]
    if before:
        before(desk)
    first = row("k", action="remove" if end == "removed" else "enroll", at=2)
    desk.ask(first)
    desk.push(*(["refuses"] if end in {"refused", "dropped"} else []))
    if after:
        after(desk)
    assert desk.states()["k"] == end
    posts = len(desk.world.asked)
    desk.ask(row("k", 1, at=3 if later else 1))
    for _ in range(3):
        assert waits(desk) == {"k": "ambiguous"}
    assert len(desk.world.asked) == posts


@pytest.mark.parametrize("text", ["31.01.2026", "10:00 AM", "tomorrow"])
def test_an_order_that_nobody_can_read_is_invalid_and_no_opt_out_is_overruled_by_it(desk, text):
    desk.ask(
        row("in", at=1), row("out", action="remove") | {"requested_at": text}, row("else", 1) | {"requested_at": " "}
    )
    assert waits(desk) == {"out": "invalid"}
    assert desk.newest()["out"]["error_detail"] == "requested_at is neither a moment nor a number"
    assert desk.states() == {"out": "invalid", "else": "enrolled"}
    says(desk, "out", requested_at="2026-02-01")
    assert waits(desk, 0) == {}
    assert desk.states() == {"in": "withdrawn", "out": "removed", "else": "enrolled"}


def test_an_enrollment_that_is_removed_at_once_is_not_called_enrolled(desk):
    desk.ask(row("k"))
    assert desk.push("is removed at once").exit_code == 3
    for _ in range(2):
        event = desk.newest()["k"]
        assert (event["state"], event["error_code"]) == ("refused", "not_enrolled")
        assert desk.push().exit_code == 3, "until a person decides"
    desk.decide("drop", "k")
    assert desk.push().exit_code == 0
    assert len(desk.world.posts) == 1


def test_a_removal_that_was_answered_with_a_stale_record_is_settled_by_reading_back(desk):
    there(desk, status="active")
    desk.ask(row("k", action="remove"))
    assert desk.push("is stale").exit_code == 0
    assert desk.states() == {"k": "removed"}


def test_a_removal_that_the_api_never_carries_out_is_tried_again_and_then_held(desk):
    there(desk, status="active")
    desk.ask(row("k", action="remove"))
    for _ in range(3):
        assert desk.push("does nothing").exit_code == 3
        assert desk.states() == {"k": "unknown"}
        desk.pass_time(DAY)
    assert waits(desk) == {"k": "attempts"}
    assert desk.newest()["k"]["error_detail"] == "sent 3 times and never there: not_removed, not_removed, not_removed"


@pytest.mark.parametrize("fate", ["refuses", "does nothing", "is lost"])
def test_one_answer_that_an_enrollment_of_ours_is_not_there_does_not_prove_its_removal(desk, fate):
    desk.ask(row("k"))
    desk.push()
    desk.ask(row("out", action="remove"))
    for _ in range(2):  # when it is sent, and when it is read back
        desk.world.not_found = 1
        assert (desk.push(fate).exit_code, desk.states()["out"]) == (3, "unknown")
        desk.pass_time(DAY)
    assert desk.push().exit_code == 0
    assert desk.world.status_of((ACCOUNT, contact(0), SEQUENCE)) == {"removed"}


@pytest.mark.parametrize("listed", [True, False])
def test_an_enrollment_that_the_api_said_it_made_and_never_listed_is_held(desk, listed):
    desk.ask(row("k"))
    assert desk.push().exit_code == 0
    desk.pass_time(DAY)
    if listed:  # then it was deleted in Boast since
        columns = "run_id, verified, started_at, finished_at"
        moment = "current_timestamp - interval '1' hour"
        desk.sql(f"insert into boast_data.runs ({columns}) select 'seen', 'covered', {moment}, {moment}")
    desk.vanish(*desk.world.enrollments)
    for _ in range(2):
        assert waits(desk, 0 if listed else 3) == ({} if listed else {"k": "unlisted"})
    assert len(desk.world.posts) == 1
