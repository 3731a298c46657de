"""The ledger against a model of the API: whatever happens in whatever order, nobody is enrolled twice, nothing is lost.

A schedule is drawn from one seed, its configuration first: the real push runs over a real ledger, rows come and go,
servers lie and lag, processes die, operators decide, ledgers are lost. `BOAST_SEED=n` replays one.
"""

from __future__ import annotations

import itertools
import os
import random
import uuid
from collections import Counter

import pytest

from boast_source.errors import ConfigurationError
from boast_source.push import model
from boast_source.push.model import RULES, Decision, State
from tests.support.push_office import Office
from tests.support.push_world import ACCOUNTS, CLEAR, DEATHS, FATES, UNCLEAR, ProcessDiedError, World

pytest_plugins = ["tests.support.postgres"]

SCHEDULES = int(os.environ.get("BOAST_EXAMPLES", "100"))  # `make soak` asks for many more
SEED = int(os.environ.get("BOAST_SEED", "0"))
STEPS = 12
TOGETHER = 10  # schedules of one test
DAY = 86_400.0
DATASETS = ["boast_data", "enrollments_prod", "runs_x"]
TABLES = ["pending_enrollments", "Wanted", "who, and why?"]
WAITS = {state.value for state in model.states(lambda rule: rule.attention)}
FINAL = {state.value for state in model.states(lambda rule: rule.final)}


