"""The ledger against a model of the API: whatever happens in whatever order, nobody is enrolled twice, nothing is lost.

A schedule is drawn from one seed, its configuration first: the real push runs over a real ledger, rows come and go,
servers lie and lag, processes die, operators decide, ledgers are lost. `BOAST_SEED=n` replays one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import Counter

import pytest

from boast_source.errors import ConfigurationError, PendingError
from boast_source.push import controls, model
from boast_source.push.decide import short
from boast_source.push.model import Decision
from tests.support.postgres import empty_database
from tests.support.push_schedule import DAY, Steps, on_postgres, pair_of, standing
from tests.support.push_world import CLEAR, DEATHS, FATES, UNCLEAR, ProcessDiedError

SCHEDULES = int(os.environ.get("BOAST_EXAMPLES", "100"))  # `make soak` asks for many more
SEED = int(os.environ.get("BOAST_SEED", "0"))
STEPS = 12
TOGETHER = 10  # schedules of one test
WAITS = {state.value for state in model.states(lambda rule: rule.attention)}
FINAL = {state.value for state in model.states(lambda rule: rule.final)}
UNSETTLED = {"claimed", "unknown", "deferred", "released"}


class Schedule(Steps):
    """One schedule: `run` takes its steps, each of which checks what must hold."""

    plan = None  # its hash and its members

    def run(self):
        steps = [self.ask] * 6 + [self.push] * 6 + [self.take_back, self.change, self.by_hand, self.ends, self.wait]
        steps += [self.decide] * 2 + [self.lose, self.restore, self.make_plan, self.approve, self.pause, self.resume]
        steps += [self.move, self.no_table] if self.by_person else [self.no_table]
        for _ in range(STEPS):
            self.rng.choice(steps)()
        self.everything_ends()

    def push(self, *fates, perfect=False, **how):
        rng, office = self.rng, self.office
        if not perfect:
            fates = [self._fate() for _ in range(rng.randint(0, 5))]
            office.world.not_found = rng.choice([0, 0, 0, 1])
            exact = not self.restless and rng.random() < 0.6
            how |= {"exact": exact, "again": rng.random() < 0.7, "limit": rng.choice([None, None, 1, 2])}
            how |= {"unreadable": tuple(rng.sample(office.accounts, rng.choice([0, 0, 0, 1]))), "rng": rng}
            how |= {"max_sends": rng.choice([1, 1000, 1000, 1000])}
            if rng.random() < 0.15 and len(office.accounts) > 1:
                how["accounts"] = (rng.choice(office.accounts),)
        before = self.newest()
        paused = controls.read(office.ledger).paused if office.ledger.exists() else frozenset()
        pushed = None
        try:
            pushed = office.push(*fates, **how)
        except ProcessDiedError:
            pass
        except ConfigurationError:  # the run records count sends that the ledger lost
            how = {name: how[name] for name in ("accounts", "approve") if name in how}
            pushed = office.push(accept_ledger=True, **how)
        self.nobody_twice()
        self.final_stays_final(before)
        self.one_enrollment_one_request()
        self.sent_as_told(paused, how.get("approve"))
        self.others_left_alone(how.get("accounts"))
        if pushed:
            self.told(pushed)
        return pushed

    def _fate(self):
        kind = self.rng.random()
        if kind < 0.5:
            return self.rng.choice(CLEAR)
        return self.rng.choice(UNCLEAR if kind < 0.8 else DEATHS if kind < 0.85 else FATES)

    def make_plan(self):
        posts, before = len(self.office.world.posts), self.newest()
        plan = self.office.push(dry_run=True, plan=str(self.folder / "plan.json")).plan
        assert (len(self.office.world.posts), self.newest()) == (posts, before), "a plan does nothing"
        self.plan = plan.hash, plan.members

    def approve(self):
        if self.plan:
            self.push(approve=self.plan[0])

    def no_table(self):
        posts = len(self.office.world.posts)
        self.office.sql(f"drop view {self.office.name}")
        with pytest.raises(PendingError):
            self.office.push()
        assert len(self.office.world.posts) == posts
        self.office.sql(self.office.view)

    # What must hold.

    def nobody_twice(self):
        posts = self.office.world.posts
        for pair in self.pairs:
            moments = sorted(moment for whom, moment in posts if whom == pair)
            if self.reenroll == "0":
                mine = {key for *whom, key, action in self.asked if action == "enroll" and _may_mean(whom, pair)}
                assert len(moments) <= len(mine) + self.said[pair], self.newest()
                continue
            soon = sum(later - first < 29 * DAY for first, later in itertools.pairwise(moments))
            assert soon <= self.said[pair], self.newest()

    def final_stays_final(self, before):
        after = self.newest()
        allowed = {"late", "duplicate", "settled", "contradicted", "active_again", "several", "ambiguous"}
        for key, was in before.items():
            now = after.get(key, was)
            if was["state"] not in FINAL or now["event"] <= was["event"] or now["error_code"] in allowed:
                continue
            # only a row that says something else is looked at again, and not sent if its request was sent before
            again = was["error_code"] in {"unasked", "absent"}
            assert now["content_key"] != was["content_key"] or again, (was, now)
            new = was["state"] != "dropped" and (not was["attempt"] or again)
            assert now["state"] == "held" or new, (was, now)

    def one_enrollment_one_request(self):
        newest = [e for e in self.newest().values() if e["state"] == "enrolled" and e["action"] == "enroll"]
        assert len({e["enrollment_id"] for e in newest}) == len(newest)
        for event in newest:
            there = self.office.world.enrollments[event["enrollment_id"]]
            assert pair_of(event) == pair_of(there)

    def sent_as_told(self, paused, approve):
        """Events are numbered; nothing is sent that is paused, or that an approved plan does not have."""
        if not self.office.ledger.exists():
            return
        table = f"{self.office.schema}.push_ledger"
        columns = "request_key, content_key, account_id, sequence_id"
        ((events, numbers),) = self.office.sql(f"select count(*), count(distinct (request_key, event)) from {table}")
        assert events == numbers, "two events of a request have the same number"
        sql = f"select {columns} from {table} where state = 'claimed' and run_id = ?"
        for key, content, account, sequence in self.office.sql(sql, [f"run {self.office.runs}"]):
            assert paused.isdisjoint({"*", f"account {account}", f"sequence {sequence}"})
            assert not approve or self.plan[1].get(short(key)) == short(content)
        sql = (
            f"select e.request_key, o.request_key from {table} as e inner join {table} as o on o.account_id ="
            " e.account_id and o.contact_id = e.contact_id and o.sequence_id = e.sequence_id and o.requested_at >"
            " e.requested_at and o.recorded_at < e.recorded_at and o.run_id <> e.run_id where e.state = 'claimed' and"
            " e.action = 'enroll' and e.run_id = ? and o.action = 'remove' and o.state in ('removed', 'refused') and"
            f" o.event = (select max(event) from {table} as n where n.request_key = o.request_key)"
        )
        assert self.office.sql(sql, [f"run {self.office.runs}"]) == [], "a later request asked for the removal"

    def others_left_alone(self, accounts):
        """A run over some accounts writes nothing about the rows of others."""
        if accounts and self.office.ledger.exists():
            sql = f"select account_id from {self.office.schema}.push_ledger where run_id = ? and account_id is not null"
            written = {account for (account,) in self.office.sql(sql, [f"run {self.office.runs}"])}
            assert written <= set(accounts)

    def told(self, pushed):
        """What waits is the same in the summary, the exit code and the ledger."""
        waits = Counter(standing(e).value for e in self.newest().values())
        assert pushed.as_json()["attention"] == {state: n for state, n in waits.items() if state in WAITS}
        assert pushed.exit_code == 3 or not pushed.attention
        assert pushed.queried == sum(pushed.counts[state] for state in model.COUNTED)

    def everything_ends(self):
        """Left alone with a server that works, all is settled or waits for an operator, who can settle all of it."""
        self.office.world.not_found = 0
        self.resume()
        newest = self._come_to_rest()
        self.the_last_word_counts(newest)
        for _ in range(6):
            waiting = [e for e in newest.values() if standing(e).value in WAITS]
            for event in waiting:
                self.say(Decision.DROP, event)
            newest = self._come_to_rest()
            if not waiting:
                break
        states = {e["state"] for e in newest.values()}
        assert not states & (UNSETTLED | (WAITS - {"duplicate"})), newest
        assert self.push(perfect=True).exit_code == 0, newest

    def _come_to_rest(self):
        newest, before = self.newest(), None
        while newest != before:
            self.pass_time(2000)
            self.push(perfect=True)
            newest, before = self.newest(), newest
        return newest

    def the_last_word_counts(self, newest):
        """A contact whose last row asks for its removal is not active, or somebody is told."""
        columns = "account_id, contact_id, sequence_id, request_id, action, requested_at"
        told = {
            pair_of(e) for e in newest.values() if standing(e).value in WAITS or e["state"] in {"dropped", "refused"}
        }
        for pair in self.pairs:
            rows = [row for row in self.rows(columns) if _may_mean(row[:3], pair)]
            if rows and all(row[5] and None not in row[:3] for row in rows):
                last = max(rows, key=lambda row: row[5])
                if last[4] == "remove" and pair not in told:
                    assert "active" not in self.office.world.status_of(pair), (pair, rows, newest)


def _may_mean(ids, pair):
    return all(one in (None, other) for one, other in zip(ids, pair, strict=True))


def _run(seed, folder, request):
    with contextlib.ExitStack() as stack:
        database = None
        if on_postgres(seed):
            database = stack.enter_context(empty_database(request.getfixturevalue("_postgres_port")))
        schedule = Schedule(seed, folder, database)
        stack.callback(schedule.office.close)
        try:
            schedule.run()
        except BaseException as error:
            raise AssertionError(f"BOAST_SEED={seed} replays it: {error}") from error


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("start", [SEED] if SEED else range(1, SCHEDULES + 1, TOGETHER))
def test_any_order_of_anything_enrolls_nobody_twice_and_loses_nothing(tmp_path, request, start):
    for seed in [start] if SEED else range(start, min(start + TOGETHER, SCHEDULES + 1)):
        _run(seed, tmp_path / str(seed), request)
