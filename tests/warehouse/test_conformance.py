"""What every warehouse does, or refuses by name: one suite for all (tests/support/warehouses.py says for which)."""

from __future__ import annotations

import json
from collections import Counter

import dlt
import pytest

from boast_source import boast_source
from boast_source.warehouse.pipeline import destination_for
from tests.support.sandbox_client import POST
from tests.support.sandbox_client import client_of as api_of
from tests.support.warehouses import PARTS
from tests.support.workplace import DYING, finish

ONLY = ("sequence_enrollments", "sequence_enrollments_history")
# the rows are on their way; they are there, and nobody knows it
DEATHS = (
    "after 1 dlt.pipeline.pipeline:Pipeline.normalize",
    "before 1 dlt.load.load:Load.complete_package",
)


@pytest.fixture
def part(request, place_to_load):
    """Skip a part of the suite that the warehouse refuses."""
    name = request.node.get_closest_marker("usefixtures") and request.node.originalname.removeprefix("test_")
    assert name in PARTS
    if name in place_to_load.kind.refused:
        pytest.skip(place_to_load.kind.refused[name])


def loaded(done):
    assert done.code == 0, done.err
    assert {account["verified"] for account in done.json["accounts"]} == {"covered"}
    return sum(account["loaded"] for account in done.json["accounts"])


def statuses(server):
    return {key: record["status"] for key, record in server.truth().items()}


def is_exact(place_to_load, server):
    """The table holds what the API lists, and the history ends with it, each version once."""
    truth = statuses(server)
    assert sorted(place_to_load.rows("sequence_enrollments", "id, status")) == sorted(truth.items())
    versions = place_to_load.rows("sequence_enrollments_history", "id, version, status")
    assert len({version[:2] for version in versions}) == len(versions)
    assert {key: status for key, _, status in sorted(versions)} == truth


@pytest.mark.usefixtures("part")
def test_load(sandbox, workplace, place_to_load):
    server = sandbox(enrollments=30, accounts=2)
    workplace.use(server)
    load = ("load", "--json", *place_to_load.to)
    assert loaded(workplace.boast(*load)) == 30
    assert loaded(workplace.boast(*load)) == 0
    server.control("POST", "mutate", {"update": 4, "insert": 3})
    assert loaded(workplace.boast(*load)) == 7
    assert dict(place_to_load.rows("sequence_enrollments", "id, status")) == statuses(server)
    assert place_to_load.rows("runs", "status", "command = 'load'") == [("ok",)] * 3
    for table in ("accounts", "contacts", "forms", "responses", "sequences"):
        assert place_to_load.rows(table, "id")


@pytest.mark.usefixtures("part")
def test_vanished(sandbox, workplace, place_to_load):
    server = sandbox(enrollments=20)
    workplace.use(server)
    load = ("load", "--json", "--resources", "sequence_enrollments", *place_to_load.to)
    loaded(workplace.boast(*load))
    (gone,) = server.control("POST", "mutate", {"delete": 1})["deleted"]
    assert workplace.boast(*load).json["accounts"][0]["missing"] == 1
    assert place_to_load.rows("sequence_enrollments", "id", "missing_since is not null") == [(gone,)]
    server.control("POST", "mutate", {"restore_ids": [gone]})
    assert loaded(workplace.boast(*load)) == 1
    versions = place_to_load.rows("sequence_enrollments_history", "version, missing_since", f"id = '{gone}'")
    assert [(version, since is not None) for version, since in sorted(versions)] == [(1, False), (2, True), (3, False)]


@pytest.mark.usefixtures("part")
def test_json(sandbox, workplace, place_to_load):
    server = sandbox(enrollments=8)
    workplace.use(server)
    key, other, *_ = sorted(server.truth())
    deep = {"z": [1, 2.5, -0.0, None, True, 'é"\\\n🙂'], "a": {"b": {}, "": ""}}
    given = {"deep": deep, "tags": ["a"], "big": 9_007_199_254_740_993, "yes": True, "note": "'; -- \n🙂", "ratio": 0.1}
    given |= {"nil": -0.0, "long": "x" * 70_000}
    load = ("load", "--json", "--resources", "sequence_enrollments", *place_to_load.to)
    loaded(workplace.boast(*load))
    server.control("POST", "mutate", {"edits": [{"id": key, "set": given}]})
    assert loaded(workplace.boast(*load)) == 1
    ((stored, tags, big, yes, note, ratio),) = place_to_load.rows(
        "sequence_enrollments", "deep, tags, big, yes, note, ratio", f"id = '{key}'"
    )
    parsed = [value if isinstance(value, (dict, list)) else json.loads(value) for value in (stored, tags)]
    assert (parsed, big, bool(yes), note, ratio) == ([deep, ["a"]], given["big"], True, given["note"], 0.1)
    assert loaded(workplace.boast(*load)) == 0
    server.control("POST", "mutate", {"edits": [{"id": other, "set": {"big": "text"}}, {"id": key, "drop": ["tags"]}]})
    assert loaded(workplace.boast(*load)) == 2
    assert place_to_load.rows("sequence_enrollments", "big, big__v_text", f"id = '{other}'") == [(None, "text")]
    assert loaded(workplace.boast(*load)) == 0