class Schedule:
    """One schedule: `run` takes its steps, each of which checks what must hold."""

    def __init__(self, seed, folder, database=None):
        self.rng = rng = random.Random(seed)
        accounts = ACCOUNTS[: rng.choice([1, 1, 2, 3])]
        self.reenroll = rng.choice(["0", "30 days", "30 days"])
        world = World(lag=rng.choice([0.0, 0.0, 300.0]))
        world.lateness = 500.0 - world.lag
        self.office = Office(
            folder,
            database=database,
            dataset=rng.choice(DATASETS),
            table=rng.choice(TABLES),
            accounts=tuple(accounts),
            world=world,
            reenroll_after=self.reenroll,
            max_attempts=rng.choice([1, 3, 3]),
        )
        contact = itertools.count(100)
        self.pairs = [
            (account, str(uuid.UUID(int=next(contact), version=4)), str(uuid.UUID(int=200 + n, version=4)))
            for account in accounts
            for n in range(3 - len(accounts) // 2)
        ]
        self.keys = [f"k{n}" for n in range(6)]
        self.said = Counter()  # how often an operator let a pair be sent
        self.times = itertools.count(1)
        self.asked = set()

    def run(self):
        steps = [self.ask] * 5 + [self.push] * 6 + [self.take_back, self.change, self.by_hand, self.ends, self.wait]
        steps += [self.decide] * 2 + [self.lose]
        for _ in range(STEPS):
            self.rng.choice(steps)()
        self.everything_ends()

    # What may happen.

    def ask(self):
        account, contact, sequence = self.rng.choice(self.pairs)
        action = self.rng.choice(["enroll", "enroll", "remove"])
        row = {"contact_id": contact, "sequence_id": sequence, "account_id": account, "action": action}
        if self.rng.random() < 0.7:
            key = self.rng.choice(self.keys)
            row["request_id"] = key if self.rng.random() < 0.2 else f"{key}-{next(self.times)}"
        if self.rng.random() < 0.7:
            row["requested_at"] = f"2026-01-01 10:{next(self.times) % 60:02}:00"
        self.asked.add((account, contact, sequence, row.get("request_id"), action))
        self.office.ask(row)

    def take_back(self):
        for (key,) in self.rng.sample(self._rows("request_id"), 1) if self._rows("request_id") else []:
            self.office.sql(f"delete from {self.office.schema}.asked where request_id = ?", [key])

    def change(self):
        rows = [key for (key,) in self._rows("request_id") if key]
        if rows:
            account, contact, sequence = self.rng.choice(self.pairs)
            change = "account_id = ?, contact_id = ?, sequence_id = ? where request_id = ?"
            sql = f"update {self.office.schema}.asked set {change}"
            key = self.rng.choice(rows)
            self.asked |= {(account, contact, sequence, key, action) for action in ("enroll", "remove")}
            self.office.sql(sql, [account, contact, sequence, key])

    def by_hand(self):
        self.office.world.enroll(self.rng.choice(self.pairs), ours=False)

    def ends(self):
        active = [key for key, e in self.office.world.enrollments.items() if e["status"] == "active"]
        if active:
            self.office.world.change(self.rng.choice(active), "completed")

    def wait(self):
        self.office.pass_time(self.rng.choice([100, 550, 700, 2000, 40 * DAY]))

    def decide(self):
        decision = self.rng.choice(list(Decision))
        newest = self.office.newest() if self.office.ledger.exists() else {}
        may = [key for key, e in newest.items() if decision in RULES[_standing(e)].decisions]
        if decision == Decision.RETRY and self.office.world.late:
            return  # repeating what may still come is the operator's own risk, and not what is tested here
        if may:
            event = newest[self.rng.choice(sorted(may))]
            if decision != Decision.DROP:
                self.said[_pair(event)] += 1
            self.office.decide(decision.value, event["request_key"])

    def lose(self):
        """The ledger loses events, of all or some requests, once nothing is under way."""
        if not self.office.ledger.exists() or self.rng.random() < 0.5:
            return
        self.office.pass_time(2000)
        table = f"{self.office.schema}.push_ledger"
        kept = [key for key in self.office.newest() if self.rng.random() < self.rng.choice([0.0, 0.5])]
        marks = ", ".join("?" * len(kept))
        self.office.sql(f"delete from {table}" + (f" where request_key not in ({marks})" if kept else ""), kept)

    def push(self, *fates, perfect=False, **how):
        rng, office = self.rng, self.office
        if not perfect:
            fates = [self._fate() for _ in range(rng.randint(0, 5))]
            office.world.not_found = rng.choice([0, 0, 0, 1])
            how = {"exact": rng.random() < 0.6, "again": rng.random() < 0.7, "limit": rng.choice([None, None, 1, 2])}
            how |= {"unreadable": tuple(rng.sample(office.accounts, rng.choice([0, 0, 0, 1]))), "rng": rng}
            if rng.random() < 0.15 and len(office.accounts) > 1:
                how["accounts"] = (rng.choice(office.accounts),)
        before = office.newest() if office.ledger.exists() else {}
        pushed = None
        try:
            pushed = office.push(*fates, **how)
        except ProcessDiedError:
            pass
        except ConfigurationError:  # the run records count sends that the ledger lost
            pushed = office.push(accept_ledger=True)
        self.nobody_twice()
        self.final_stays_final(before)
        self.one_enrollment_one_request()
        if pushed:
            self.told(pushed)
        return pushed

    def _fate(self):
        kind = self.rng.random()
        if kind < 0.5:
            return self.rng.choice(CLEAR)
        return self.rng.choice(UNCLEAR if kind < 0.8 else DEATHS if kind < 0.85 else FATES)

    # What must hold.

    def nobody_twice(self):
        posts = self.office.world.posts
        for pair in self.pairs:
            moments = sorted(moment for whom, moment in posts if whom == pair)
            if self.reenroll == "0":
                most = len({(key, action) for *whom, key, action in self.asked if tuple(whom) == pair})
                assert len(moments) <= most + self.said[pair], self.office.newest()
                continue
            soon = sum(later - first < 29 * DAY for first, later in itertools.pairwise(moments))
            assert soon <= self.said[pair], self.office.newest()

    def final_stays_final(self, before):
        after = self.office.newest()
        allowed = {"late", "duplicate", "settled", "contradicted", "active_again", "several", "ambiguous"}
        for key, was in before.items():
            now = after.get(key, was)
            if was["state"] not in FINAL or now["event"] <= was["event"] or now["error_code"] in allowed:
                continue
            # only a row that says something else is looked at again, and not sent if its request was sent before
            assert now["content_key"] != was["content_key"] or was["error_code"] in {"unasked", "absent"}, (was, now)
            assert now["state"] == "held" or not was["attempt"], (was, now)

    def one_enrollment_one_request(self):
        newest = [e for e in self.office.newest().values() if e["state"] == "enrolled" and e["action"] == "enroll"]
        assert len({e["enrollment_id"] for e in newest}) == len(newest)
        for event in newest:
            there = self.office.world.enrollments[event["enrollment_id"]]
            assert _pair(event) == _pair(there)

    def told(self, pushed):
        """What waits is the same in the summary, the exit code and the ledger."""
        waits = Counter(_standing(e).value for e in self.office.newest().values())
        assert pushed.as_json()["attention"] == {state: n for state, n in waits.items() if state in WAITS}
        assert pushed.exit_code == 3 or not pushed.attention
        assert pushed.queried == sum(pushed.counts[state] for state in model.COUNTED)

    def everything_ends(self):
        self.office.world.not_found = 0
        for _ in range(5):
            self.office.pass_time(2000)
            self.push(perfect=True)
        newest = self.office.newest()
        assert not {e["state"] for e in newest.values()} & {"claimed", "unknown", "deferred"}, newest
        self.the_last_word_counts(newest)

    def the_last_word_counts(self, newest):
        """A contact whose last row asks for its removal is not active, or somebody is told."""
        columns = "account_id, contact_id, sequence_id, request_id, action, requested_at"
        told = {
            _pair(e) for e in newest.values() if _standing(e).value in WAITS or e["state"] in {"dropped", "refused"}
        }
        for pair in self.pairs:
            rows = [row for row in self._rows(columns) if row[:3] == pair]
            if rows and all(row[5] for row in rows):
                last = max(rows, key=lambda row: row[5])
                if last[4] == "remove" and pair not in told:
                    assert "active" not in self.office.world.status_of(pair), (pair, rows, newest)

    def _rows(self, columns):
        return self.office.sql(f"select {columns} from {self.office.schema}.asked")


def _standing(event):
    twice = event["state"] == "enrolled" and event["error_code"] == "duplicate"
    return State.DUPLICATE if twice else State(event["state"])


def _pair(event):
    return event["account_id"], event["contact_id"], event["sequence_id"]


def _all(seeds, folder, database=None):
    for seed in seeds:
        schedule = Schedule(seed, folder / str(seed), database)
        try:
            schedule.run()
        except BaseException as error:
            raise AssertionError(f"BOAST_SEED={seed} replays it: {error}") from error
        finally:
            schedule.office.close()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("start", [SEED] if SEED else range(1, SCHEDULES + 1, TOGETHER))
def test_any_order_of_anything_enrolls_nobody_twice_and_loses_nothing(tmp_path, start):
    _all([start] if SEED else range(start, min(start + TOGETHER, SCHEDULES + 1)), tmp_path)
