"""`boast requests`: an operator sees what waits and what happens next, decides, pauses and resumes."""

from __future__ import annotations

import pytest

from tests.support.sandbox_client import DELETE, POST, client_of
from tests.support.waiting import arrived
from tests.support.workplace import finish

pytest_plugins = ["tests.support.postgres", "tests.support.push_fixtures"]


@pytest.fixture
def office(pushing, workplace):
    """Three refused requests in two sequences, and the commands over them."""
    desk = pushing()
    rows = [{"request_id": f"r{n}", **pair} for n, pair in enumerate(desk.free_pairs(3))]
    rows[2]["sequence_id"] = desk.sequences[-1]
    desk.ask(*rows)
    desk.fault("status", status=422, times=3)
    assert desk.push().counts == {"refused": 3}
    return desk, workplace


def sequence_name(desk, key):
    return desk.execute("select name from boast_data.sequences where id = ?", [key])[0][0]


def test_the_list_says_since_when_how_often_in_which_sequence_and_what_happens_next(office):
    desk, workplace = office
    workplace.boast("load")  # the names of the sequences
    found = {one["request_key"]: one for one in workplace.boast("requests", "list", "--json").json["requests"]}
    assert list(found) == ["r0", "r1", "r2"]
    one = found["r2"]
    name = sequence_name(desk, desk.sequences[-1])
    assert (one["standing"], one["attempt"], one["next"], one["sequence_name"]) == ("refused", 1, "nothing", name)
    assert one["since"] == one["recorded_at"]
    shown = workplace.boast("requests", "list").out
    assert {"since", "attempts", "next"} <= set(shown.splitlines()[0].split())
    assert name in shown
    assert one["since"][:16] in shown


def test_an_open_request_says_when_it_is_read_back_and_when_only_a_person_can_settle_it(pushing, workplace):
    desk = pushing()
    desk.ask({"request_id": "r", **desk.free_pairs(1)[0]})
    desk.fault("error_before_write", times=1)
    assert desk.push().counts == {"unknown": 1}
    (one,) = desk.decide("list")
    (due,) = desk.execute("select max(recorded_at) + interval '600' second from boast_data.push_ledger")
    assert one["next"] == f"read back again after {due[0]:%Y-%m-%d %H:%M} UTC"
    listing = "insert into boast_data.runs (run_id, command, verified, started_at, finished_at)"
    moment = "current_timestamp + interval '1' hour"
    for night in range(2):
        desk.execute(f"{listing} values ('n{night}', 'nightly', 'moving', {moment}, {moment})")
    assert desk.decide("list")[0]["next"] == "its list never holds still: only you can settle it"
    never = workplace.boast("requests", "list", "--json", SOURCES__BOAST__PUSH__SETTLE_AFTER="never")
    assert never.json["requests"][0]["next"].endswith("only you can settle it")


def test_the_state_of_a_list_is_a_choice(office):
    _, workplace = office
    refused = workplace.boast("requests", "list", "--state", "refuse")
    assert refused.code == 2
    assert "skipped_active" in refused.err
    assert len(workplace.boast("requests", "list", "--state", "refused", "--json").json["requests"]) == 3
    assert workplace.boast("requests", "list", "--state", "held", "--json").json["requests"] == []


def test_many_are_decided_on_by_what_they_are_like_once_their_count_is_confirmed(office):
    desk, workplace = office
    workplace.boast("load")
    name = sequence_name(desk, desk.sequences[-1]).upper()
    misspelt = workplace.boast("requests", "list", "--sequence", "Wellcome")
    assert (misspelt.code, "was loaded. Some that were: " in misspelt.err) == (2, True), "not that nothing waits"
    asked = workplace.boast("requests", "release", "--state", "refused", "--sequence", name)
    assert (asked.code, "1 requests are like this" in asked.err, "--confirm 1" in asked.err) == (2, True, True)
    assert desk.states()["r2"] == "refused"
    assert workplace.boast("requests", "release", "--state", "refused", "--confirm", "2").code == 2
    done = workplace.boast("requests", "release", "--sequence", name, "--confirm", "1", "--note", "by phone", "--json")
    assert [one["request_key"] for one in done.json["requests"]] == ["r2"]
    assert desk.execute("select note from boast_data.push_ledger where state = 'released'") == [("by phone",)]
    long_ago = ("--before", "2020-01-01", "--confirm", "1")
    assert "There is no such request" in workplace.boast("requests", "drop", *long_ago).err
    code = desk.decide("list")[0]["error_code"]
    later = ("--reason", code, "--before", "2100-01-01T00:00Z", "--confirm", "2")
    assert workplace.boast("requests", "drop", *later).code == 0
    assert desk.states() == {"r0": "dropped", "r1": "dropped", "r2": "released"}
    assert workplace.boast("requests", "drop").code == 2
    assert workplace.boast("requests", "drop", "r2", "--state", "held").code == 2
    assert desk.push().counts == {"enrolled": 1}


