"""The documented views, computed in plain Python from what the model knows, and compared with the warehouse's.

`completed_in_30_days` and its like count enrollments with a `created_at` only: without one their time is unknown. Hours
have a resolution of a second. Two things come from the warehouse's tables, after these were compared with the truth:
the clock of each run, which no server knows, and the names and times of sequences, accounts and responses.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.world_store import Rows, differences, moment

HOUR = 3_600_000_000
SECOND = 1 / 3600  # hours
VIEWS = (
    *("good_runs", "enrollment_history", "enrollment_daily", "enrollment_milestones", "enrollment_cohorts"),
    *("sequence_performance", "push_requests", "pipeline_health"),
)


@dataclass
class Version:
    """A version of an enrollment. `content` is the API's record; times are microseconds since 1970."""

    account: str
    content: dict[str, Any]
    observed: int
    missing: int | None

    @property
    def active(self) -> bool:
        return self.content.get("status") == "active" and self.missing is None


@dataclass
class Model:
    """What the views are computed from."""

    versions: dict[str, list[Version]]
    tables: dict[str, Rows]
    zone: str

    def name(self, table: str, key: str | None) -> Any:
        return next((row["name"] for row in self.tables[table] if row["id"] == key), None)

    def day(self, micros: int) -> date:
        return (
            (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=micros))
            .astimezone(ZoneInfo(self.zone))
            .date()
        )


def enrolled_at(chain: list[Version]) -> int | None:
    first = chain[0].content
    return moment(chain[-1].content.get("created_at") or first.get("created_at") or first.get("updated_at"))


def milestones(model: Model) -> dict[str, dict[str, Any]]:
    created = {row["id"]: moment(row["created"]) for row in model.tables["responses"]}
    found = {}
    for key, chain in model.versions.items():
        now, begin = chain[-1].content, moment(chain[-1].content.get("created_at"))

        def first(field: str, values: Any, chain: list[Version] = chain) -> Any:
            """Return the cursor of the first version that has one of the values; () is any value."""
            seen = (
                v.content for v in chain if v.content.get(field) in values or (values == () and v.content.get(field))
            )
            return next((moment(content.get("updated_at")) for content in seen), None)

        def hours(end: int | None, begin: int | None = begin) -> float | None:
            return None if end is None or begin is None or end < begin else (end - begin) / HOUR

        done = first("status", ("completed",)) if now.get("status") == "completed" else None
        removed = first("status", ("removed",)) if now.get("status") == "removed" else None
        response = now.get("response_id")
        responded = (created.get(response) or first("response_id", ())) if response else None
        found[key] = {
            "account_id": chain[-1].account,
            "contact_id": now.get("contact_id"),
            "sequence_id": now.get("sequence_id"),
            "response_id": response,
            "status": now.get("status"),
            "missing_since": chain[-1].missing,
            "updated_at": moment(now.get("updated_at")),
            "enrolled_at": enrolled_at(chain),
            "completed_at": done,
            "removed_at": removed,
            "responded_at": responded,
            "hours_to_complete": hours(done),
            "hours_to_remove": hours(removed),
            "hours_to_respond": hours(responded),
            "sequence_name": model.name("sequences", now.get("sequence_id")),
            "account_name": model.name("accounts", chain[-1].account),
        }
    return found


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def outcomes(ones: Rows) -> dict[str, Any]:
    """Count what became of enrollments that are not missing; `ones`: their milestones."""
    status = [one["status"] for one in ones]
    counts = {name: status.count(name) for name in ("active", "completed", "removed")}
    responded = sum(one["response_id"] is not None for one in ones)
    return counts | {
        "enrolled": len(ones),
        "other": len(ones) - sum(counts.values()),
        "responded": responded,
        "completion_rate": share(counts["completed"], len(ones)),
        "response_rate": share(responded, len(ones)),
    }


