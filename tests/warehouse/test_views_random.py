"""The views on random histories against a computation in plain Python: status and sequence change together, times go
backwards and into the future, anything may be null, enrollments vanish and return, and most days are quiet.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from statistics import median
from zoneinfo import ZoneInfo

import pytest

START = datetime(2026, 2, 20, tzinfo=timezone.utc)
SEQUENCES = ["s1", "s2", None]
ACCOUNTS = ["a", "b", None]
STATUSES = ["active", "active", "completed", "removed", "paused", None]
RESPONSES = {f"r{n}": START + timedelta(days=n - 5) for n in range(0, 40, 2)}


def wild_history(seed: int) -> list[list[dict]]:
    """The versions of 40 enrollments, in order."""
    rng = random.Random(seed)
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
            wrong = [moment - timedelta(days=rng.randint(1, 20)), datetime(2400, 1, 1, tzinfo=timezone.utc), None]
            row |= {
                "status": rng.choice(STATUSES),
                "updated_at": rng.choice([moment, moment, moment, rng.choice(wrong)]),
                "missing_since": moment if rng.random() < 0.15 else None,
                "observed_at": moment + timedelta(minutes=rng.choice([0, 90])),
                "version": version,
                "version_key": f"{n}-{version}",
            }
            life.append(dict(row))
        lives.append(life)
    return lives


def place_of(row: dict) -> tuple[str, str]:
    return row["account_id"] or "", row["sequence_id"] or ""


def state(row: dict) -> str:
    return "missing" if row["missing_since"] else row["status"] or "none"


def timeline(life: list[dict]) -> list[tuple[datetime, tuple[str, str], str]]:
    """When each version began to hold, where, and in which state; the first entry is the enrollment itself, active."""
    first = life[0]
    at = first["created_at"] or first["updated_at"] or first["observed_at"]
    entries = [(at, place_of(first), "active")]
    for before, row in zip([None, *life], life, strict=False):
        if row is not first and (state(row), place_of(row)) == (state(before), place_of(before)):
            continue
        came_back = row is not first and state(before) == "missing"
        seen = row["observed_at"] if came_back else row["updated_at"] or row["observed_at"]
        at = max(at, row["missing_since"] or seen)
        entries.append((at, place_of(row), state(row)))
    return entries


def replayed(lives: list[list[dict]], zone: str, today) -> dict:
    """enrolled, completed, removed and active by (day, account, sequence), one day after the other."""
    dated = [
        [(min(at.astimezone(ZoneInfo(zone)).date(), today), where, what) for at, where, what in timeline(life)]
        for life in lives
    ]
    firsts: dict = {}
    for entries in dated:
        for day, where, _ in entries:
            firsts[where] = min(firsts.get(where, day), day)
    figures = {}
    for where, first in firsts.items():
        for offset in range((today - first).days + 1):
            figures[(first + timedelta(days=offset), *where)] = [0, 0, 0, 0]
    for entries in dated:
        figures[(entries[0][0], *entries[0][1])][0] += 1
        for (_, _, before), (day, where, what) in itertools.pairwise(entries):
            if before not in (what, "missing") and what in {"completed", "removed"}:
                figures[(day, *where)][("completed", "removed").index(what) + 1] += 1
        for (day, where, what), (until, *_) in zip(entries, [*entries[1:], (today + timedelta(days=1),)], strict=True):
            for offset in range((until - day).days if what == "active" else 0):
                figures[(day + timedelta(days=offset), *where)][3] += 1
    return figures


def fill(place, lives: list[list[dict]]) -> None:
    place.declared("sequence_enrollments_history", [row for life in lives for row in life])
    place.declared("sequence_enrollments", [life[-1] for life in lives])
    place.declared("sequences", [{"id": "s1", "name": "Review"}])
    place.declared("accounts", [{"id": "a", "name": "Example Co"}])
    place.declared("responses", [{"id": key, "created": moment} for key, moment in RESPONSES.items()])


@pytest.mark.parametrize(("seed", "zone"), [(1, "UTC"), (2, "Australia/Sydney"), (3, "America/Los_Angeles")])
def test_every_day_equals_the_replay_and_nothing_is_ever_negative(place, seed, zone):
    lives = wild_history(seed)
    fill(place, lives)
    place.views(zone)
    got = place.rows(
        "select day, account_id, sequence_id, enrolled, completed, removed, active, other_changes, sequence_name,"
        " account_name from boast_data.enrollment_daily order by account_id, sequence_id, day"
    )
    today = max(row[0] for row in got)
    assert abs(today - datetime.now(ZoneInfo(zone)).date()) <= timedelta(days=1)
    assert {row[:3]: list(row[3:7]) for row in got} == replayed(lives, zone, today)
    running: dict = defaultdict(int)
    for _, account, sequence, enrolled, completed, removed, active, other, sequence_name, account_name in got:
        running[account, sequence] += enrolled - completed - removed + other
        assert active == running[account, sequence] >= 0
        assert sequence_name == ("Review" if sequence == "s1" else None)
        assert account_name == ("Example Co" if account == "a" else None)
    assert sum(row[3] for row in got) == len(lives)


def hours(since, until):
    return None if since is None or until is None or until < since else (until - since).total_seconds() / 3600


def milestones(life: list[dict]) -> tuple:
    """(enrolled_at, completed_at, removed_at, responded_at, hours of the last three)."""
    first, now = life[0], life[-1]
    there = [row for row in life if not row["missing_since"]]

    def first_with(status):
        found = [row["updated_at"] for row in there if row["status"] == status]
        return found[0] if found and now["status"] == status else None

    answered = [row["updated_at"] for row in there if row["response_id"]]
    responded = RESPONSES.get(now["response_id"], answered[0] if answered else None) if now["response_id"] else None
    began = now["created_at"] or first["created_at"] or first["updated_at"] or first["observed_at"]
    ends = (first_with("completed"), first_with("removed"), responded)
    return (began, *ends, *(hours(now["created_at"], end) for end in ends))


@pytest.mark.parametrize("seed", range(4, 6))
def test_milestones_and_performance_equal_plain_python(place, seed):
    lives = wild_history(seed)
    fill(place, lives)
    place.views()
    got = place.rows(
        "select id, enrolled_at, completed_at, removed_at, responded_at, hours_to_complete, hours_to_remove,"
        " hours_to_respond, sequence_name, account_name from boast_data.enrollment_milestones"
    )
    near = {life[0]["id"]: milestones(life) for life in lives}
    assert {row[0] for row in got} == near.keys()
    for key, *values in got:
        assert tuple(values[:4]) == near[key][:4], key
        for took, expected in zip(values[4:7], near[key][4:], strict=True):
            assert (took is None) == (expected is None), key
            assert took is None or abs(float(took) - expected) < 0.001, key
    names = {"s1": "Review", "a": "Example Co"}
    now = {life[0]["id"]: life[-1] for life in lives}
    for key, *_, sequence_name, account_name in got:
        assert sequence_name == names.get(now[key]["sequence_id"])
        assert account_name == names.get(now[key]["account_id"])

    groups = defaultdict(list)
    for life in lives:
        groups[life[-1]["account_id"], life[-1]["sequence_id"]].append(life)
    expected = {}
    for key, members in groups.items():
        there = [life for life in members if not life[-1]["missing_since"]]
        took = [milestones(life)[4] for life in there if milestones(life)[4] is not None]
        if there:
            expected[key] = (len(there), len(members) - len(there), median(took) if took else None, names.get(key[0]))
    performance = place.rows(
        "select account_id, sequence_id, enrolled, missing, median_hours_to_complete, account_name"
        " from boast_data.sequence_performance"
    )
    assert {row[:2]: (*row[2:4], row[5]) for row in performance} == {k: (*v[:2], v[3]) for k, v in expected.items()}
    for account, sequence, *_, middle, _ in performance:
        known = expected[account, sequence][2]
        assert (middle is None) == (known is None)
        assert middle is None or abs(float(middle) - known) < 0.001
