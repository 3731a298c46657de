"""Telling people: JSON logs, a line per stage, and a webhook that tells each thing once."""

from __future__ import annotations

import json
import shutil

import duckdb
import pytest

from boast_source import runs
from boast_source.runs.health import Waiting
from boast_source.runs.notify import Known, news
from boast_source.sandbox.world import Refused
from tests.support.sandbox_client import client_of
from tests.support.waiting import arrived
from tests.support.webhook import SECRET, webhook
from tests.support.workplace import NO_REPORT, finish

OUTAGE = {"kind": "status", "status": 401, "body": "none"}


@pytest.fixture
def hook():
    with webhook() as found:
        yield found


@pytest.fixture
def night(sandbox, workplace, hook):
    """A nightly pipeline with a webhook, and a ledger; `ask(n)` adds n requests that can be sent."""
    server = sandbox(enrollments=40)
    workplace.use(server, SOURCES__BOAST__WEBHOOK_URL=hook.url, SOURCES__BOAST__LOCK_TIMEOUT="0.2", **NO_REPORT)
    with client_of(server) as client:
        contacts = [record["id"] for record in client.every("contacts")]
        sequences = [record["id"] for record in client.every("sequences")]
    there = {(e["contact_id"], e["sequence_id"]) for e in server.truth().values()}
    free = iter([(c, s) for s in sequences for c in contacts if (c, s) not in there])

    def ask(count):
        with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
            for _ in range(count):
                connection.execute("insert into boast_data.pending_enrollments values (?, ?)", next(free))

    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute("create schema boast_data")
        connection.execute("create table boast_data.pending_enrollments (contact_id text, sequence_id text)")
    assert workplace.boast("nightly", "--new-ledger").code == 0
    assert hook.news() == []
    return server, workplace, ask


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
    assert "requests need attention: 0 held, 1 refused, 0 unknown; see `boast requests list`." in text
    assert workplace.boast("nightly").code == 3  # it waits still, and that is known
    assert hook.news() == []
    ask(1)
    assert workplace.boast("nightly").code == 3
    (text,) = hook.news()
    assert "0 held, 2 refused, 0 unknown" in text
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
    assert "requests need attention: 0 held, 1 refused, 0 unknown" in text
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


def test_a_webhook_that_is_down_changes_no_exit_code_and_is_told_when_it_is_back(night, hook):
    server, workplace, _ = night
    server.control("POST", "faults", OUTAGE)
    hook.status = 500
    done = workplace.boast("nightly")
    assert done.code == 1
    assert "the webhook was not told: It answered with HTTP 500" in done.err
    nobody = hook.url.replace(hook.url.split("/")[2], "127.0.0.1:1")
    done = workplace.boast("nightly", SOURCES__BOAST__WEBHOOK_URL=nobody)
    assert done.code == 1
    assert "the webhook was not told: It did not answer (connect)" in done.err
    done = workplace.boast("nightly", SOURCES__BOAST__WEBHOOK_URL="http://example.com/" + SECRET)
    assert done.code == 1
    assert "webhook_url is no https:// address" in done.err
    hook.status = 200
    assert workplace.boast("nightly").code == 1
    (text,) = hook.news()
    assert "failed: " in text
    server.control("DELETE", "faults")
    hook.status = 500
    done = workplace.boast("nightly", "--debug")
    assert done.code == 0
    assert SECRET not in done.out + done.err
    for path in workplace.folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


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


def test_check_says_whether_the_webhook_can_be_told_and_tells_it_nothing(night, hook):
    _, workplace, _ = night
    done = workplace.boast("check")
    assert done.code == 0
    assert "webhook: the address is usable" in done.out
    assert hook.news() == []
    done = workplace.boast("check", SOURCES__BOAST__WEBHOOK_URL=f"ftp://example.com/{SECRET}")
    assert done.code == 2
    assert "webhook_url is no https:// address" in done.out
    assert SECRET not in done.out + done.err


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
    assert "ended without a word: killed, or the machine went down. The next one has begun." in text
    statuses = workplace.sql("select status from boast_data.runs order by started_at")
    assert statuses == [("ok",), ("failed",), ("locked",), ("locked",), ("locked",), ("ok",)]