def test_what_a_release_says_is_what_then_happens(pushing):
    desk = pushing()
    one, two = desk.free_pairs(2)
    desk.ask({"request_id": "a", **one}, {"request_id": "a", **two})
    assert desk.push().counts == {"held": 2}
    said = "the next push sends it if all rows with its request_id say the same by then; otherwise it stays as it is"
    assert [request["next"] for request in desk.decide("release", "a")] == [f"{said}, and can be released again"]
    assert desk.push().counts == {"held": 2}
    assert desk.writes == {}
    desk.table()
    desk.ask({"request_id": "a", **one})
    desk.decide("release", "a")
    assert desk.push().counts == {"enrolled": 1}
    desk.ask({"request_id": "b", **one})
    assert desk.push().counts == {"skipped_active": 1}
    (released,) = desk.decide("release", "b")
    assert "if the contact is no longer active in the sequence by then; otherwise" in released["next"]
    assert desk.push().counts == {"skipped_active": 1}


def test_a_release_of_what_no_row_asks_for_any_more_says_that_it_may_not_be_sent(pushing):
    desk = pushing()
    desk.ask({"request_id": "r", **desk.free_pairs(1)[0]})
    desk.fault("status", status=422, times=1)
    assert desk.push().counts == {"refused": 1}
    desk.table()
    (released,) = desk.decide("release", "r")
    assert released["next"].startswith("the next push sends it if a row still asks for it")
    assert desk.push().counts == {"withdrawn": 1}


def test_a_release_of_a_removal_promises_no_sending_where_nothing_is_left_to_remove(pushing):
    desk = pushing()
    (pair,) = desk.free_pairs(1)
    desk.ask({"request_id": "r", **pair, "action": "remove"})
    assert desk.push().counts == {"refused": 1}
    (released,) = desk.decide("release", "r")
    assert released["next"].endswith("if a row still asks for it and something is left to remove")
    assert desk.push().counts == {"refused": 1}
    with client_of(desk.server) as client:
        assert client.enroll(**pair).status == 201
    desk.decide("release", "r")
    assert desk.push().counts == {"removed": 1}
    assert desk.writes == {POST: 1, DELETE: 1}


def test_a_release_of_a_removal_of_who_is_active_twice_says_what_it_waits_for(pushing):
    desk = pushing()
    (pair,) = desk.free_pairs(1)
    with client_of(desk.server) as client:
        first, _ = (client.enroll(**pair).json()["data"]["id"] for _ in range(2))
    desk.ask({"request_id": "r", **pair, "action": "remove"})
    assert desk.push().counts == {"held": 1}
    (released,) = desk.decide("release", "r")
    assert "sends it if only one is active or its row names the enrollment_id by then" in released["next"]
    assert desk.push().counts == {"held": 1}
    desk.decide("release", "r")
    desk.server.control("POST", "mutate", {"edits": [{"id": first, "set": {"status": "removed"}}]})
    assert desk.push().counts == {"removed": 1}


