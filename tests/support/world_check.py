"""Compares a warehouse with the truth that a living server remembers, after a run.

What may differ is what docs/reference.md says of `verified`, in `excused`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.support.world_server import LISTS, Delivery, Living
from tests.support.world_store import Rows, differences, moment
from tests.support.world_views import Version

ENROLLMENTS, HISTORY = "sequence_enrollments", "sequence_enrollments_history"
SURE = ("exact", "covered")


@dataclass
class Ran:
    """A finished run. `start`, `end`: ticks; `since`: the tick from which versions may be new (a killed run's)."""

    arguments: list[str]
    start: int
    end: int
    since: int
    began: float  # seconds since 1970
    ended: float
    code: int
    summary: dict[str, Any]
    delivered: dict[Any, dict[str, list[Delivery]]]
    err: str
    lists: tuple[str, ...] = LISTS
    accounts: tuple[str, ...] = ()
    full_since: dict[Any, int] = field(default_factory=dict)  # the tick of the last full listing of each list
    record: dict[str, Any] = field(default_factory=dict)  # its row in `runs`

    def report(self, account: str) -> dict[str, Any]:
        """Return what the run says of an account. A push says it in `runs` only, and reads all in full."""
        loads = self.summary.get("load") or self.summary
        if "accounts" not in loads:
            return {"verified": self.record["verified"], "whole": LISTS}
        return next(part for part in loads["accounts"] if part["account_id"] == account)


def same(table: str, account: str, content: Any, row: Any) -> bool:
    """Whether a state (None: not there) is what the warehouse has."""
    present = row is not None and row.get("missing_since") is None
    if content is None or not present:
        return content is None and not present
    return not differences(table, account, content, row)


def by_id(rows: Rows, account: str | None = None) -> dict[str, dict[str, Any]]:
    found = {row["id"]: row for row in rows if account is None or row["account_id"] == account}
    if account is None:
        assert len(found) == len(rows), "an id twice"
    return found


def check_list(living: Living, ran: Ran, where: tuple[str, str], before: Rows, after: Rows) -> None:
    """Compare one list of one account."""
    account, name = where
    old, new = by_id(before, account), by_id(after, account)
    report = ran.report(account)
    verified = report["verified"]
    if verified == "failed":
        assert "too many to believe" in report["error"], report
        check_untouched(living, ran, where, before, after)
        return
    incremental = verified == "recent" if name == ENROLLMENTS else name not in report["whole"]
    silent_from = ran.full_since.get(where, 0) if incremental else ran.start
    moved = living.moved(where, ran.start, ran.end)
    unseen, lingering = [], []
    for key in sorted({*new, *living.truth[where]}):
        row = new.get(key)
        states = living.states(where, key, ran.start, ran.end)
        if name != ENROLLMENTS and states == [None]:
            assert _untouched(living, ran, where, row, old.get(key)), (
                f"{name} {key}: it was not there, and its row changed\n{old.get(key)}\n{row}"
            )
            continue
        if any(same(name, account, state, row) for state in states):
            # a record that returns with its old cursor is seen by the next full listing, if another vanished meanwhile
            returned = None in states and _untouched(living, ran, where, row, old.get(key))
            if not (incremental and row and (returned or _is_silent(name, account, states, states, row))):
                _last_seen(living, ran, where, key, row, states)
            continue
        why = f"{name} {key}, verified {verified}\nthe API had: {_shown(states)}\nthe warehouse has: {row}"
        if states[-1] is not None and row:
            why += f"\n{differences(name, account, states[-1], row)}"
        earlier = living.states(where, key, silent_from, ran.start)
        if incremental and row and _is_silent(name, account, states, earlier, row):
            continue
        untouched = key not in ran.delivered.get(where, {}) and _untouched(living, ran, where, row, old.get(key))
        if incremental and untouched:
            (lingering if states == [None] else unseen).append((key, why))
            continue
        hides = moved and untouched
        assert hides, why
    if name == ENROLLMENTS and verified in (*SURE, "recent"):
        # a record that one pass delivered, and that then left, may be stored: the next run says that it is missing
        ends = {key: living.states(where, key, ran.start, ran.end)[-1] for key in ran.delivered.get(where, {})}
        present = [key for key, row in new.items() if row["missing_since"] is None]
        left = sum(ends.get(key, {}) is None for key in present)
        sizes = living.sizes(where, ran.start, ran.end)
        assert sizes & {len(present) - n for n in range(left + 1)}, f"{account}: {len(present)} stored, it had {sizes}"
    if not moved and name == ENROLLMENTS:
        assert len(unseen) == len(lingering), (unseen + lingering)[0][1]


def check_untouched(living: Living, ran: Ran, where: tuple[str, str], before: Rows, after: Rows) -> None:
    """Check a list that the run did not read."""
    old, new = by_id(before, where[0]), by_id(after, where[0])
    for key in {*old, *new}:
        row = new.get(key)
        assert _untouched(living, ran, where, row, old.get(key)), f"{where} was not read:\n{old.get(key)}\n{row}"


def _untouched(living: Living, ran: Ran, where: tuple[str, str], row: Any, old: Any) -> bool:
    """Whether a row is what it was, or what a run before it had seen that was killed."""
    refused = where[0] in ran.accounts and ran.report(where[0])["verified"] == "failed"
    key = (row or old or {}).get("id", "")
    earlier = living.states(where, key, ran.since, ran.end) if ran.since < ran.start or refused else []
    return _held(row) == _held(old) or any(same(where[1], where[0], state, row) for state in earlier)


def _held(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """The row without its nulls: another record's new field is a new column."""
    return row and {name: value for name, value in row.items() if value is not None and not name.startswith("_dlt")}


def _shown(states: list[Any]) -> str:
    return "\n             ".join(json.dumps(state, ensure_ascii=False) for state in states)


def _is_silent(name: str, account: str, states: list[Any], earlier: list[Any], row: dict[str, Any]) -> bool:
    """Whether the row is an older state with the cursor of the state now: an incremental listing cannot see more."""
    cursor = "updated" if name == "responses" else "updated_at"
    older = [state for state in earlier if state and same(name, account, state, row)]
    return any(now and now.get(cursor) == state.get(cursor) for state in older for now in states)


def _last_seen(living: Living, ran: Ran, where: Any, key: str, row: Any, states: list[Any]) -> None:
    """Check that the row is what the last answer said; answers that overlap in time have no order."""
    answers = ran.delivered.get(where, {}).get(key, [])
    if not answers or states[-1] is None:
        return
    latest = max(answer.asked for answer in answers)
    last = [answer.content for answer in answers if answer.answered >= latest]
    assert any(same(where[1], where[0], content, row) for content in last), (
        f"{where[1]} {key}: the last answers were {_shown(last)}\nthe warehouse has {row}"
    )


def check_history(
    living: Living, ran: Ran, table: Rows, before: Rows, after: Rows, known: dict[str, list[Version]]
) -> None:
    """Compare the history with the table, the truth, and what it was; add the new versions to `known`."""
    old = {row["version_key"]: row for row in before}
    keys = {row["version_key"]: row for row in after}
    assert len(keys) == len(after), "a version_key twice"
    for key, row in old.items():
        assert {k: v for k, v in keys[key].items() if k in row} == row, f"a version changed:\n{row}\n{keys.get(key)}"
    versions: dict[str, Rows] = {}
    for row in sorted(after, key=lambda row: row["version"]):
        versions.setdefault(row["id"], []).append(row)
    stored = by_id(table)
    assert set(versions) == set(stored), set(versions) ^ set(stored)
    for key, chain in versions.items():
        account = chain[0]["account_id"]
        assert [row["version"] for row in chain] == list(range(1, len(chain) + 1)), chain
        moments = [moment(row["observed_at"]) for row in chain]
        assert moments == sorted(moments), f"out of order: {chain}"
        for previous, row in zip([None, *chain], chain, strict=False):
            if row["version_key"] not in old:
                mine = known.setdefault(key, [])
                content = _new_version(living, ran, account, previous, row) or mine[-1].content
                mine.append(Version(account, content, moment(row["observed_at"]), moment(row["missing_since"])))
        last, now = chain[-1], stored[key]
        shared = [name for name in now if name in last and not name.startswith("_dlt")]
        assert all(last[name] == now[name] for name in shared), f"the newest version is not the row:\n{last}\n{now}"


def _new_version(living: Living, ran: Ran, account: str, previous: Any, row: dict[str, Any]) -> Any:
    """Check a version that is new since the last run; return the record, or None if the version says it is gone."""
    where = (account, ENROLLMENTS)
    seen = moment(row["observed_at"]) / 1e6
    assert ran.began - 0.001 <= seen <= ran.ended + 0.001, f"observed outside of its run: {row}"
    content = [
        name for name in row if name not in ("version_key", "version", "observed_at") and not name.startswith("_dlt")
    ]
    assert not previous or any(previous[name] != row[name] for name in content), f"a version twice:\n{previous}\n{row}"
    states = living.states(where, row["id"], ran.since, ran.end)
    if row["missing_since"] is not None:
        assert None in states, f"it was never gone: {row}"
        shared = [name for name in content if name not in ("missing_since", "content_hash")]
        assert previous, row
        assert all(previous[name] == row[name] for name in shared), f"missing, and changed:\n{previous}\n{row}"
        return None
    true = [state for state in states if state and same(ENROLLMENTS, account, state, row)]
    assert true, f"a version that was never true: {row}\nthe API had: {_shown(states)}"
    return true[-1]
