"""One definition of a good run: what `status`, health, report, retention and dbt call good is the view `good_runs`."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
import yaml

from boast_source.jobs.load import load_job
from boast_source.models.schema import parsed
from boast_source.outputs.report import figures
from boast_source.runs import health, retention
from boast_source.warehouse.pipeline import warehouse_for
from tools import describe

DAY = timedelta(days=1)


def run(run_id, *, verified="covered", age=DAY, **more):
    ended = datetime.now(timezone.utc) - age
    times = {"started_at": ended, "finished_at": ended}
    return {"run_id": run_id, "status": "ok", "exit_code": 0, "listed": 40, "verified": verified, **times} | more


def freshness(place) -> float | None:
    """Hours since the newest row, as dbt asks for it."""
    (source,) = yaml.safe_load(describe.package(parsed())["sources.yml"])["sources"]
    (fresh,) = [table for table in source["tables"] if "freshness" in table.get("config", {})]
    only = fresh["config"]["freshness"].get("filter", "1 = 1")
    ((newest,),) = place.rows(f"select max({fresh['loaded_at_field']}) from boast_data.{fresh['name']} where {only}")
    return None if newest is None else (datetime.now(timezone.utc) - newest).total_seconds() / 3600


def test_after_a_listing_that_lost_most_rows_everybody_says_stale(place, sandbox, monkeypatch):
    server = sandbox(enrollments=40)
    for name, value in server.info["env"].items():
        monkeypatch.setenv(name, value)
    assert load_job(place.kind).exit_code == 0
    old = datetime.now(timezone.utc) - 400 * DAY
    place.client.execute_sql("update boast_data.runs set started_at = %s, finished_at = %s", old, old)
    server.control("POST", "mutate", {"delete_ids": list(server.truth())[1:]})
    for _ in range(2):
        done = load_job(place.kind)
        assert (done.exit_code, done.verified) == (3, "failed")

    said = health.status(warehouse_for(place.kind, "boast_data"), max_age=26 * 3600, patience=5, on_wait=print)
    assert said.stale
    assert said.health["hours_since_success"] == pytest.approx(400 * 24, abs=1)
    assert figures.read(place.warehouse, "UTC").health["hours_since_success"] == pytest.approx(400 * 24, abs=1)
    assert freshness(place) == pytest.approx(400 * 24, abs=1)
    retention.forget_runs(place.client, 30 * DAY)
    assert place.rows("select verified from boast_data.runs order by started_at") == [
        ("covered",),
        ("failed",),
        ("failed",),
    ]
    assert place.rows("select verified, listed from boast_data.good_runs") == [("covered", 40)]


def test_a_good_run_ended_by_itself_and_verified_what_it_listed(place):
    good = [run(word, verified=word) for word in ("exact", "covered", "recent", "moving")]
    good += [run("nothing there", listed=0), run("report failed", exit_code=1, status="failed"), run("3", exit_code=3)]
    bad = [
        run("not verified", verified="failed"),
        run("no enrollments", verified=None),
        run("no list", listed=None),
        run("died", exit_code=None, status="failed"),
        run("still running", finished_at=None, status="running", exit_code=None),
        run("running, with an end", status="running"),
        run("from a clock that ran ahead", age=-DAY),
    ]
    place.declared("runs", [*good, *bad])
    place.views()
    assert {key for (key,) in place.rows("select run_id from boast_data.good_runs")} == {row["run_id"] for row in good}


@pytest.mark.parametrize("newest", ["good", "bad"])
def test_the_newest_good_run_is_never_forgotten(place, newest):
    rows = [run("oldest", age=500 * DAY), run("good", age=400 * DAY), run("bad", age=399 * DAY, verified="failed")]
    rows += [run("now", age=DAY, verified="covered" if newest == "good" else "failed")] * 2
    place.declared("runs", rows)
    retention.forget_runs(place.client, 30 * DAY)
    left = {key for (key,) in place.rows("select run_id from boast_data.runs")}
    assert left == ({"now"} if newest == "good" else {"good", "now"})
