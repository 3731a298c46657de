"""A second implementation of every view, in plain Python, written from docs/model.md without looking at the SQL.

A life is the list of an enrollment's versions in order, each a dict with the columns of the history.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from datetime import date, datetime, timedelta, timezone
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]
Life = list[Row]
MONTH = timedelta(days=30)
WAITING = {"claimed", "unknown", "refused", "invalid", "held"}
NO_REQUESTS = {"paused", "resumed", "accepted", "planned"}


def place_of(row: Row) -> tuple[str, str]:
    return row["account_id"] or "", row["sequence_id"] or ""


def state(row: Row) -> str:
    return "missing" if row["missing_since"] else row["status"] or "none"


def timeline(life: Life) -> list[tuple[datetime, tuple[str, str], str]]:
    """Return the start, place and state of each version; the first entry is the enrollment itself, as active."""
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


def daily(lives: list[Life], names: dict, zone: str, today) -> list[Row]:
    """Return the rows of `enrollment_daily`, computed day by day."""
    dated = [
        [(min(at.astimezone(ZoneInfo(zone)).date(), today), where, what) for at, where, what in timeline(life)]
        for life in lives
    ]
    firsts: dict = {}
    for entries in dated:
        for day, where, _ in entries:
            firsts[where] = min(firsts.get(where, day), day)
    figures: dict = {}
    for where, first in firsts.items():
        for offset in range((today - first).days + 1):
            zeros = dict.fromkeys(("enrolled", "completed", "removed", "active"), 0)
            figures[first + timedelta(days=offset), where] = zeros
    for entries in dated:
        figures[entries[0][0], entries[0][1]]["enrolled"] += 1
        for (_, _, before), (day, where, what) in itertools.pairwise(entries):
            if before not in (what, "missing") and what in {"completed", "removed"}:
                figures[day, where][what] += 1
        for (day, where, what), (until, *_) in zip(entries, [*entries[1:], (today + timedelta(days=1),)], strict=True):
            for offset in range((until - day).days if what == "active" else 0):
                figures[day + timedelta(days=offset), where]["active"] += 1
    rows = []
    for (day, (account, sequence)), figure in figures.items():
        before = figures.get((day - timedelta(days=1), (account, sequence)), {"active": 0})["active"]
        moved = figure["active"] - before - figure["enrolled"] + figure["completed"] + figure["removed"]
        named = {"sequence_name": names.get(sequence), "account_name": names.get(account)}
        key = {"day": day, "account_id": account, "sequence_id": sequence}
        rows.append(key | figure | {"other_changes": moved} | named)
    return rows


def hours(since, until) -> float | None:
    return None if since is None or until is None or until < since else (until - since).total_seconds() / 3600


def milestones(life: Life, names: dict, responses: dict) -> Row:
    first, now = life[0], life[-1]
    there = [row for row in life if not row["missing_since"]]

    def first_seen(holds) -> datetime | None:
        return next((row["updated_at"] for row in there if holds(row)), None) if holds(now) else None

    answered = first_seen(lambda row: row["response_id"])
    kept = ("id", "account_id", "contact_id", "sequence_id", "response_id", "status", "missing_since", "updated_at")
    moments = {
        "enrolled_at": now["created_at"] or first["created_at"] or first["updated_at"] or first["observed_at"],
        "completed_at": first_seen(lambda row: row["status"] == "completed"),
        "removed_at": first_seen(lambda row: row["status"] == "removed"),
        "responded_at": responses.get(now["response_id"], answered) if now["response_id"] else None,
    }
    took = {
        "hours_to_complete": hours(now["created_at"], moments["completed_at"]),
        "hours_to_remove": hours(now["created_at"], moments["removed_at"]),
        "hours_to_respond": hours(now["created_at"], moments["responded_at"]),
    }
    named = {"sequence_name": names.get(now["sequence_id"]), "account_name": names.get(now["account_id"])}
    return {name: now[name] for name in kept} | moments | took | named


def counted(rows: list[Row]) -> Row:
    """Return the counts and rates of enrollments that the API still has, for cohorts and performance."""
    statuses = [row["status"] for row in rows]
    counts = {status: statuses.count(status) for status in ("active", "completed", "removed")}
    responded = sum(row["response_id"] is not None for row in rows)
    found = {"enrolled": len(rows), **counts, "other": len(rows) - sum(counts.values()), "responded": responded}
    shares = {"completion_rate": counts["completed"], "response_rate": responded}
    return found | {name: number / len(rows) if rows else None for name, number in shares.items()}


def reach(milestones: list[Row], runs: list[Row], zone: str, now: datetime):
    """Return a function from an account to the last day for which its enrollments are known."""
    good = [(row["finished_at"].astimezone(ZoneInfo(zone)).date(), row["account_ids"]) for row in good_runs(runs, now)]
    changes: dict = defaultdict(list)
    for row in milestones:
        if row["updated_at"] and row["updated_at"] <= now:
            changes[row["account_id"]].append(row["updated_at"].astimezone(ZoneInfo(zone)).date())
    newest = max(day for days in changes.values() for day in days)

    def last_day(account):
        listed = [day for day, ids in good if ids is None or account in ids.split(",")]
        behind = max(day for day, _ in good) - max(listed) if listed else timedelta(0) if not good else None
        return max([*changes[account], *([] if behind is None else [newest - behind])], default=date.min)

    return last_day


def cohorts(milestones: list[Row], runs: list[Row], zone: str, now: datetime) -> list[Row]:
    groups: dict = defaultdict(list)
    for row in (row for row in milestones if not row["missing_since"]):
        month = row["enrolled_at"].astimezone(ZoneInfo(zone)).date().replace(day=1)
        groups[month, row["account_id"], row["sequence_id"]].append(row)
    known_until = reach(milestones, runs, zone, now)
    rows = []
    for (month, account, sequence), members in groups.items():
        soon = {
            f"{what}_in_30_days": sum(
                took is not None and timedelta(hours=took) <= MONTH for took in (row[column] for row in members)
            )
            for what, column in (("completed", "hours_to_complete"), ("responded", "hours_to_respond"))
        }
        rates = {
            "completion_rate_30_days": soon["completed_in_30_days"] / len(members),
            "response_rate_30_days": soon["responded_in_30_days"] / len(members),
            "had_30_days": known_until(account) >= month + timedelta(days=61),
        }
        key = {"month": month, "account_id": account, "sequence_id": sequence}
        rows.append(key | counted(members) | soon | rates | _names_of(members))
    return rows


def performance(milestones: list[Row]) -> list[Row]:
    groups: dict = defaultdict(list)
    for row in milestones:
        groups[row["account_id"], row["sequence_id"]].append(row)
    rows = []
    for (account, sequence), members in groups.items():
        there = [row for row in members if not row["missing_since"]]
        moments = [row["enrolled_at"] for row in there]
        more = {
            "missing": len(members) - len(there),
            "removal_rate": sum(row["status"] == "removed" for row in there) / len(there) if there else None,
            "median_hours_to_complete": _middle(there, "hours_to_complete"),
            "median_hours_to_respond": _middle(there, "hours_to_respond"),
            "first_enrolled_at": min(moments, default=None),
            "last_enrolled_at": max(moments, default=None),
        }
        rows.append({"account_id": account, "sequence_id": sequence} | counted(there) | more | _names_of(members))
    return rows


def _middle(rows: list[Row], column: str) -> float | None:
    known = [row[column] for row in rows if row[column] is not None]
    return median(known) if known else None


def _names_of(rows: list[Row]) -> Row:
    return {name: rows[0][name] for name in ("sequence_name", "account_name")}


def history(lives: list[Life]) -> list[Row]:
    """Return the rows of `enrollment_history`. A version is valid from when it was first seen until the next one is."""
    rows = []
    for life in lives:
        until = None
        for row in reversed(life):
            began = row["observed_at"] if until is None else min(row["observed_at"], until)
            rows.append(row | {"valid_from": began, "valid_to": until, "is_current": row is life[-1]})
            until = began
    return rows


def requests(ledger: list[Row]) -> list[Row]:
    groups: dict = defaultdict(list)
    for event in (event for event in ledger if event["state"] not in NO_REQUESTS):
        groups[event["request_key"]].append(event)
    rows = []
    for events in groups.values():
        last = max(events, key=lambda event: event["event"])
        kept = ("request_key", "state", "action", "account_id", "contact_id", "sequence_id", "enrollment_id")
        twice = last["state"] == "enrolled" and last["error_code"] == "duplicate"
        more = {
            "attempts": last["attempt"],
            "reason": last["error_code"] if last["error_detail"] is None else last["error_detail"],
            "first_seen": min(event["recorded_at"] for event in events),
            "since": last["recorded_at"],
            "attention": last["state"] in WAITING or twice,
        }
        same = {name: last[name] for name in (*kept, "error_code", "http_status", "run_id")}
        rows.append(same | more)
    return rows


def good_runs(runs: list[Row], now: datetime) -> list[Row]:
    return [
        run
        for run in runs
        if run["listed"] is not None
        and run["verified"] in {"exact", "covered", "recent", "moving"}
        and run["exit_code"] is not None
        and run["status"] != "running"
        and run["finished_at"] <= now + timedelta(hours=1)
    ]


def health(lives: list[Life], runs: list[Row], requests: list[Row], now: datetime) -> Row:
    """Return the row of `pipeline_health` without `hours_since_success`, which changes all the time."""
    good = good_runs(runs, now)
    waits = []
    for account in {life[-1]["account_id"] for life in lives} - {None}:
        listed = [run["finished_at"] for run in good if account in (run["account_ids"] or account).split(",")]
        waits += [max(listed)] if listed and max(listed) >= now - MONTH else []
    last_good = max(
        good, key=lambda run: run["finished_at"], default=dict.fromkeys(("finished_at", "verified", "listed"))
    )
    work = [
        run
        for run in runs
        if run["command"] not in {"report", "prepare"} and run["finished_at"] <= now + timedelta(hours=1)
    ]
    last = max(work, key=lambda run: run["finished_at"])
    pushing = max((r for r in work if r["command"] != "load"), key=lambda run: run["finished_at"], default=last)
    young = pushing["finished_at"] >= now - timedelta(days=7)
    last = pushing if pushing["error"] and young and not last["error"] else last
    gone = sum(life[-1]["missing_since"] is not None for life in lives)
    waiting = [row["state"] for row in requests if row["attention"]]
    names = ("run_id", "command", "status", "exit_code", "finished_at", "error")
    return {
        "last_success_at": min(waits, default=last_good["finished_at"]),
        "verified": last_good["verified"],
        "listed": last_good["listed"],
        "stored": len(lives) - gone,
        "missing": gone,
        **{f"last_{name}": last[name] for name in names},
        "held": waiting.count("held"),
        "refused": waiting.count("refused"),
        "unknown": waiting.count("unknown") + waiting.count("claimed"),
        "waiting": len(waiting),
    }


UTC = timezone.utc
