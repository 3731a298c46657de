"""`boast nightly` and `boast status`: a night does all there is to do, and the morning can see it."""

from __future__ import annotations

import duckdb
import pytest

from tests.support.sandbox_client import client_of
from tests.support.workplace import NO_REPORT, stored


@pytest.fixture
def night(sandbox, workplace):
    """A sandbox and a workplace; `ask()` makes a pending table with three free pairs."""
    server = sandbox(enrollments=60)
    workplace.use(server, **NO_REPORT)
    with client_of(server) as client:
        contacts = [record["id"] for record in client.every("contacts")]
        sequence = client.every("sequences")[0]["id"]

    def ask():
        busy = {e["contact_id"] for e in server.truth().values() if e["sequence_id"] == sequence}
        with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
            connection.execute("create schema if not exists boast_data")
            connection.execute("create table boast_data.pending_enrollments (contact_id text, sequence_id text)")
            for contact in [contact for contact in contacts if contact not in busy][:3]:
                connection.execute("insert into boast_data.pending_enrollments values (?, ?)", [contact, sequence])

    return server, workplace, ask


def test_without_pending_enrollments_a_night_is_a_load(night):
    server, workplace, _ = night
    done = workplace.boast("nightly", "--json")
    assert (done.code, done.json["status"], done.json["push"]) == (0, "ok", None)
    told = [line for line in done.err.splitlines() if "pending_enrollments" in line]
    assert [line.partition("push: ")[2] for line in told] == [
        "there is no pending_enrollments, so there is nothing to send"
    ]
    assert done.json["load"]["accounts"][0]["loaded"] == 60
    assert stored(workplace) == server.truth()
    assert workplace.sql("select command, status, listed, sent from boast_data.runs") == [("nightly", "ok", 60, None)]


def test_a_night_reads_the_enrollments_until_two_passes_agree_pushes_and_stores_what_it_sent(night):
    server, workplace, ask = night
    ask()
    assert workplace.boast("push", "--new-ledger", "--limit", "0").code == 0
    server.control("DELETE", "counters")
    done = workplace.boast("nightly", "--json")
    assert done.code == 0, done.err
    assert set(done.json) == {"run_id", "status", "load", "push"}
    assert done.json["push"]["enrolled"] == 3
    assert done.json["load"]["accounts"][0]["listed"] == 60
    assert stored(workplace) == server.truth()
    assert workplace.sql("select count(*) from boast_data.contacts") == [(20,)]
    beyond = 1  # the last page is full
    assert server.control("GET", "counters")["arrived"]["GET sequence_enrollments"] == 2 * (3 + beyond)
    assert server.control("GET", "counters")["arrived"]["GET contacts"] == 1
    last = "select command, sent, listed, exit_code from boast_data.runs order by finished_at desc limit 1"
    assert workplace.sql(last) == [("nightly", 3, 60, 0)]


@pytest.mark.parametrize("how", ["option", "setting"])
def test_a_night_can_leave_the_push_out(night, how):
    server, workplace, ask = night
    ask()
    assert workplace.boast("push", "--new-ledger", "--limit", "0").code == 0
    off = {"SOURCES__BOAST__PUSH__ENABLED": "false"} if how == "setting" else {}
    done = workplace.boast("nightly", "--json", *(["--no-push"] if how == "option" else []), **off)
    assert (done.code, done.json["push"]) == (0, None)
    assert "push: switched off" in done.err
    assert server.control("GET", "counters")["writes"] == {}
    if how == "setting":
        refused = workplace.boast("push", **off)
        assert (refused.code, "sources.boast.push.enabled is false" in refused.err) == (2, True)


def test_a_push_that_cannot_start_leaves_the_load_and_the_exit_code_says_so(night):
    server, workplace, ask = night
    ask()
    done = workplace.boast("nightly", "--json")
    assert (done.code, done.json["push"]) == (2, None)
    assert "--new-ledger" in done.json["error"]
    assert stored(workplace) == server.truth()
    assert workplace.sql("select exit_code from boast_data.runs") == [(2,)]


def test_what_waits_for_a_person_makes_the_exit_code_3_and_the_status_tells(night):
    server, workplace, ask = night
    ask()
    workplace.boast("push", "--new-ledger", "--limit", "0")
    server.control("POST", "faults", {"kind": "error_before_write", "method": "POST", "times": 1})
    done = workplace.boast("nightly")
    assert done.code == 3
    told = workplace.boast("status")
    assert told.code == 0
    assert "Last verified load: 0 minutes ago (exact)." in told.out
    assert "It listed 60 enrollments; stored now: 62, missing: 0." in told.out
    assert "attention: 1 unknown" in told.out
    assert "nightly, attention (exit code 3)" in told.out
    assert len(told.out.splitlines()) == 5


