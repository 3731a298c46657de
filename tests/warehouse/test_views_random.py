"""The views on random histories against a computation in plain Python: status and sequence change together, times go
backwards and into the future, anything may be null, enrollments vanish and return, and most days are quiet.
"""

from __future__ import annotations

import os
import random
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from boast_source.models.schema import relations
from tests.support import views_in_python as plain
from tests.support.warehouses import HERE

START = datetime(2026, 2, 20, tzinfo=timezone.utc)
SEQUENCES = ["s1", "s2", None]
ACCOUNTS = ["a", "ab", None]
NAMES = {"s1": "Review", "a": "Example Co"}
STATUSES = ["active", "active", "completed", "removed", "paused", None]
RESPONSES = {f"r{n}": START + timedelta(days=n - 5) for n in range(0, 40, 2)}
# with summer time at either end of the year, half hours, half an hour of summer time, the first day and the last
ZONES = [
    "UTC",
    "Australia/Sydney",
    "America/Los_Angeles",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
]
FAR = datetime(2037 if HERE else 2400, 1, 1, tzinfo=timezone.utc)  # MariaDB converts no moment after 2037
HISTORIES = int(os.environ.get("BOAST_HISTORIES", "0"))


def wild_history(rng: random.Random) -> list[plain.Life]:
    """The versions of 40 enrollments, in order."""
    lives = []
    for n in range(40):
        moment = START + timedelta(hours=rng.uniform(0, 24 * 60))
        row = {
            "id": f"e{n:02}",
            "contact_id": f"c{n % 7}",
            "sequence_id": rng.choice(SEQUENCES),
            "account_id": rng.choice(ACCOUNTS),
            "response_id": None,
            "created_at": rng.choice([moment, moment, moment, None]),
        }
        life = []
        for version in range(1, rng.randint(1, 7) + 1):
            moment += timedelta(hours=rng.choice([0, 1, 20, 300]))
            if rng.random() < 0.3:
                row["sequence_id"] = rng.choice(SEQUENCES)
            if rng.random() < 0.1:
                row["account_id"] = rng.choice(ACCOUNTS)
            if rng.random() < 0.3:
                row["response_id"] = rng.choice([None, f"r{n}"])
            wrong = [moment - timedelta(days=rng.randint(1, 20)), FAR, None]
            seen_late = timedelta(minutes=rng.choice([0, 90])) + timedelta(days=rng.choice([0] * 9 + [3]))
            row |= {
                "status": rng.choice(STATUSES),
                "updated_at": rng.choice([moment, moment, moment, rng.choice(wrong)]),
                "missing_since": moment if rng.random() < 0.15 else None,
                "observed_at": moment + seen_late,
                "version": version,
                "version_key": f"{n}-{version}",
                "content_hash": f"{rng.randrange(9)}",
            }
            life.append(dict(row))
        lives.append(life)
    for row in lives[0]:  # a sequence all of whose enrollments have been deleted
        row |= {"sequence_id": "s3", "missing_since": row["observed_at"]}
    return lives


def wild_runs(rng: random.Random, now: datetime) -> list[dict]:
    """Runs over all accounts and over some; good ones, bad ones, one that goes on, one whose clock ran ahead."""
    runs = []
    for n in range(25):
        ended = now - timedelta(hours=rng.choice([-30, 2, 40, 300, 800]), seconds=n)
        runs.append(
            {
                "run_id": f"run-{n}",
                "command": rng.choice(["load", "nightly", "push", "report", "prepare"]),
                "started_at": ended - timedelta(minutes=rng.randint(1, 90)),
                "finished_at": ended,
                "status": rng.choice(["ok", "failed", "running"]),
                "exit_code": rng.choice([0, 0, 1, 3, None]),
                "verified": rng.choice(["exact", "covered", "recent", "moving", "failed", None]),
                "listed": rng.choice([None, 7, 2_015]),
                "loaded": rng.choice([None, 3]),
                "missing": 0,
                "version": "0.2.0",
                "error": rng.choice([None, "it failed"]),
                "account_ids": rng.choice([None, "a", "ab", "ab,a", "abc", "x,ab"]),
            }
        )
    return runs


def wild_ledger(rng: random.Random, now: datetime) -> list[dict]:
    states = ["claimed", "enrolled", "removed", "unknown", "refused", "skipped_active", "skipped_duplicate", "invalid"]
    states += ["held", "deferred", "released", "withdrawn", "dropped", "paused", "resumed", "accepted", "planned"]
    return [
        {
            "request_key": f"q{request}",
            "content_key": f"k{request}",
            "run_id": f"run-{rng.randrange(9)}",
            "event": event,
            "attempt": rng.randrange(3),
            "account_id": rng.choice(ACCOUNTS),
            "action": rng.choice(["enroll", "remove"]),
            "contact_id": f"c{rng.randrange(7)}",
            "sequence_id": rng.choice(SEQUENCES),
            "enrollment_id": rng.choice([None, "e01"]),
            "state": rng.choice(states),
            "http_status": rng.choice([None, 422]),
            "error_code": rng.choice([None, "duplicate", "repeat"]),
            "error_detail": rng.choice([None, "because"]),
            "recorded_at": now - timedelta(hours=rng.randrange(900)),  # a warehouse's clock goes backwards too
        }
        for request in range(30)
        for event in range(1, rng.randint(1, 5) + 1)
    ]


