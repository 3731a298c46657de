"""The views against an independent computation in plain Python, on DuckDB and on a real Postgres."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from statistics import median
from zoneinfo import ZoneInfo

import pytest

from boast_source import boast_source
from boast_source.warehouse.pipeline import warehouse_for

KINDS = {"completed": 1, "removed": 2}
START = datetime(2026, 3, 1, tzinfo=timezone.utc)
COLUMNS = {
    "id": "text",
    "contact_id": "text",
    "sequence_id": "text",
    "response_id": "text",
    "status": "text",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "account_id": "text",
    "missing_since": "timestamptz",
}
HISTORY = COLUMNS | {"version_key": "text", "version": "bigint", "content_hash": "text", "observed_at": "timestamptz"}


def random_history(seed: int, *, orderly: bool) -> list[dict]:
    """Versions of enrollments; `orderly`: what changes later is later, as on a server whose clock runs well."""
    rng = random.Random(seed)
    rows = []
    for n in range(60):
        moment = START + timedelta(hours=rng.uniform(0, 24 * 40))
        record = dict.fromkeys(HISTORY) | {
            "id": f"e{n:02}",
            "contact_id": f"c{n % 17}",
            "sequence_id": rng.choice(["s1", "s2", "s3"]),
            "account_id": rng.choice(["a", "b"]),
            "created_at": moment if rng.random() > 0.05 else None,
            "updated_at": moment,
        }
        observed = moment
        for version in range(1, rng.randint(1, 5) + 1):
            moment = moment + timedelta(hours=rng.choice([0, 1, 30, 200]))
            if not orderly:
                record["updated_at"] = rng.choice([moment, START - timedelta(days=3), None])
            elif version > 1:
                record["updated_at"] = moment
            observed = moment if orderly else max(observed, moment) + timedelta(minutes=rng.choice([0, 90]))
            record["missing_since"] = observed if version > 1 and rng.random() < 0.2 else None
            record["status"] = rng.choice(["active", "active", "completed", "removed", "paused", None])
            if rng.random() < 0.3:
                record["response_id"] = f"r{n}"
            ahead = timedelta(days=3) if not orderly and rng.random() < 0.1 else timedelta()  # put right afterwards
            record |= {"version": version, "observed_at": observed + ahead, "version_key": f"{n}-{version}"}
            rows.append(dict(record))
    return rows


def newest(history: list[dict]) -> list[dict]:
    return list({row["id"]: row for row in sorted(history, key=lambda row: row["version"])}.values())


def enrollments(place, history: list[dict]) -> None:
    place.table("sequence_enrollments_history", HISTORY, history)
    place.table("sequence_enrollments", COLUMNS, newest(history))


def state(row: dict) -> str:
    return "missing" if row["missing_since"] else row["status"] or "none"


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_clocks_say_the_last_day_has_what_is_active_now(place, seed):
    history = random_history(seed, orderly=False)
    enrollments(place, history)
    place.views()
    now = defaultdict(int)
    for row in newest(history):
        now[row["account_id"], row["sequence_id"]] += state(row) == "active"
    last = place.rows(
        "select account_id, sequence_id, active from (select *, row_number() over"
        " (partition by account_id, sequence_id order by day desc) as place from boast_data.enrollment_daily) as d"
        " where place = 1"
    )
    assert {(account, sequence): active for account, sequence, active in last} == now


@pytest.mark.parametrize("with_more", [False, True])
def test_the_performance_of_each_sequence_equals_plain_python(place, with_more):
    history = random_history(7, orderly=True)
    enrollments(place, history)
    responses = {f"r{n}": START + timedelta(days=60, hours=n) for n in range(0, 60, 2)}
    if with_more:
        place.table("sequences", {"id": "text", "name": "text"}, [{"id": "s1", "name": "Review"}])
        created = [{"id": key, "created": moment} for key, moment in responses.items()]
        place.table("responses", {"id": "text", "created": "timestamptz"}, created)
    place.views()

    def hours(since, until):
        return None if since is None or until is None or until < since else int((until - since).total_seconds()) / 3600

    def middle(values):
        known = [value for value in values if value is not None]
        return pytest.approx(median(known), abs=0.001) if known else None

    expected = {}
    groups = defaultdict(list)
    for row in newest(history):
        groups[row["account_id"], row["sequence_id"]].append(row)
    for key, rows in groups.items():
        there = [row for row in rows if not row["missing_since"]]
        to_complete, to_respond = [], []
        for row in there:
            life = [v for v in history if v["id"] == row["id"] and not v["missing_since"]]
            if row["status"] == "completed":
                first = min(v["updated_at"] for v in life if v["status"] == "completed")
                to_complete.append(hours(row["created_at"], first))
            if row["response_id"]:
                first = min(v["updated_at"] for v in life if v["response_id"])
                first = responses.get(row["response_id"], first) if with_more else first
                to_respond.append(hours(row["created_at"], first))
        count = [sum(row["status"] == status for row in there) for status in ("active", "completed", "removed")]
        responded = sum(row["response_id"] is not None for row in there)
        expected[key] = (
            "Review" if with_more and key[1] == "s1" else None,
            len(there),
            *count,
            len(there) - sum(count),
            responded,
            len(rows) - len(there),
            pytest.approx(count[1] / len(there)),
            pytest.approx(responded / len(there)),
            middle(to_complete),
            middle(to_respond),
        )
    got = place.rows(
        "select account_id, sequence_id, sequence_name, enrolled, active, completed, removed, other, responded,"
        " missing, completion_rate, response_rate, median_hours_to_complete, median_hours_to_respond"
        " from boast_data.sequence_performance"
    )
    assert {row[:2]: tuple(float(v) if hasattr(v, "as_tuple") else v for v in row[2:]) for row in got} == expected


def test_hours_are_hours_while_the_sessions_clock_changes_to_summer_time(place):
    began, ended = (datetime(2026, 3, day, 12, tzinfo=timezone.utc) for day in (7, 9))
    row = dict.fromkeys(HISTORY) | {"id": "e", "status": "active", "created_at": began, "updated_at": began}
    first = row | {"version": 1, "version_key": "1", "observed_at": began}
    second = first | {"version": 2, "version_key": "2", "updated_at": ended, "status": "completed"}
    enrollments(place, [first, second])
    place.views()
    assert place.rows("select hours_to_complete from boast_data.enrollment_milestones") == [(48,)]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland"])
def test_the_cohorts_equal_plain_python(place, zone):
    history = random_history(11, orderly=True)
    late = START + timedelta(days=80)
    moments = dict.fromkeys(("created_at", "updated_at", "observed_at"), late)
    history.append(history[0] | moments | {"id": "late", "version": 1, "version_key": "late", "missing_since": None})
    enrollments(place, history)
    place.views(zone)
    month = timedelta(days=30)
    expected = defaultdict(lambda: [0] * 7)
    for row in newest(history):
        if row["missing_since"]:
            continue
        life = [v for v in history if v["id"] == row["id"]]
        there = [v for v in life if not v["missing_since"]]
        began = (row["created_at"] or life[0]["updated_at"]).astimezone(ZoneInfo(zone)).date().replace(day=1)
        figures = expected[began, row["account_id"], row["sequence_id"]]
        figures[0] += 1
        for place_in, status in enumerate(("active", "completed", "removed"), 1):
            figures[place_in] += row["status"] == status
        figures[4] += row["response_id"] is not None
        for place_in, then in (
            (5, [v["updated_at"] for v in there if v["status"] == row["status"] == "completed"]),
            (6, [v["updated_at"] for v in there if v["response_id"] and row["response_id"]]),
        ):
            took = min(then) - row["created_at"] if then and row["created_at"] else None
            figures[place_in] += took is not None and timedelta(0) <= took <= month
    got = place.rows(
        "select month, account_id, sequence_id, enrolled, active, completed, removed, responded,"
        " completed_in_30_days, responded_in_30_days from boast_data.enrollment_cohorts"
    )
    assert {row[:3]: list(row[3:]) for row in got} == expected
    assert place.rows("select sum(enrolled), sum(responded) from boast_data.enrollment_cohorts") == place.rows(
        "select sum(enrolled), sum(responded) from boast_data.sequence_performance"
    )
    rates = (
        "select count(*) from boast_data.enrollment_cohorts"
        " where abs(response_rate_30_days * enrolled - responded_in_30_days) > 0.001"
    )
    assert place.rows(rates) == [(0,)]
    last = max(row["updated_at"] for row in newest(history) if row["updated_at"])
    grown = place.rows("select distinct month, had_30_days from boast_data.enrollment_cohorts order by month")
    assert grown == [
        (began, began + timedelta(days=61) <= last.date()) for began in sorted({key[0] for key in expected})
    ]
    assert {had for _, had in grown} == {True, False}


@pytest.mark.parametrize("seed", range(3))
def test_the_history_has_for_every_moment_the_version_that_had_been_seen_last(place, seed):
    history = random_history(seed, orderly=False)
    enrollments(place, history)
    place.views()
    rng = random.Random(seed)
    for _ in range(12):
        moment = START + timedelta(hours=rng.uniform(0, 24 * 60))
        seen = newest([row for row in history if row["observed_at"] <= moment])
        got = place.rows(
            "select id, version from boast_data.enrollment_history"
            f" where valid_from <= '{moment.isoformat()}' and (valid_to > '{moment.isoformat()}' or valid_to is null)"
        )
        assert sorted(got) == sorted((row["id"], row["version"]) for row in seen)
        assert sorted(place.rows(f"select id, version from boast_data.as_of('{moment.isoformat()}')")) == sorted(got)
    gaps = (
        "select count(*) from (select valid_from, version, lag(valid_to)"
        " over (partition by id order by version) as ended from boast_data.enrollment_history) as h"
        " where version > 1 and ended <> valid_from"
    )
    assert place.rows(gaps) == [(0,)]
    assert place.rows("select count(*) from boast_data.enrollment_history where valid_to < valid_from") == [(0,)]
    current = "select count(*), count(distinct id) from boast_data.enrollment_history where is_current"
    assert place.rows(current) == [(60, 60)]


@pytest.mark.parametrize(
    ("runs", "age"),
    [
        ([(5, None, 0), (29, None, 0)], 5),
        ([(5, "a", 0), (6, "b", 0)], 6),
        ([(5, "a", 0), (6, "b", 1), (30, "b", 0)], 30),  # what fails is not fresh
        ([(5, "a", 0), (30, "b", 0), (8, None, 3)], 8),  # a run over all is one over each
        ([(5, "a", 0), (7, "a,b", 0), (900, "b", 0)], 7),
        ([(5, "a", 0), (900, "b", 0)], 5),  # nobody has listed b for weeks: it has left
        ([(900, "a", 0), (901, "b", 0)], 900),
        ([(-5, "b", 0), (5, "a", 0), (9, "b", 0)], 9),  # a clock ran ahead
        ([(5, None, 1)], None),
        ([(5, None, 2), (29, None, 0)], 5),  # verified, and then something else failed
    ],
)
def test_the_freshness_is_that_of_the_account_that_waits_longest(place, runs, age):
    enrollments(place, [row | {"account_id": "ab"[n % 2]} for n, row in enumerate(random_history(3, orderly=True))])
    now = datetime.now(timezone.utc)
    moments = [(now - timedelta(hours=hours), accounts, code) for hours, accounts, code in runs]
    same = {"listed": 1, "status": "ok"}
    rows = [
        {"run_id": str(n), "finished_at": m, "started_at": m, "exit_code": c, "account_ids": a, **same}
        | {"verified": "failed" if c == 1 else "covered"}
        for n, (m, a, c) in enumerate(moments)
    ]
    place.declared("runs", rows)
    place.views()
    ((hours,),) = place.rows("select hours_since_success from boast_data.pipeline_health")
    assert hours is None if age is None else abs(float(hours) - age) < 0.1


def test_a_load_makes_the_views_and_a_new_field_shows_in_the_history(sandbox, workplace):
    server = sandbox(enrollments=60)
    workplace.use(server)
    assert workplace.boast("load").code == 0
    assert workplace.sql("select count(*) from boast_data.enrollment_history where is_current") == [(60,)]
    assert workplace.sql("select sum(active) from boast_data.sequence_performance") == workplace.sql(
        "select count(*) from boast_data.sequence_enrollments where status = 'active'"
    )
    assert workplace.sql("select listed, stored, waiting, last_status from boast_data.pipeline_health") == [
        (60, 60, 0, "ok")
    ]
    some = next(iter(server.truth()))
    server.control("POST", "mutate", {"edits": [{"id": some, "set": {"channel": "sms"}, "touch": True}]})
    assert workplace.boast("load", SOURCES__BOAST__TIME_ZONE="Europe/Berlin").code == 0
    assert workplace.sql("select count(*) from boast_data.enrollment_history where channel = 'sms'") == [(1,)]
    wrong = workplace.boast("load", SOURCES__BOAST__TIME_ZONE="Nowhere/Land")
    assert (wrong.code, "IANA" in wrong.err) == (2, True)


def test_a_refresh_drops_the_tables_under_the_views_and_loads_them_again(place, sandbox, monkeypatch):
    server = sandbox(enrollments=30)
    for name, value in server.info["env"].items():
        monkeypatch.setenv(name, value)
    pipeline = warehouse_for(place.kind, "boast_data").pipeline
    source = boast_source().with_resources("sequence_enrollments", "sequence_enrollments_history")
    pipeline.run(source)
    place.views()
    pipeline.run(boast_source().with_resources("sequence_enrollments"), refresh="drop_sources")
    place.views()
    assert place.rows("select sum(enrolled) from boast_data.sequence_performance") == [(30,)]
