"""Telling people: each thing is told to a webhook once, also by runs that could not be recorded."""

from __future__ import annotations

import shutil

import duckdb
import pytest

from tests.support.nights import OUTAGE
from tests.support.sandbox_client import client_of
from tests.support.waiting import arrived
from tests.support.workplace import finish

pytest_plugins = ["tests.support.webhook_fixtures"]


def test_a_failure_is_told_once_each_kind_and_the_recovery_once(night, hook):
    server, workplace, _ = night
    server.control("POST", "faults", OUTAGE)
    assert workplace.boast("nightly").code == 1
    (text,) = hook.news()
    assert "failed: " in text
    assert "boast login" in text
    assert "(duckdb, boast_data)" in text
    assert workplace.boast("nightly").code == 1
    assert hook.news() == []
    server.control("DELETE", "faults")
    server.control("POST", "faults", {"kind": "status", "status": 404, "path": "accounts$"})
    assert workplace.boast("nightly").code == 1
    (text,) = hook.news()
    assert "404" in text
    server.control("DELETE", "faults")
    assert workplace.boast("nightly").code == 0
    (text,) = hook.news()
    assert "well again, 40 enrollments listed, verified: covered." in text
    assert workplace.boast("nightly").code == 0
    assert hook.news() == []


def test_what_waits_for_a_person_is_told_once_and_what_comes_new_once_more(night, hook):
    server, workplace, ask = night
    server.control("POST", "faults", {"kind": "status", "status": 422, "method": "POST", "times": 2})
    ask(1)
    assert workplace.boast("nightly").code == 3
    (text,) = hook.news()
    assert "requests need attention: 1 refused; see `boast requests list`." in text
    assert workplace.boast("nightly").code == 3  # it waits still, and that is known
    assert hook.news() == []
    ask(1)
    assert workplace.boast("nightly").code == 3
    (text,) = hook.news()
    assert "2 refused" in text
    for (key,) in workplace.sql("select request_key from boast_data.push_requests where state = 'refused'"):
        assert workplace.boast("requests", "drop", key).code == 0
    assert workplace.boast("nightly").code == 0
    (text,) = hook.news()
    assert "well again" in text


def test_a_push_by_hand_tells_what_is_new(night, hook):
    server, workplace, ask = night
    server.control("POST", "faults", {"kind": "status", "status": 422, "method": "POST", "times": 1})
    ask(1)
    assert workplace.boast("push", "--dry-run").code == 0
    assert hook.news() == []
    assert workplace.boast("push").code == 3
    (text,) = hook.news()
    assert text.startswith("boast push on ")
    assert "requests need attention: 1 refused" in text
    assert workplace.boast("push").code == 3
    assert workplace.boast("nightly").code == 3
    assert hook.news() == []


def test_an_account_that_fails_is_told_once_with_what_to_do(night, hook):
    server, workplace, _ = night
    server.control("POST", "faults", {"kind": "status", "status": 403, "path": "/forms"})
    assert workplace.boast("nightly").code == 3
    (text,) = hook.news()
    assert "needs attention: account " in text
    assert "forms: GET" in text
    assert workplace.boast("nightly").code == 3
    assert hook.news() == []


def test_a_pending_table_that_is_configured_and_not_there_is_told_and_the_load_goes_on(night, hook):
    server, workplace, _ = night
    server.control("POST", "mutate", {"insert": 1})
    where = {"SOURCES__BOAST__PUSH__PENDING_TABLE": "boast_data.nowhere"}
    assert workplace.boast("push", **where).code == 2
    (text,) = hook.news()
    assert "failed: There is no table or view" in text
    done = workplace.boast("nightly", "--json", **where)
    assert (done.code, done.json["status"], done.json["push"]) == (3, "attention", None)
    assert done.json["load"]["accounts"][0]["loaded"] == 1
    (text,) = hook.news()
    assert 'needs attention: There is no table or view "boast_data"."nowhere"' in text
    assert workplace.boast("nightly", **where).code == 3
    assert hook.news() == []


def test_an_error_in_the_view_is_reported_as_the_views(night, hook):
    _, workplace, _ = night
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute("create table boast_data.mine as select 'secret@example.com' as contact_id, 1 as n")
        connection.execute(
            "create or replace view boast_data.wanted as select contact_id, contact_id::int::text as sequence_id"
            " from boast_data.mine"
        )
    where = {"SOURCES__BOAST__PUSH__PENDING_TABLE": "wanted"}
    done = workplace.boast("push", "--json", **where)
    assert (done.code, done.json["status"]) == (2, "failed")
    assert 'Your table or view "boast_data"."wanted" cannot be read: ' in done.json["error"]
    assert len(hook.news()) == 1
    done = workplace.boast("nightly", "--json", **where)
    assert (done.code, done.json["load"]["accounts"][0]["listed"]) == (3, 40)
    (text,) = hook.news()
    assert 'Your table or view "boast_data"."wanted" cannot be read' in text
    assert "secret" not in text + done.out + done.err
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute("drop table boast_data.mine")
    done = workplace.boast("push", "--json", **where)
    assert 'Your table or view "boast_data"."wanted" cannot be read' in done.json["error"], "not that there is none"