def test_each_stage_is_one_line_with_counts_and_seconds(night):
    _, workplace, ask = night
    del workplace.env["SOURCES__BOAST__REPORT_PATH"]
    ask(2)
    lines = [line for line in workplace.boast("nightly").err.splitlines() if line]
    assert [line.split(":")[0] for line in lines] == ["load", "push", "report", "nightly"]
    assert lines[0].startswith("load: 40 listed, 0 loaded, 0 missing, verified exact, ")
    assert lines[1].startswith("push: 2 enrolled, ")
    assert lines[3].startswith("nightly: ok (exit code 0), ")


def test_with_json_logs_every_line_is_an_object_also_of_a_failure_and_of_dlt(night):
    server, workplace, ask = night
    del workplace.env["SOURCES__BOAST__REPORT_PATH"]
    ask(1)
    as_json = {"SOURCES__BOAST__LOG_FORMAT": "json"}
    done = workplace.boast("nightly", "--json", **as_json)
    assert (done.code, done.json["push"]["enrolled"]) == (0, 1)
    lines = [json.loads(line) for line in done.err.splitlines()]
    assert [line["stage"] for line in lines] == ["load", "push", "report", "nightly"]
    assert (lines[0]["listed"], lines[1]["enrolled"], lines[3]["exit_code"]) == (40, 1, 0)
    assert {line["run_id"] for line in lines} == {done.json["run_id"]}
    assert all(line["seconds"] >= 0 and line["timestamp"].endswith("Z") for line in lines)
    debug = workplace.boast("nightly", "--debug", **as_json)
    loggers = {json.loads(line)["logger"].split(".")[0] for line in debug.err.splitlines()}
    assert {"boast_source", "dlt"} <= loggers
    server.control("POST", "faults", OUTAGE)
    done = workplace.boast("load", "--debug", **as_json)
    last = json.loads(done.err.splitlines()[-1])
    assert (done.code, last["level"], last["exit_code"]) == (1, "error", 1)
    assert "401" in last["message"]
    assert "Traceback" in last["traceback"]
    (workplace.folder / ".dlt").mkdir()
    (workplace.folder / ".dlt" / "config.toml").write_text('[sources.boast]\nlog_format = "xml"\n')
    assert workplace.boast("load").code == 2


def test_news_never_hold_what_slack_takes_for_markup(night, hook):
    server, workplace, _ = night

    def refuse():
        raise Refused(422, "invalid", "<!channel> & everybody")

    server.api.world.accounts = refuse
    assert workplace.boast("nightly").code == 1
    (text,) = hook.news()
    assert "&lt;!channel&gt; &amp; everybody" in text
    assert "<" not in text


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


REFUSED = Waiting(refused=1, newest="2026-01-01T00:00:00+00:00")


def told(*nights):
    """What is told of these (exit code, error, what waits), night after night."""
    known, texts = Known(), []
    for code, error, waiting in nights:
        run = runs.Run("nightly", listed=1, verified="covered")
        run.finish(code, error)
        known, text = news(known, run, waiting)
        texts.append(text or "")
    return texts


def test_what_waits_is_told_once_also_when_an_outage_comes_between():
    first, outage, back, still, dropped, after = told(
        (3, None, REFUSED),
        (1, "GET: refused", None),
        (0, None, REFUSED),
        (0, None, REFUSED),
        (0, None, Waiting()),
        (0, None, Waiting()),
    )
    assert first == "requests need attention: 0 held, 1 refused, 0 unknown; see `boast requests list`."
    assert outage == "failed: GET: refused"
    assert back.startswith("well again")
    assert back.endswith("As before, 0 held, 1 refused, 0 unknown need attention.")
    assert still == ""
    assert dropped.startswith("well again")
    assert after == ""


def test_a_failure_that_alternates_with_what_needs_a_person_is_no_recovery():
    nights = [(1, "A fails", None), (3, "account b", Waiting())]
    texts = told(*nights, *nights, (0, None, Waiting()), (0, None, Waiting()))
    assert texts[0] == texts[2] == "failed: A fails"
    assert texts[1] == "runs again, 1 enrollments listed, verified: covered.\nneeds attention: account b"
    assert texts[3] == "runs again, 1 enrollments listed, verified: covered."
    assert texts[4].startswith("well again")
    assert texts[5] == ""
