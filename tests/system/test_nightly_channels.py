"""How a night tells: a line per stage, JSON logs, and a webhook that may be down, wrong, or take text for markup."""

from __future__ import annotations

import json

from boast_source.sandbox.world import Refused
from tests.support.nights import OUTAGE
from tests.support.webhook import SECRET

pytest_plugins = ["tests.support.webhook_fixtures"]


def test_a_webhook_that_is_down_changes_no_exit_code_and_is_told_when_it_is_back(night, hook):
    server, workplace, _ = night
    server.control("POST", "faults", OUTAGE)
    hook.status = 500
    done = workplace.boast("nightly")
    assert done.code == 1
    assert "the webhook could not be notified: It answered with HTTP 500" in done.err
    nobody = hook.url.replace(hook.url.split("/")[2], "127.0.0.1:1")
    done = workplace.boast("nightly", SOURCES__BOAST__WEBHOOK_URL=nobody)
    assert done.code == 1
    assert "the webhook could not be notified: It did not answer (connect)" in done.err
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