def test_a_pause_holds_back_one_sequence_or_all_until_it_is_resumed_and_the_status_shows_it(pushing, workplace):
    desk = pushing()
    desk.push(limit=0)
    one, two = desk.free_pairs(2)
    two["sequence_id"] = desk.sequences[-1]
    desk.ask({"request_id": "1", **one}, {"request_id": "2", **two})
    paused = workplace.boast("requests", "pause", "--sequence", desk.sequences[-1], "--note", "a campaign", "--json")
    assert (paused.code, paused.json["paused"]) == (0, [f"sequence {desk.sequences[-1]}"])
    assert desk.push().counts == {"enrolled": 1, "deferred": 1}
    assert workplace.boast("requests", "pause").code == 0
    assert workplace.boast("status", "--json").json["paused"] == ["*", f"sequence {desk.sequences[-1]}"]
    shown = workplace.boast("status").out
    assert f"`boast requests resume --sequence {desk.sequences[-1]}` resumes it" in shown
    assert "Paused by an operator: everything" in shown
    workplace.boast("requests", "resume", "--sequence", desk.sequences[-1])
    assert desk.push().counts == {"deferred": 1}
    assert desk.writes == {POST: 1}
    assert workplace.boast("requests", "resume", "--account", desk.account).code == 2, "it is not paused"
    assert workplace.boast("requests", "resume").code == 0
    assert "The whole push is not paused" in workplace.boast("requests", "resume").err
    assert desk.push().counts == {"enrolled": 1}
    assert desk.execute("select note from boast_data.push_ledger where note is not null") == [("a campaign",)]


@pytest.mark.parametrize("kind", ["sequence", "account"])
def test_what_nobody_has_is_not_paused(pushing, workplace, kind):
    desk = pushing()
    desk.push(limit=0)
    assert workplace.boast("load", "--resources", "sequences,accounts").code == 0
    there = desk.sequences[0] if kind == "sequence" else desk.account
    for wrong in ("", " ", there[:-1], "Seqence 0"):
        done = workplace.boast("requests", "pause", f"--{kind}", wrong)
        assert done.code == 2
        assert not wrong.strip() or there in done.err, done.err
    assert workplace.boast("status", "--json").json["paused"] == []
    assert workplace.boast("requests", "pause", f"--{kind}", there.upper()).code == 0


def test_an_account_can_be_paused(pushing, workplace):
    desk = pushing()
    desk.push(limit=0)
    desk.ask({"request_id": "1", **desk.free_pairs(1)[0]})
    workplace.boast("requests", "pause", "--account", desk.account)
    assert desk.push().counts == {"deferred": 1}
    workplace.boast("requests", "resume", "--account", desk.account)
    assert desk.push().counts == {"enrolled": 1}


def test_the_list_works_while_a_push_runs(pushing, postgres, workplace):
    desk = pushing(postgres)
    desk.ask({"request_id": "r", **desk.free_pairs(1)[0]})
    desk.fault("status", status=422, times=1)
    assert desk.push().counts == {"refused": 1}
    desk.server.control("POST", "faults", {"kind": "latency", "seconds": 20, "path": "sequence_enrollments"})
    process = workplace.start("push", "--destination", "postgres")
    arrived(desk.server, "GET sequence_enrollments", 1, process=process)
    listed = workplace.boast("requests", "list", "--destination", "postgres", "--json")
    assert [one["request_key"] for one in listed.json["requests"]] == ["r"]
    assert process.poll() is None
    process.kill()
    finish(process)


def test_a_request_id_that_would_steer_a_terminal_or_forge_a_line_is_shown_in_one_line(pushing, workplace):
    desk = pushing()
    forged = "x\x1b[2J\x1b]0;title\x07\nboast: all is well"
    desk.ask({"request_id": forged, **desk.free_pairs(1)[0], "contact_id": desk.account})
    done = workplace.boast("push", "--new-ledger")
    assert done.code == 3
    for text in (done.out, done.err, workplace.boast("requests", "list").out, workplace.boast("status").out):
        assert all(line.isprintable() and not line.startswith("boast: all is well") for line in text.splitlines())
    assert "all is well" in workplace.boast("requests", "list").out


def test_what_looks_like_markup_is_shown_as_it_is_and_hides_no_request(pushing, workplace):
    desk = pushing()
    (pair,) = desk.free_pairs(1)
    key = "imp[/ort]-[red]7"
    desk.ask({"request_id": key, **pair, "contact_id": desk.account})
    rehearsed = workplace.boast("push", "--dry-run", "--new-ledger")
    assert rehearsed.code == 0
    assert key in rehearsed.out
    assert workplace.boast("push", "--new-ledger").code == 3
    listed = workplace.boast("requests", "list")
    assert listed.code == 0
    assert key in listed.out
    dropped = workplace.boast("requests", "drop", key)
    assert dropped.code == 0
    assert key in dropped.out