def performance(model: Model, found: dict[str, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    groups = defaultdict(list)
    for one in found.values():
        groups[one["account_id"], one["sequence_id"]].append(one)
    result = {}
    for (account, sequence), ones in groups.items():
        there = [one for one in ones if one["missing_since"] is None]

        def middle(name: str, value: str, ones: Rows = there) -> float | None:
            hours = [one[name] for one in ones if one[name] is not None and one[value]]
            return median(hours) if hours else None

        times = [one["enrolled_at"] for one in there if one["enrolled_at"] is not None]
        counts = outcomes(there)
        result[account, sequence] = counts | {
            "sequence_name": model.name("sequences", sequence),
            "account_name": model.name("accounts", account),
            "missing": len(ones) - len(there),
            "removal_rate": share(counts["removed"], len(there)),
            "median_hours_to_complete": middle("hours_to_complete", "completed_at"),
            "median_hours_to_respond": middle("hours_to_respond", "response_id"),
            "first_enrolled_at": min(times, default=None),
            "last_enrolled_at": max(times, default=None),
        }
    return result


def cohorts(model: Model, found: dict[str, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    groups = defaultdict(list)
    for one in found.values():
        if one["missing_since"] is None and one["enrolled_at"] is not None:
            groups[model.day(one["enrolled_at"]).replace(day=1), one["account_id"], one["sequence_id"]].append(one)
    result = {}
    for key, ones in groups.items():
        soon = {
            verb: sum(one[f"hours_to_{verb}"] is not None and one[f"hours_to_{verb}"] <= 720 for one in ones)
            for verb in ("complete", "respond")
        }
        result[key] = outcomes(ones) | {
            "completed_in_30_days": soon["complete"],
            "responded_in_30_days": soon["respond"],
            "completion_rate_30_days": share(soon["complete"], len(ones)),
            "response_rate_30_days": share(soon["respond"], len(ones)),
        }
    return result


def compare(view: str, expected: dict[Any, dict[str, Any]], rows: Rows, key: tuple[str, ...]) -> None:
    """Compare a view with what was computed; times as microseconds, numbers within rounding."""
    got = {tuple(row[name] for name in key): row for row in rows}
    assert len(got) == len(rows), f"{view}: a key twice"
    wanted = {(k if isinstance(k, tuple) else (k,)): v for k, v in expected.items()}
    assert set(got) == set(wanted), f"{view}: rows {sorted(map(str, set(got) ^ set(wanted)))} (in only one of them)"
    for one, values in wanted.items():
        for name, value in values.items():
            there = got[one][name]
            if isinstance(there, datetime):
                there = moment(there)
            within = SECOND if "hours" in name else 1e-9
            near = isinstance(value, float) and there is not None and abs(float(there) - value) <= within
            assert near or there == value, f"{view} {one}: {name} is {there!r}, computed {value!r}\n{got[one]}"


def check_daily(model: Model, rows: Rows, now: dict[Any, dict[str, Any]], today: set[date]) -> None:
    """Compare the days: enrolled day by day, `active` as the sum of all changes, its end with what is active now."""
    groups: dict[Any, Rows] = defaultdict(list)
    for row in rows:
        groups[row["account_id"], row["sequence_id"]].append(row)
    begun: dict[Any, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    for chain in model.versions.values():
        if (at := enrolled_at(chain)) is not None:
            first = chain[0]
            begun[first.account, first.content.get("sequence_id") or ""][model.day(at)] += 1
    for key, days in groups.items():
        days.sort(key=lambda row: row["day"])
        assert [row["day"] for row in days] == [days[0]["day"] + timedelta(days=n) for n in range(len(days))], (
            f"enrollment_daily {key}: days are missing"
        )
        assert days[-1]["day"] in today, f"enrollment_daily {key} ends {days[-1]['day']}"
        active = 0
        for row in days:
            active += row["enrolled"] - row["completed"] - row["removed"] + row["other_changes"]
            assert active == row["active"] >= 0, f"enrollment_daily: {active} are active, not {row}"
            assert row["enrolled"] == begun[key][row["day"]], (
                f"enrollment_daily: {begun[key][row['day']]} enrolled, {row}"
            )
        account, sequence = key
        there = now.get((account, sequence or None), {"active": 0})["active"]
        assert active == there, f"enrollment_daily {key}: {active} are active at the end, {there} are now"
    assert set(groups) >= set(begun), f"enrollment_daily lacks {set(begun) - set(groups)}"


def check_history_view(model: Model, rows: Rows) -> None:
    chains: dict[str, Rows] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["version"]):
        chains[row["id"]].append(row)
    assert set(chains) == set(model.versions), "enrollment_history"
    for key, chain in model.versions.items():
        ends = [*(version.observed for version in chain[1:]), None]
        assert len(chain) == len(chains[key]), f"enrollment_history of {key}: {chains[key]}"
        for version, end, row in zip(chain, ends, chains[key], strict=True):
            got = (moment(row["valid_from"]), moment(row["valid_to"]), row["is_current"], moment(row["missing_since"]))
            assert got == (version.observed, end, end is None, version.missing), f"{row}: {version}, until {end}"
            wrong = differences("sequence_enrollments", version.account, version.content, row)
            assert not wrong, f"enrollment_history: {wrong}"


def check_as_of(query: Any, schema: str, snapshots: list[tuple[str, Rows]]) -> None:
    """At the end of each earlier run, `as_of` has what the table held then."""
    for at, table in snapshots:
        then = {row["id"]: row for row in query(f"select * from {schema}as_of('{at}')")}
        assert set(then) == {row["id"] for row in table}, f"as_of({at}): {set(then) ^ {row['id'] for row in table}}"
        for row in table:
            wrong = {
                k: (v, then[row["id"]].get(k)) for k, v in row.items() if then[row["id"]].get(k) != v and k[0] != "_"
            }
            assert not wrong, f"as_of({at}) of {row['id']}, then and now: {wrong}"


def check_runs(record: dict[str, Any], views: dict[str, Rows], table: Rows, listed: bool) -> None:
    """Compare what the views say of the last run; `listed`: it listed the enrollments. `record`: its row in `runs`."""
    good = {row["run_id"]: row for row in views["good_runs"]}
    fine = listed and record["verified"] in ("exact", "covered", "recent", "moving")
    assert (record["run_id"] in good) == fine, f"good_runs and {record}"
    health = views["pipeline_health"][0]
    there = sum(row["missing_since"] is None for row in table)
    assert (health["stored"], health["missing"]) == (there, len(table) - there), health
    assert health["waiting"] == sum(row["attention"] for row in views["push_requests"]), health
    if record["command"] in ("push", "nightly"):
        last = (health["last_run_id"], health["last_command"], health["last_exit_code"], health["last_status"])
        assert last == tuple(record[name] for name in ("run_id", "command", "exit_code", "status")), health


def check_views(model: Model, views: dict[str, Rows], today: set[date]) -> None:
    found = milestones(model)
    now = performance(model, found)
    compare("enrollment_milestones", found, views["enrollment_milestones"], ("id",))
    compare("sequence_performance", now, views["sequence_performance"], ("account_id", "sequence_id"))
    compare(
        "enrollment_cohorts", cohorts(model, found), views["enrollment_cohorts"], ("month", "account_id", "sequence_id")
    )
    check_history_view(model, views["enrollment_history"])
    check_daily(model, views["enrollment_daily"], now, today)