@pytest.mark.usefixtures("part")
def test_push(sandbox, workplace, place_to_load):
    server = sandbox(enrollments=10)
    workplace.use(server)
    with api_of(server) as api:
        contacts = [record["id"] for record in api.every("contacts")]
        sequence = api.every("sequences")[0]["id"]
    busy = {e["contact_id"] for e in server.truth().values() if e["sequence_id"] == sequence}
    free = [contact for contact in contacts if contact not in busy][:3]
    assert workplace.boast("load", *place_to_load.to).code == 0
    columns = "request_id varchar(40), contact_id varchar(40), sequence_id varchar(40)"
    place_to_load.run(f"create table {{}}.pending_enrollments ({columns})")
    for contact in free:
        place_to_load.run(f"insert into {{}}.pending_enrollments values ('r-{contact[:8]}', '{contact}', '{sequence}')")
    server.control("POST", "faults", {"kind": "error_after_write", "method": "POST", "times": 1})
    assert workplace.boast("push", "--new-ledger", "--json", *place_to_load.to).json["enrolled"] == 3
    again = workplace.boast("push", "--json", *place_to_load.to)
    assert (again.code, again.json["queried"]) == (0, 0), again.err
    assert server.control("GET", "counters")["writes"] == {POST: 3}
    states = Counter(state for (state,) in place_to_load.rows("push_ledger", "state"))
    assert states == {"claimed": 3, "enrolled": 3, "unknown": 1}
    watches_removals(workplace, place_to_load, server, sequence, free[:2])


def watches_removals(workplace, place_to_load, server, sequence, contacts):
    """Remove both; then the API lists the first as active after all, and somebody enrolls the second by hand."""
    made = dict(place_to_load.rows("push_ledger", "contact_id, enrollment_id"))
    for contact in contacts:
        place_to_load.run(f"delete from {{}}.pending_enrollments where request_id = 'r-{contact[:8]}'")
        row = f"'out-{contact[:8]}', '{contact}', '{sequence}', 'remove'"
        asked = "request_id, contact_id, sequence_id, action"
        if contact == contacts[0]:
            place_to_load.run("alter table {}.pending_enrollments add column action varchar(10)")
        place_to_load.run(f"insert into {{}}.pending_enrollments ({asked}) values ({row})")
    removed = workplace.boast("push", "--json", *place_to_load.to)
    assert (removed.code, removed.json["removed"]) == (0, 2), removed.err
    server.control("POST", "mutate", {"edits": [{"id": made[contacts[0]], "set": {"status": "active"}}]})
    with api_of(server) as api:
        api.enroll(contacts[1], sequence)
    place_to_load.run("update {}.push_ledger set recorded_at = '2026-01-01 00:00:00'")
    assert workplace.boast("requests", "pause", *place_to_load.to).code == 0
    shown = workplace.boast("push", "--json", *place_to_load.to)
    assert (shown.code, shown.json["attention"]) == (3, {"held": 2}), shown.err
    assert workplace.boast("requests", "resume", *place_to_load.to).code == 0
    waiting = workplace.boast("requests", "list", "--json", *place_to_load.to).json["requests"]
    assert sorted(one["error_code"] for one in waiting) == ["active_again", "contradicted"]


@pytest.mark.usefixtures("part")
def test_at_once(sandbox, workplace, place_to_load):
    server = sandbox(enrollments=20)
    workplace.use(server)
    load = ("load", "--json", "--resources", "sequence_enrollments", *place_to_load.to)
    done = [finish(process) for process in [workplace.start(*load) for _ in range(2)]]
    assert {one.code for one in done} in ({0}, {0, 4}), [one.err for one in done]
    assert loaded(workplace.boast(*load)) == 0
    assert sorted(place_to_load.rows("sequence_enrollments", "id, status")) == sorted(statuses(server).items())
    assert len(place_to_load.rows("sequence_enrollments_history", "version_key")) == 20