def test_what_waits_for_a_person_waits_also_in_a_night_that_pushes_nothing(night):
    server, workplace, ask = night
    ask()
    server.control("POST", "faults", {"kind": "status", "status": 422, "method": "POST", "times": 3})
    assert workplace.boast("push", "--new-ledger").code == 3
    done = workplace.boast("nightly", "--no-push", "--json")
    assert (done.code, done.json["status"]) == (3, "attention")
    assert "requests need attention: 3 refused; see `boast requests list`" in done.err
    assert workplace.boast("requests", "drop", "--state", "refused", "--confirm", "3").code == 0
    assert workplace.boast("nightly", "--no-push").code == 0


def test_the_status_is_a_health_check_for_a_scheduler(night):
    _, workplace, _ = night
    before = workplace.boast("status", "--max-age", "26h", "--json")
    assert (before.code, before.json["status"]) == (1, "stale")
    workplace.boast("nightly")
    fresh = workplace.boast("status", "--max-age", "26h", "--json")
    assert (fresh.code, fresh.json["status"]) == (0, "ok")
    assert fresh.json["rows"]["sequence_enrollments"] == 60
    assert fresh.json["runs"][0]["command"] == "nightly"
    assert workplace.boast("status", "--max-age", "0 s").code == 1
    assert workplace.boast("status", "--max-age", "soon").code == 2


def test_what_the_morning_reads_is_in_json_too_and_names_a_night_that_could_not_be_recorded(night):
    _, workplace, _ = night
    assert workplace.boast("status", "--json").json["status"] == "attention", "nothing was ever loaded"
    assert workplace.boast("load").code == 0
    assert workplace.boast("status", "--json").json["status"] == "ok"
    assert workplace.boast("nightly", SOURCES__BOAST__TIME_ZONE="Nowhere").code == 2
    shown, told = workplace.boast("status"), workplace.boast("status", "--json")
    assert (shown.code, told.code, told.json["status"]) == (0, 0, "attention")
    assert shown.out.splitlines()[0] == told.json["judgement"] == "The last run needs attention."
    assert "Last run: nightly, failed (exit code 2)" in shown.out
    assert "is no time zone" in shown.out
    assert told.json["runs"][0]["command"] == "nightly"
    assert workplace.boast("load").code == 0
    assert workplace.boast("status", "--json").json["status"] == "attention", "the night was not made up for"
    assert workplace.boast("nightly").code == 0
    assert workplace.boast("status", "--json").json["status"] == "ok"


@pytest.mark.parametrize("as_json", [True, False])
def test_an_api_that_is_away_fails_the_night_and_the_record_says_so(night, as_json):
    server, workplace, ask = night
    ask()
    assert workplace.boast("push", "--new-ledger", "--limit", "2").code == 0
    server.control("POST", "faults", {"kind": "status", "status": 401, "body": "none"})
    done = workplace.boast("nightly", *(["--json"] if as_json else []))
    assert done.code == 1
    assert "! GET /accounts" in done.err
    assert "Run `boast login`" in done.err, "the next step"
    if as_json:
        assert (done.json["status"], done.json["load"], done.json["push"]["deferred"]) == ("failed", None, 1)
    assert "push: 1 deferred" in done.err, "what was sent before is over"
    last = "select command, status, exit_code from boast_data.runs order by finished_at desc limit 1"
    assert workplace.sql(last) == [("nightly", "failed", 1)]


def test_fresh_is_what_was_listed_and_verified_whatever_else_failed(night):
    server, workplace, ask = night

    def execute(statement):
        with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
            connection.execute(statement)

    assert workplace.boast("nightly", "--new-ledger").code == 0
    ten_days = "interval 10 day"
    age = f"update boast_data.runs set started_at = started_at - {ten_days}, finished_at = finished_at - {ten_days}"
    execute(age)
    ask()
    execute("alter table boast_data.pending_enrollments drop column sequence_id")
    assert workplace.boast("nightly").code == 2  # the push cannot start, the load is good
    assert workplace.boast("status", "--max-age", "26h").code == 0
    execute(age)
    execute("drop table boast_data.pending_enrollments")
    server.control("POST", "mutate", {"delete_ids": list(server.truth())})
    assert workplace.boast("nightly").code == 3  # an empty list is believed by nobody
    stale = workplace.boast("status", "--max-age", "26h")
    assert stale.code == 1
    assert "Stale: older than " in stale.out
