"""Plan, approve, send: people see what would be sent, and exactly that is sent."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from tests.support.sandbox_client import POST

pytest_plugins = ["tests.support.push_fixtures"]


def rows(desk, count):
    return [{"request_id": f"r{n}", **pair} for n, pair in enumerate(desk.free_pairs(count))]


def test_a_plan_is_a_page_with_names_and_a_file_without_and_sends_nothing(pushing, workplace):
    desk = pushing()
    workplace.boast("load")
    desk.ask(*rows(desk, 4))
    assert desk.push(limit=0).code == 0
    (workplace.folder / "plan.html").touch(0o644)
    page = workplace.boast("push", "--plan", "plan.html", "--json")
    assert page.code == 0, page.err
    assert page.json["plan"] == str(workplace.folder / "plan.html")
    shown = (workplace.folder / "plan.html").read_text()
    assert stat.S_IMODE((workplace.folder / "plan.html").stat().st_mode) == 0o600, "it names people"
    contact, sequence = desk.execute("select contact_id, sequence_id from boast_data.pending_enrollments limit 1")[0]
    ((email,),) = desk.execute("select email from boast_data.contacts where id = ?", [contact])
    ((name,),) = desk.execute("select name from boast_data.sequences where id = ?", [sequence])
    assert {email in shown, name in shown, page.json["plan_hash"] in shown, "r3" in shown} == {True}
    assert email not in page.out + page.err

    machine = workplace.boast("push", "--plan", "plan.json")
    assert f"boast push --approve {page.json['plan_hash']}" in machine.out
    plan = json.loads((workplace.folder / "plan.json").read_text())
    assert (plan["hash"], plan["to_send"]) == (page.json["plan_hash"], 4)
    assert sum(one["requests"] for one in plan["counts"]) == 4
    assert {one["account_id"] for one in plan["counts"]} == {desk.account}
    assert name in {one["sequence_name"] for one in plan["counts"]}
    assert [one["request_key"] for one in plan["requests"]] == ["r0", "r1", "r2", "r3"]
    assert email not in json.dumps(plan)
    assert desk.writes == {}
    assert workplace.boast("push", "--plan", "nowhere/plan.html").code == 1


def test_what_is_approved_is_sent_exactly_and_what_changed_since_is_held(pushing):
    desk = pushing()
    one, two, three, four = rows(desk, 4)
    desk.push(limit=0)
    desk.ask(one, two, three)
    plan = desk.push(plan="plan.json").summary["plan_hash"]
    desk.ask(four)
    desk.execute("delete from boast_data.pending_enrollments where request_id = 'r2'")
    desk.execute(
        "update boast_data.pending_enrollments set contact_id = ? where request_id = 'r1'", [three["contact_id"]]
    )
    done = desk.push(approve=plan, max_sends=1)
    assert (done.code, done.counts) == (3, {"enrolled": 1, "held": 1, "deferred": 1})
    assert desk.states() == {"r0": "enrolled", "r1": "held"}
    assert desk.decide("list")[0]["error_code"] == "replanned"
    assert desk.push().counts == {"enrolled": 1, "held": 1}, "what was not in the plan is sent by the next push"


def test_what_an_operator_released_after_it_was_sent_is_in_the_plan_and_can_be_approved(pushing):
    desk = pushing()
    one, two, three = rows(desk, 3)
    desk.fault("status", status=422, times=1)
    desk.ask(one)
    assert desk.push().counts == {"refused": 1}
    desk.fault("error_before_write", times=2)
    desk.ask(two, three)
    assert desk.push().counts == {"unknown": 2}
    desk.decide("release", "r0")
    desk.decide("retry", "r1")
    seen = desk.push(plan="plan.json")
    assert seen.counts == {"deferred": 2, "unknown": 1}, "of a dry run, those that would be sent are deferred"
    assert desk.push(approve=seen.summary["plan_hash"]).counts == {"enrolled": 2, "unknown": 1}
    desk.execute("delete from boast_data.pending_enrollments where request_id = 'r2'")
    desk.decide("retry", "r2")
    assert desk.push(dry_run=True).counts == desk.push().counts == {"withdrawn": 1}
    assert desk.writes == {POST: 2}


def test_a_first_push_can_be_approved_and_says_what_comes_next(pushing, workplace):
    desk = pushing()
    desk.ask(*rows(desk, 3))
    plan = workplace.boast("push", "--plan", "plan.html", "--json").json["plan_hash"]
    assert desk.has_ledger is False
    wrong = workplace.boast("push", "--new-ledger", "--approve", "0" * 16, "--json")
    assert (wrong.code, wrong.json["enrolled"], "make a new one" in wrong.json["error"]) == (2, 0, True)
    assert workplace.boast("push", "--new-ledger", "--only", "nobody").code == 2
    assert desk.has_ledger is False, "else the next night sends what nobody approved"
    done = workplace.boast("push", "--new-ledger", "--approve", plan, "--max-sends", "1")
    assert done.code == 0, done.err
    assert "the first push: 3 to enroll" in done.err
    assert "every push sends what is left, every night" in done.err
    assert desk.writes == {POST: 3}
    assert workplace.boast("push", "--approve", "no hash").code == 2


def test_one_named_request_can_be_sent_alone(pushing, workplace):
    desk = pushing()
    desk.push(limit=0)
    desk.ask(*rows(desk, 3))
    assert desk.push(only=" r1 ").counts == {"enrolled": 1, "deferred": 2}
    assert desk.states() == {"r1": "enrolled"}
    refused = desk.push(only="r9")
    assert (refused.code, "There is no request r9" in refused.error) == (2, True)
    assert desk.writes == {POST: 1}


def test_one_named_request_that_is_not_sent_is_told_with_the_reason(pushing):
    desk = pushing()
    desk.push(limit=0)
    active = desk.enrollment("active")
    pair = {name: active[name] for name in ("contact_id", "sequence_id")}
    desk.ask({"request_id": "out", **pair, "action": "remove"}, {"request_id": "in", **pair, "action": "enroll"})
    waits = desk.push(only="in")
    assert (waits.code, waits.counts) == (3, {"deferred": 2})
    assert waits.summary["stopped"] == "in waits: an open request of the same contact comes first"
    assert desk.writes == {}


def test_the_summary_has_everything_that_made_it_exit_with_3(pushing):
    desk = pushing()
    desk.push(limit=0)
    desk.ask(*rows(desk, 3))
    many = desk.push(max_sends=2)
    assert (many.code, many.summary["too_many"], many.summary["deferred"]) == (3, 3, 3)
    assert "--plan plan.html" in many.summary["errors"][0]
    desk.fault("status", status=401, body="none")
    stopped = desk.push()
    assert (stopped.code, stopped.summary["deferred"]) == (3, 3)
    assert "Run `boast login`" in stopped.summary["stopped"]
    desk.server.control("DELETE", "faults")
    desk.fault("status", status=422, times=1)
    assert desk.push().summary["attention"] == {"refused": 1}
    again = desk.push()
    assert (again.code, again.summary["queried"], again.summary["attention"]) == (3, 0, {"refused": 1})


def test_a_plan_names_what_would_not_be_sent_and_approves_nothing_where_there_is_nothing(pushing, workplace):
    desk = pushing()
    (row,) = rows(desk, 1)
    desk.ask({**row, "contact_id": "no-uuid"})
    told = workplace.boast("push", "--plan", "plan.html")
    page = (workplace.folder / "plan.html").read_text()
    assert ("Not sent" in page, "<td>invalid</td>" in page, "--approve" in page + told.out) == (True, True, False), page
    assert "  deferred" not in told.out
    refused = workplace.boast("push", "--approve", "0" * 16)
    assert (refused.code, "add --new-ledger to the command" in refused.err) == (2, True), refused.err


def test_a_plan_sends_nothing_for_an_account_whose_list_lost_too_many(pushing):
    desk = pushing(enrollments=60)
    desk.push(limit=0)
    desk.ask(*rows(desk, 2))
    gone = list(desk.server.truth())[:40]
    desk.server.control("POST", "mutate", {"delete_ids": gone})
    planned = desk.push(plan="plan.json").summary
    assert (planned["deferred"], json.loads(Path(planned["plan"]).read_text())["to_send"]) == (2, 0)
    done = desk.push()
    assert (done.code, done.counts) == (3, {"deferred": 2})