@pytest.mark.usefixtures("part")
def test_killed(sandbox, workplace, place_to_load):
    server = sandbox(enrollments=20)
    workplace.use(server)
    load = ("load", "--json", "--resources", "sequence_enrollments", *place_to_load.to)
    loaded(workplace.boast(*load))
    path = DYING if "PYTHONPATH" not in workplace.env else DYING.rpartition(":")[2]
    for death in DEATHS:
        server.control("POST", "mutate", {"update": 4, "insert": 2})
        assert workplace.boast(*load, DIE_AT=death, PYTHONPATH=path).code == -9
        server.control("POST", "mutate", {"update": 2, "insert": 1})  # what the dead run cannot know
        loaded(workplace.boast(*load))
        is_exact(place_to_load, server)
    assert loaded(workplace.boast(*load)) == 0


@pytest.mark.usefixtures("part")
@pytest.mark.filterwarnings("ignore:implicitly coercing SELECT")  # of dlt on SQLite
@pytest.mark.filterwarnings("ignore:Table .* already exists within the given MetaData")  # the same, of older ones
def test_refresh(sandbox, workplace, place_to_load, monkeypatch):
    server = sandbox(enrollments=20)
    workplace.use(server)
    load = ("load", "--json", "--resources", "sequence_enrollments", *place_to_load.to)
    loaded(workplace.boast(*load))
    assert loaded(workplace.boast(*load, "--full-refresh")) == 20
    for name, value in server.info["env"].items():
        monkeypatch.setenv(name, value)
    mine = dlt.pipeline("mine", destination=destination_for(place_to_load.kind.destination), dataset_name="boast_data")
    for mode in (None, "drop_sources", "drop_resources", "drop_data"):
        server.control("POST", "mutate", {"update": 3})
        mine.run(boast_source().with_resources(*ONLY), refresh=mode)
        is_exact(place_to_load, server)
    assert len(place_to_load.rows("sequence_enrollments_history", "version_key")) == 32
    assert loaded(workplace.boast(*load)) == 0


@pytest.mark.usefixtures("part")
def test_views(sandbox, workplace, place_to_load):
    server = sandbox(enrollments=40)
    workplace.use(server)
    for change in ({}, {"update": 5}, {"delete": 2}):
        server.control("POST", "mutate", change)
        done = workplace.boast("load", *place_to_load.to)
        assert (done.code, "not all views" in done.err) == (0, False), done.err
    truth = list(server.truth().values())
    enrolled = Counter(
        key for _, key in place_to_load.rows("sequence_enrollments", "id, sequence_id", "missing_since is null")
    )
    performance = place_to_load.rows("sequence_performance", "sequence_id, enrolled, active")
    assert {key: count for key, count, _ in performance if count} == dict(enrolled)
    active = Counter(record["sequence_id"] for record in truth if record["status"] == "active")
    assert {key: count for key, _, count in performance if count} == dict(active)
    history = place_to_load.rows("enrollment_history", "valid_to, is_current")
    assert len(history) == 47
    assert {(until is None, bool(current)) for until, current in history} == {(True, True), (False, False)}
    newest = max(day for (day,) in place_to_load.rows("enrollment_daily", "day"))
    daily = place_to_load.rows("enrollment_daily", "day, active")
    assert sum(count for day, count in daily if day == newest) == sum(active.values())
    assert place_to_load.rows("pipeline_health", "stored, missing") == [(len(truth), 2)]
    for view in ("enrollment_cohorts", "enrollment_milestones", "good_runs"):
        assert place_to_load.rows(view)
    assert place_to_load.rows("push_requests") == []


@pytest.mark.usefixtures("part")
def test_report(sandbox, workplace, place_to_load):
    workplace.use(sandbox(enrollments=10))
    assert workplace.boast("nightly", *place_to_load.to, SOURCES__BOAST__REPORT_PATH="night.html").code == 0
    page = (workplace.folder / "night.html").read_text(encoding="utf-8")
    assert "Sequence" in page
    status = workplace.boast("status", *place_to_load.to)
    assert (status.code, "Nothing needs attention" in status.out) == (0, True), status.out