def equal(view: str, place, expected: list[dict], *key: str, without: str | None = None) -> list[dict]:
    """Compare every column of the view with what is expected; figures to a millisecond of an hour."""
    columns = [name for name in relations()[view].columns if name != without]
    got = [
        dict(zip(columns, row, strict=True))
        for row in place.rows(f"select {', '.join(columns)} from boast_data.{view}")
    ]

    def rounded(row: dict) -> dict:
        return {
            name: value if isinstance(value, (str, date, type(None))) else round(float(value), 3)
            for name, value in row.items()
        }

    def by_key(rows: list[dict]) -> dict:
        found = {tuple(row[name] for name in key): rounded({name: row[name] for name in columns}) for row in rows}
        assert len(found) == len(rows), f"{view}: {key} is no key"
        return found

    mine, theirs = by_key(got), by_key(expected)
    assert mine.keys() == theirs.keys(), view
    for one, row in mine.items():
        differs = {
            name: (row[name], theirs[one][name])
            for name in row
            if row[name] != theirs[one][name] and not close(row[name], theirs[one][name])
        }
        assert not differs, f"{view} {one}: {differs} (the view's, expected)"
    return got


def close(one: object, other: object) -> bool:
    return isinstance(one, float) and isinstance(other, float) and abs(one - other) < 0.002


@pytest.mark.parametrize(
    ("seed", "zone"), [*enumerate(ZONES), *((n, ZONES[n % len(ZONES)]) for n in range(100, 100 + HISTORIES))]
)
def test_every_view_equals_plain_python(place, seed, zone):
    rng = random.Random(seed)
    lives, now = wild_history(rng), datetime.now(timezone.utc).replace(microsecond=0)
    runs, ledger = wild_runs(rng, now), wild_ledger(rng, now)
    place.declared("sequence_enrollments_history", [row for life in lives for row in life])
    place.declared("sequence_enrollments", [life[-1] for life in lives])
    place.declared("sequences", [{"id": "s1", "name": "Review"}])
    place.declared("accounts", [{"id": "a", "name": "Example Co"}])
    place.declared("responses", [{"id": key, "created": moment} for key, moment in RESPONSES.items()])
    place.declared("runs", runs)
    place.declared("push_ledger", ledger)
    place.views(zone)

    before = datetime.now(ZoneInfo(zone)).date()
    today = max(day for (day,) in place.rows("select max(day) from boast_data.enrollment_daily"))
    assert before <= today <= datetime.now(ZoneInfo(zone)).date()
    days = equal("enrollment_daily", place, plain.daily(lives, NAMES, zone, today), "day", "account_id", "sequence_id")
    assert min(min(row[name] for name in ("enrolled", "completed", "removed", "active")) for row in days) >= 0
    assert sum(row["enrolled"] for row in days) == len(lives)

    milestones = [plain.milestones(life, NAMES, RESPONSES) for life in lives]
    equal("enrollment_milestones", place, milestones, "id")
    keys = ("account_id", "sequence_id")
    equal("enrollment_cohorts", place, plain.cohorts(milestones, runs, zone, now), "month", *keys)
    equal("sequence_performance", place, plain.performance(milestones), *keys)
    equal("enrollment_history", place, plain.history(lives), "version_key")
    requests = plain.requests(ledger)
    equal("push_requests", place, requests, "request_key")
    equal("good_runs", place, plain.good_runs(runs, now), "run_id")
    health = plain.health(lives, runs, requests, now)
    ((waited,),) = place.rows("select hours_since_success from boast_data.pipeline_health")
    took = plain.hours(health["last_success_at"], now)
    assert (waited is None) == (health["last_success_at"] is None)
    assert waited is None or took is None or abs(float(waited) - took) < 0.1
    equal("pipeline_health", place, [health], "last_run_id", without="hours_since_success")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/Los_Angeles"])
def test_a_month_has_had_its_30_days_by_the_clock_of_the_views(place, zone):
    """Whatever the session's own zone is: here New York's."""
    first_of_61st = datetime(2026, 5, 1, tzinfo=ZoneInfo(zone))
    for expected, newest in ((False, first_of_61st - timedelta(minutes=1)), (True, first_of_61st)):
        row = {"id": str(expected), "account_id": str(expected), "sequence_id": "s", "status": "active"}
        row |= {"created_at": datetime(2026, 3, 15, tzinfo=timezone.utc), "updated_at": newest}
        version = row | {"version": 1, "version_key": "1", "observed_at": newest}
        if not expected:
            place.declared("sequence_enrollments", [row])
            place.declared("sequence_enrollments_history", [version])
            place.views(zone)
        else:
            place.insert("sequence_enrollments", row)
            place.insert("sequence_enrollments_history", version)
        assert {bool(had) for (had,) in place.rows("select had_30_days from boast_data.enrollment_cohorts")} == {
            expected
        }
