"""A state machine for schedules of changes, loads and crashes; tests/unit/test_model.py defines how a load is run."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from boast_source.listing.report import Options
from boast_source.load.source import HISTORY
from boast_source.shapes import SEQUENCE_ENROLLMENTS as SHAPE
from tests.support.plain_api import CHANGES, ORDERS, PlainApi

if TYPE_CHECKING:
    pass


CHANGE = st.tuples(st.sampled_from(CHANGES), st.integers(0, 30))
SOME = st.lists(CHANGE, max_size=8)
DRIFT = st.lists(st.lists(CHANGE, max_size=2), max_size=14)
STAMP = "strftime({} at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%g') || 'Z'"
CONTENT = f"account_id, status, {STAMP.format('updated_at')}"
OPTIONS = Options(workers=1, keep_going=True)


class Schedule(RuleBasedStateMachine):
    """The invariants of every schedule. A subclass defines `sql`, `run_load` and `close`."""

    outcomes = ("whole", "table only", "history only", "nothing")

    def __init__(self):
        super().__init__()
        self.api = PlainApi()
        self.marked: dict[str, object] = {}  # missing_since by id
        self.ever: dict[str, list] = {}  # the contents that the table had, in order, by id

    @initialize(order=st.sampled_from(ORDERS), rows=st.integers(0, 12), accounts=st.integers(1, 2))
    def begin(self, order, rows, accounts):
        self.api.order = order
        for _ in range(accounts - 1):
            self.api.open_account()
        for place in range(rows):
            self.api.change(("insert", place))

    @rule(changes=SOME)
    def change(self, changes):
        for change in changes:
            self.api.change(change)

    @rule()
    def open_account(self):
        if len(self.api.accounts) < 3:
            self.api.open_account()

    @rule(
        drift=DRIFT,
        prove=st.booleans(),
        one=st.sampled_from([None, None, 0, 1]),
        outcome=st.integers(0, 6),
        data=st.data(),
    )
    def load_while_it_moves(self, drift, prove, one, outcome, data):
        self.api.drift = [list(changes) for changes in drift]
        account = None if one is None else (self.api.accounts[one % len(self.api.accounts)],)
        # half of all loads succeed
        outcome = self.outcomes[outcome % len(self.outcomes)] if outcome < 4 else "whole"
        self.check(replace(OPTIONS, prove=prove, account_ids=account), outcome)
        self.api.drift = []

    @rule()
    def load_quietly(self):
        self.check(OPTIONS, "whole")

    def check(self, options, outcome):
        before, begin, accounts = self.table(), self.api.clock, options.account_ids or tuple(self.api.accounts)
        reports = self.run_load(options, outcome)
        after = self.table()
        if outcome in {"whole", "history only"}:
            # after two crashes in a row before an account's history is written, only the second can be recovered
            self.note_contents(before, accounts)
        if outcome != "whole":
            return
        self.note_contents(after, accounts)
        verified = {report.account_id: report.verified for report in reports}
        for key in self.api.moments:
            true = self.api.during(key, begin)
            account = next(iter(true))[0] if None not in true else None
            if account not in accounts or {content[0] for content in true} != {account}:
                continue  # it was not listed all the time, or changed accounts
            known = key in before and before[key][1] is None and verified[account] != "failed"
            if known or verified[account] == "exact":
                assert after.get(key, (None, 1))[1] is None, f"{key} is not stored or marked missing"
                assert after[key][0] in true, f"{key} holds what was not true during the run"
        for key, (_, since) in after.items():
            if since is not None and key in self.marked and before[key][1] is not None:
                assert since == self.marked[key], f"{key} was missing since another moment"
        self.marked = {key: since for key, (_, since) in after.items() if since is not None}
        self.check_history(after, [account for account in accounts if verified[account] != "failed"])

    def note_contents(self, table, accounts):
        for key, (content, since) in table.items():
            if content[0] not in accounts:
                continue
            seen = self.ever.setdefault(key, [])
            version = (*content, since is not None)
            if seen[-1:] != [version]:
                seen.append(version)

    def check_history(self, table, accounts):
        kept: dict[str, list] = {}
        for key, *content, gone in self.sql(
            f"select id, {CONTENT}, {self.note(HISTORY)}, missing_since is not null from {HISTORY}"
            " order by id, version, version_key"
        ):
            kept.setdefault(key, []).append((*content, gone))
        for key, (content, since) in table.items():
            versions = kept.get(key, [])
            if content[0] in accounts:
                newest = (*content, since is not None)
                assert versions[-1] == newest, f"{key}: the newest version is not the stored one"
            assert all(a != b for a, b in itertools.pairwise(versions)), f"{key}: a version twice in a row"
            assert set(self.ever.get(key, ())) <= set(versions), f"{key}: a version that was stored is lost"
        numbers = self.sql(
            f"select id, count(*), count(distinct version), min(version), max(version) from {HISTORY} group by 1"
        )
        assert all(count == distinct == last and first == 1 for _, count, distinct, first, last in numbers)
        assert self.sql(f"select count(*) - count(distinct version_key) from {HISTORY}") == [(0,)]

    def teardown(self):
        try:
            self.api.drift = []
            self.note_contents(self.table(), self.api.accounts)
            reports = self.run_load(replace(OPTIONS, prove=True, accept_missing=True), "whole")
            table = self.table()
            self.note_contents(table, self.api.accounts)
            assert {key: content for key, (content, since) in table.items() if since is None} == self.api.truth()
            assert {report.verified for report in reports} <= {"exact"}
            if table:
                self.check_history(table, self.api.accounts)
            reports = self.run_load(OPTIONS, "whole")
            assert sum(report.loaded + report.missing for report in reports) == 0
        finally:
            self.close()

    # How a run is made

    def table(self) -> dict:
        """Return the stored (content, missing_since) by id."""
        if not self.columns(SHAPE.name):
            return {}
        rows = self.sql(f"select id, {CONTENT}, {self.note(SHAPE.name)}, missing_since from {SHAPE.name}")
        assert len({key for key, *_ in rows}) == len(rows), "an id twice"
        return {key: (tuple(content), since) for key, *content, since in rows}

    def note(self, table):
        return "note" if "note" in self.columns(table) else "null"

    def columns(self, table):
        found = self.sql(
            f"select column_name from duckdb_columns() where schema_name = '{self.schema}' and table_name = '{table}'"
        )
        return {name for (name,) in found}