def test_a_machine_that_forgets_knows_from_the_warehouse_what_was_told(night, hook):
    server, workplace, _ = night
    server.control("POST", "faults", OUTAGE)
    for told in (1, 0, 0):
        assert workplace.boast("nightly").code == 1
        assert len(hook.news()) == told
        shutil.rmtree(workplace.folder / "state")
    server.control("DELETE", "faults")
    assert workplace.boast("nightly").code == 0
    assert "well again" in hook.news()[0]


def test_with_delta_tables_too_each_thing_is_told_once(sandbox, workplace, hook):
    pytest.importorskip("deltalake")
    server = sandbox(enrollments=20)
    lake = {"DESTINATION__FILESYSTEM__BUCKET_URL": (workplace.folder / "lake").as_uri()}
    workplace.use(server, SOURCES__BOAST__WEBHOOK_URL=hook.url, **lake)
    assert workplace.boast("nightly", "--destination", "filesystem").code == 0
    server.control("POST", "faults", OUTAGE)
    for told in (1, 0):
        assert workplace.boast("nightly", "--destination", "filesystem").code == 1
        assert len(hook.news()) == told
        shutil.rmtree(workplace.folder / "state")
    server.control("DELETE", "faults")
    assert workplace.boast("nightly", "--destination", "filesystem").code == 0
    assert "well again, 20 enrollments listed" in hook.news()[0]


def test_a_warehouse_that_is_away_is_told_once_and_its_runs_are_recorded_later(night, hook):
    _, workplace, _ = night
    path = workplace.folder / "boast.duckdb"
    path.rename(workplace.folder / "away")
    path.mkdir()
    assert [workplace.boast("nightly").code for _ in range(2)] == [1, 1]
    (text,) = hook.news()
    assert "A file of the warehouse cannot be read" in text
    path.rmdir()
    (workplace.folder / "away").rename(path)
    assert workplace.boast("nightly").code == 0
    assert "well again" in hook.news()[0]
    codes = workplace.sql("select exit_code from boast_data.runs order by started_at")
    assert codes == [(0,), (1,), (1,), (0,)]


def test_a_configuration_that_cannot_work_is_told_and_recorded_by_the_next_run(night, hook):
    _, workplace, _ = night
    wrong = {"SOURCES__BOAST__TIME_ZONE": "Nowhere"}
    assert [workplace.boast("nightly", **wrong).code for _ in range(2)] == [2, 2]
    assert ["no time zone" in text for text in hook.news()] == [True]
    assert workplace.boast("nightly").code == 0
    codes = workplace.sql("select exit_code from boast_data.runs order by started_at")
    assert codes == [(0,), (2,), (2,), (0,)]


def test_a_run_that_never_ends_is_told_at_the_second_night_that_finds_it(night, hook):
    server, workplace, _ = night
    server.control("POST", "faults", {"kind": "hold", "seconds": 3600, "path": "enrollments", "times": 1})
    server.control("DELETE", "counters")
    first = workplace.start("nightly")
    arrived(server, "GET sequence_enrollments", process=first)
    codes, told = [], []
    for _ in range(3):
        codes.append(workplace.boast("nightly").code)
        told.append(hook.news())
    assert codes == [4, 4, 4]
    assert [len(texts) for texts in told] == [0, 1, 0]
    assert f"the second time in a row: Another run of the pipeline boast is alive (process {first.pid}" in told[1][0]
    first.kill()
    finish(first)
    assert workplace.boast("nightly").code == 0
    (text,) = hook.news()
    assert "died: the process was killed, or the machine went down. The next one has begun." in text
    statuses = workplace.sql("select status from boast_data.runs order by started_at")
    assert statuses == [("ok",), ("failed",), ("locked",), ("locked",), ("locked",), ("ok",)]


def test_more_than_may_be_sent_is_told_once_and_status_says_it_in_five_lines(night, hook):
    _, workplace, ask = night
    ask(3)
    few = {"SOURCES__BOAST__PUSH__MAX_SENDS": "2"}
    assert workplace.boast("nightly", **few).code == 3
    (text,) = hook.news()
    assert "needs attention: 3 requests are ready" in text
    assert "boast push --max-sends 3" in text
    assert workplace.boast("nightly", **few).code == 3
    assert hook.news() == []
    told = workplace.boast("status").out
    assert "boast push --max-sends 3" in told
    assert "Nothing needs" not in told
    assert len(told.splitlines()) == 5
    assert workplace.boast("nightly").code == 0
    (text,) = hook.news()
    assert "well again" in text


def test_who_was_enrolled_twice_is_told_once(night, hook):
    server, workplace, ask = night
    ask(1)
    assert workplace.boast("nightly").code == 0
    ((contact, sequence),) = workplace.sql("select contact_id, sequence_id from boast_data.pending_enrollments")
    with client_of(server) as client:
        second = client.enroll(contact, sequence).json()["data"]["id"]
    edit = {"id": second, "set": {"created_at": "2026-05-01T00:00:00Z"}}  # it was there first, and hidden
    server.control("POST", "mutate", {"edits": [edit]})
    assert workplace.boast("nightly").code == 3
    (text,) = hook.news()
    assert "needs attention: 1 requests enrolled somebody more than once" in text
    assert "more than once" in workplace.boast("status").out
    assert workplace.boast("nightly").code == 3
    assert hook.news() == [], "it still needs attention, and was told"
