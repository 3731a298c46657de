"""The ledger against a model of the API: whatever happens in whatever order, nobody is enrolled twice, nothing is lost.

The real push runs over a real ledger in a DuckDB file. Time passes by moving what the ledger recorded into the past.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import uuid
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import dlt
import duckdb
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from boast_source import warehouse
from boast_source.config import PushSettings
from boast_source.listing.report import ListReport
from boast_source.load.result import Loaded
from boast_source.push import model
from boast_source.push import run as push_run
from boast_source.push.decisions import decide_on
from boast_source.push.ledger import Ledger
from boast_source.push.result import PushOptions
from tests.support.push_world import ACCOUNT, FATES, ProcessDiedError, World

EXAMPLES = int(os.environ.get("BOAST_EXAMPLES", "10"))  # `make soak` asks for many more
SETTLE_AFTER = 600.0
CONTACTS = [str(uuid.UUID(int=100 + n, version=4)) for n in range(2)]
SEQUENCES = [str(uuid.UUID(int=200 + n, version=4)) for n in range(2)]
FINAL = model.states(lambda rule: rule.final)
OPEN = model.states(lambda rule: rule.open)
KEYS = ["a", "b", "c", None]
PENDING = "boast_data.pending_enrollments"

pairs = st.tuples(st.sampled_from(CONTACTS), st.sampled_from(SEQUENCES))
fates = st.lists(st.sampled_from(FATES), max_size=4)


class Push(RuleBasedStateMachine):
    """Rows come, go and change; pushes meet every fate; people decide; time passes."""

    folder: Path
    pipeline: dlt.Pipeline
    numbers = itertools.count()

    @initialize()
    def start(self):
        self.world = World()
        self.said = Counter()  # how often a person let a pair be sent
        self.run = 0
        file = self.folder / f"w{next(self.numbers)}.duckdb"
        self.warehouse = duckdb.connect(str(file))
        self.pipeline = dlt.pipeline(
            "boast",
            destination=dlt.destinations.duckdb(str(file)),
            dataset_name="boast_data",
            pipelines_dir=str(self.folder / "p"),
        )
        self.sql("create schema boast_data")
        self.sql(f"create table {PENDING} (request_id text, contact_id text, sequence_id text, action text)")
        names = "id text, account_id text, contact_id text, sequence_id text, status text"
        names += ", created_at timestamptz, missing_since timestamptz"
        self.sql(f"create table boast_data.sequence_enrollments ({names})")
        with warehouse.connected(self.pipeline, patience=1) as held:
            Ledger(held).create()

    def teardown(self):
        if hasattr(self, "warehouse"):
            try:
                self.everything_ends()
            finally:
                self.warehouse.close()

    def sql(self, statement, parameters=None):
        return self.warehouse.execute(statement, parameters).fetchall()

    # What may happen.

    @rule(key=st.sampled_from(KEYS), pair=pairs, action=st.sampled_from(["enroll", "enroll", "enroll", "remove"]))
    def a_row_is_added(self, key, pair, action):
        self.sql(f"insert into {PENDING} values (?, ?, ?, ?)", [key, *pair, action])

    @rule(key=st.sampled_from(KEYS))
    def a_row_is_removed(self, key):
        self.sql(f"delete from {PENDING} where request_id is not distinct from ?", [key])

    @rule(key=st.sampled_from(KEYS), pair=pairs)
    def a_row_is_changed(self, key, pair):
        change = f"update {PENDING} set contact_id = ?, sequence_id = ? where request_id is not distinct from ?"
        self.sql(change, [*pair, key])

    @rule(pair=pairs)
    def somebody_enrolls_by_hand(self, pair):
        self.world.enroll(*pair, ours=False)

    @rule(at=st.integers(0, 20))
    @precondition(lambda self: self.world.enrollments)
    def an_enrollment_ends(self, at):
        every = list(self.world.enrollments.values())
        every[at % len(every)]["status"] = "completed"

    @rule(seconds=st.sampled_from([100, 550, 700, 2000]))
    def time_passes(self, seconds):
        self.world.pass_time(seconds)
        past = f"update boast_data.push_ledger set recorded_at = recorded_at - interval {seconds} second"
        self.sql(past)

    @rule(action=st.sampled_from(["release", "retry", "drop"]), at=st.integers(0, 20))
    def a_person_decides(self, action, at):
        # repeating what may still come is the person's own risk, and not what is tested here
        open_ = self.world.late or action != "retry"
        waiting = [key for key, e in self.newest().items() if action in model.RULES[e["state"]].decisions]
        waiting = [key for key in waiting if not (action == "retry" and open_)]
        if not waiting:
            return
        key = sorted(waiting)[at % len(waiting)]
        event = self.newest()[key]
        if action != "drop":
            self.said[event["contact_id"], event["sequence_id"]] += 1
        with warehouse.connected(self.pipeline, patience=1) as held:
            decide_on(Ledger(held), action, [key], "person")

    @rule(
        fates=fates,
        exact=st.booleans(),
        read_back=st.booleans(),
        limit=st.sampled_from([None, None, 1]),
    )
    def a_push(self, fates, exact, read_back, limit):
        self.push(fates, exact=exact, read_back=read_back, limit=limit)

    # What must hold.

    def push(self, fates=(), *, exact=True, read_back=True, limit=None):
        before, rows, expected = self.newest(), self.rows(), self.expected()
        self.world.fates = list(fates)
        self.run += 1
        listings = itertools.count()

        def load(_):
            again = next(listings)
            self.list_into_the_table()
            report = ListReport(ACCOUNT, "sequence_enrollments", verified="exact" if exact else "covered")
            if again and not read_back:
                report.error = "not listed"
            return Loaded([report], 0)

        options = PushOptions(None, "pending_enrollments", 1000, 1, 60.0, limit=limit)
        configured = PushSettings(settle_after=SETTLE_AFTER)
        pushed = None
        listed = patch.object(push_run, "load_held", lambda *_, **__: load(None))
        with contextlib.suppress(ProcessDiedError), listed:
            pushed = push_run.push(
                self.pipeline,
                self.world,  # type: ignore[arg-type]
                configured,
                options,
                f"run {self.run}",
                on_note=lambda _: None,
                on_progress=lambda _: None,
            )
        self.nobody_twice()
        self.final_stays_final(before, rows)
        self.one_enrollment_one_request()
        if pushed is not None:
            assert pushed.queried == expected, pushed.counts
            if not pushed.counts["deferred"] and not pushed.counts["skipped_duplicate"]:
                there = self.newest()
                assert all(key is None or key in there for key, *_ in rows)
        return pushed

    def nobody_twice(self):
        for pair in itertools.product(CONTACTS, SEQUENCES):
            assert self.world.ours_of(pair) <= 1 + self.said[pair]

    def final_stays_final(self, before, rows):
        after = self.newest()
        for key, was in before.items():
            now = after[key]
            late = now["error_code"] in {"late", "duplicate"} and was["state"] in {"withdrawn", "dropped", "enrolled"}
            if was["state"] in FINAL and now["event"] > was["event"] and not late:
                # only a row that says something else is looked at again, and not sent if its request was sent before
                assert now["content_key"] != was["content_key"] or now["error_code"] == "ambiguous", (was, now)
                assert now["state"] == "held" or not was["attempt"], (was, now)

    def one_enrollment_one_request(self):
        made = [
            (e["enrollment_id"], key)
            for key, e in self.newest().items()
            if e["state"] == "enrolled" and e["action"] == "enroll"
        ]
        assert len({enrollment for enrollment, _ in made}) == len(made)
        for enrollment, key in made:
            event, there = self.newest()[key], self.world.enrollments[enrollment]
            assert (event["contact_id"], event["sequence_id"]) == (there["contact_id"], there["sequence_id"])

    def everything_ends(self):
        for _ in range(4):
            self.time_passes(2000)
            pushed = self.push()
        assert not pushed.counts["unknown"], self.newest()
        assert not pushed.counts["deferred"], self.newest()
        assert not {e["state"] for e in self.newest().values()} & {"claimed", "unknown"}
        there = {(e["contact_id"], e["sequence_id"]) for e in self.world.enrollments.values()}
        newest = self.newest()
        for key, contact, sequence, action in self.rows():
            event = newest.get(key)
            if (
                event
                and event["state"] == "enrolled"
                and (event["contact_id"], event["sequence_id"])
                == (
                    contact,
                    sequence,
                )
            ):
                assert action == "remove" or (contact, sequence) in there

    def expected(self):
        """Rows that are not final, and open requests that no row asks for."""
        newest, ended = self.newest(), 0
        rows = self.rows()
        keys = set()
        for key, contact, sequence, action in rows:
            found = next(
                (
                    (name, e)
                    for name, e in newest.items()
                    if (name == key if key else name == e["content_key"])
                    and (e["contact_id"], e["sequence_id"], e["action"]) == (contact, sequence, action)
                ),
                None,
            )
            if found and found[1]["content_key"] and found[1]["state"] in FINAL and not self.by_id(found[1]):
                ended += 1
            keys.add(key or (found[0] if found else None))
        orphans = [k for k, e in newest.items() if e["state"] in OPEN and e["attempt"] and k not in keys]
        return len(rows) - ended + len(orphans)

    @staticmethod
    def by_id(event):
        return False

    def rows(self):
        return self.sql(f"select request_id, contact_id, sequence_id, action from {PENDING}")

    def newest(self):
        names = "request_key, content_key, contact_id, sequence_id, action, state, event, attempt, enrollment_id"
        rows = self.sql(
            f"select {names}, error_code from boast_data.push_ledger"
            " qualify row_number() over (partition by request_key order by event desc) = 1"
        )
        columns = [*names.split(", "), "error_code"]
        return {row[0]: dict(zip(columns, row, strict=True)) for row in rows}

    def list_into_the_table(self):
        self.sql("delete from boast_data.sequence_enrollments")
        for e in self.world.enrollments.values():
            self.sql(
                "insert into boast_data.sequence_enrollments values (?, ?, ?, ?, ?, ?, null)",
                [e["id"], ACCOUNT, e["contact_id"], e["sequence_id"], e["status"], e["created_at"]],
            )


def test_any_order_of_anything_enrolls_nobody_twice_and_loses_nothing(tmp_path, monkeypatch):
    # what answers and views become in the warehouse is tested elsewhere, over real loads; here it would take hours
    monkeypatch.setattr(push_run, "store", lambda *_: None)
    monkeypatch.setattr(push_run, "create_views", lambda *_: None)
    Push.folder = tmp_path
    checked = settings(
        max_examples=EXAMPLES,
        stateful_step_count=25,
        deadline=None,
        derandomize="BOAST_EXAMPLES" not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Push, settings=checked)
