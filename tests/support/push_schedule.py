"""Random events in a marketing department, drawn from one seed: first its configuration, then one step at a time."""

from __future__ import annotations

import itertools
import random
import uuid
from collections import Counter
from typing import Any

from boast_source.push import controls
from boast_source.push.model import RULES, Control, Decision, State
from tests.support.push_office import PEOPLE, Office
from tests.support.push_world import ACCOUNTS, World

DAY = 86_400.0
ON_POSTGRES = 0.04  # share of the schedules
DATASETS = ["boast_data", "enrollments_prod", "runs_x", 'odd "push_ledger". {final}']
TABLES = ["pending_enrollments", "Wanted", "who, and why?"]
IDS = "request_id, account_id, contact_id, sequence_id, action, enrollment_id, requested_at"
NOT_IN = (
    "select a.* from {asked} as a where a.action = 'remove' or not exists (select 1 from {sequence_enrollments} as e"
    " where e.contact_id = a.contact_id and e.sequence_id = a.sequence_id and e.status = 'active')"
)
VIEWS = [f"select {IDS} from {{asked}}", "select * from {asked}", NOT_IN]  # by ids; by persons too; over a loaded table
POISON: list[dict[str, Any]] = [
    {"action": "dance"},
    {"contact_id": "somebody@example.com"},
    {"account_id": str(uuid.UUID(int=9, version=4))},
    {"contact_id": None},
    {"sequence_id": ""},
    {"enrollment_id": "none", "action": "remove"},
]


def on_postgres(seed: int) -> bool:
    return random.Random(f"warehouse {seed}").random() < ON_POSTGRES


class Steps:
    """The steps of one schedule. Any step may be taken at any time."""

    def __init__(self, seed: int, folder: Any, database: Any = None) -> None:
        self.rng, self.folder = random.Random(seed), folder
        rng = self.rng
        accounts = ACCOUNTS[: rng.choice([1, 1, 2, 3])]
        self.reenroll = rng.choice(["0", "30 days", "30 days"])
        self.restless = rng.random() < 0.1  # two passes over the list never agree
        world = World(lag=rng.choice([0.0, 0.0, 300.0]))
        world.lateness = 500.0 - world.lag
        view = rng.choice(VIEWS)
        self.by_person = view != VIEWS[0]
        self.office = Office(
            folder,
            database=database,
            dataset=rng.choice(DATASETS),
            table=rng.choice(TABLES),
            view=view,
            accounts=tuple(accounts),
            world=world,
            reenroll_after=self.reenroll,
            max_attempts=rng.choice([1, 3, 3]),
            settle_after=rng.choice([600.0, 600.0, 600.0, "never"]),
            max_refusals_in_a_row=rng.choice([2, 25]),
            max_unknowns_in_a_row=rng.choice([2, 10]),
        )
        contact = itertools.count(100)
        self.pairs = [
            (account, str(uuid.UUID(int=next(contact), version=4)), str(uuid.UUID(int=200 + n, version=4)))
            for account in accounts
            for n in range(3 - len(accounts) // 2)
        ]
        if rng.random() < 0.1:
            world.poisoned.add(self.pairs[0][1])
        self._named()
        self.keys = [f"k{n}" for n in range(6)]
        self.said: Counter[tuple[str, ...]] = Counter()  # how often an operator let a pair be sent
        self.times = itertools.count(1)
        # account, contact, sequence (None: given by name or address), request_id, action
        self.asked: set[tuple[str | None, ...]] = set()
        self.kept = False

    def _named(self) -> None:
        """Store the names and addresses of contacts and sequences."""
        office = self.office
        for table, columns in PEOPLE.items():
            office.sql(f"create table {office.schema}.{table} ({columns})")
        for n, (account, contact, sequence) in enumerate(self.pairs):
            person = [contact, account, f"C{n}@example.com", f"+1 555 000{n}"]
            office.sql(f"insert into {office.schema}.contacts values (?, ?, ?, ?)", person)
            office.sql(f"insert into {office.schema}.sequences values (?, ?, ?)", [sequence, account, f"Sequence {n}"])

    # The rows.

    def ask(self) -> None:
        rng = self.rng
        number = rng.randrange(len(self.pairs))
        account, contact, sequence = self.pairs[number]
        row: dict[str, Any] = {"account_id": account, "contact_id": contact, "sequence_id": sequence}
        row["action"] = rng.choice(["enroll", "enroll", "remove"])
        if rng.random() < 0.7:
            key = rng.choice(self.keys)
            row["request_id"] = key if rng.random() < 0.2 else f"{key}-{next(self.times)}"
        if rng.random() < 0.7:
            row["requested_at"] = f"2026-01-01 10:{next(self.times) % 60:02}:00"
        if self.by_person and rng.random() < 0.4:
            row["contact_id"] = contact = None
            row |= rng.choice([{"email": f" c{number}@Example.com"}, {"mobile_phone": f"+1555000{number}"}])
            if rng.random() < 0.5:
                row["sequence_id"] = sequence = None
                row["sequence_name"] = f"sequence {number} "
        elif rng.random() < 0.1:
            row |= rng.choice(POISON)
        self.asked.add((account, contact, sequence, row.get("request_id"), row["action"]))
        self.office.ask(row)

    def take_back(self) -> None:
        for (key,) in self.rng.sample(self.rows("request_id"), 1) if self.rows("request_id") else []:
            self.office.sql(f"delete from {self.office.schema}.asked where request_id = ?", [key])

    def change(self) -> None:
        rows = [key for (key,) in self.rows("request_id") if key]
        if rows:
            pair = self.rng.choice(self.pairs)
            change = "account_id = ?, contact_id = ?, sequence_id = ? where request_id = ?"
            key = self.rng.choice(rows)
            self.asked |= {(*pair, key, action) for action in ("enroll", "remove")}
            self.office.sql(f"update {self.office.schema}.asked set {change}", [*pair, key])

    def move(self) -> None:
        """Change a contact's address, possibly to another contact's; the old one may belong to nobody now."""
        account, contact, _ = self.rng.choice(self.pairs)
        email = f"C{self.rng.randrange(len(self.pairs) + 1)}@example.com"
        self.office.sql(
            f"update {self.office.schema}.contacts set email = ? where id = ? and account_id = ?",
            [email, contact, account],
        )

    def rows(self, columns: str) -> list[tuple[Any, ...]]:
        return self.office.sql(f"select {columns} from {self.office.schema}.asked")

    # Boast, and time.

    def by_hand(self) -> None:
        self.office.world.enroll(self.rng.choice(self.pairs), ours=False)

    def ends(self) -> None:
        active = [key for key, e in self.office.world.enrollments.items() if e["status"] == "active"]
        if active:
            self.office.world.change(self.rng.choice(active), "completed")

    def wait(self) -> None:
        self.pass_time(self.rng.choice([100, 550, 700, 2000, 40 * DAY]))

    def pass_time(self, seconds: float) -> None:
        self.office.pass_time(seconds)
        if self.kept:
            change = f"recorded_at = recorded_at - interval '{int(seconds)}' second"
            self.office.sql(f"update {self.office.schema}.kept_push_ledger set {change}")

    # Operators, and the ledger.

    def decide(self) -> None:
        decision = self.rng.choice(list(Decision))
        newest = self.newest()
        may = [key for key, e in newest.items() if decision in RULES[standing(e)].decisions]
        if decision == Decision.RETRY and self.office.world.late:
            return  # a retry while a write may still take effect is the operator's own risk, not tested here
        if may:
            self.say(decision, newest[self.rng.choice(sorted(may))])

    def say(self, decision: Decision, event: dict[str, Any]) -> None:
        if decision != Decision.DROP:
            self.said[pair_of(event)] += 1
        self.office.decide(decision.value, event["request_key"])

    def pause(self) -> None:
        if self.office.ledger.exists():
            account, _, sequence = self.rng.choice(self.pairs)
            scopes = controls.scopes(*self.rng.choice([((), ()), ((), (account,)), ((sequence,), ())]))
            controls.pause(self.office.ledger, Control.PAUSED, scopes, "operator")

    def resume(self) -> None:
        if self.office.ledger.exists():
            paused = controls.read(self.office.ledger).paused
            controls.pause(self.office.ledger, Control.RESUMED, sorted(paused), "operator")

    def lose(self) -> None:
        """Delete the ledger's events of some or all requests, once nothing is in flight."""
        if not self.office.ledger.exists() or self.rng.random() < 0.5:
            return
        self.pass_time(2000)
        kept = [key for key in self.newest() if self.rng.random() < self.rng.choice([0.0, 0.5])]
        marks = ", ".join("?" * len(kept))
        where = f" where request_key not in ({marks})" if kept else ""
        self.office.sql(f"delete from {self.office.schema}.push_ledger{where}", kept)

    def restore(self) -> None:
        """Swap the ledger with an earlier copy of it, as after a restore; with `runs`, as a second sender would see it.

        Only once nothing is in flight: one sender cannot know what the other has in flight.
        """
        if not self.office.ledger.exists():
            return
        self.pass_time(2000)
        tables = ["push_ledger", "runs"] if self.reenroll != "0" and self.rng.random() < 0.5 else ["push_ledger"]
        for table in ("push_ledger", "runs"):
            now, kept = f"{self.office.schema}.{table}", f"{self.office.schema}.kept_{table}"
            if not self.kept:
                self.office.sql(f"create table {kept} as select * from {now}")
            elif table in tables:
                self.office.sql(f"create table {self.office.schema}.between as select * from {now}")
                self.office.sql(f"delete from {now}")
                self.office.sql(f"insert into {now} select * from {kept}")
                self.office.sql(f"delete from {kept}")
                self.office.sql(f"insert into {kept} select * from {self.office.schema}.between")
                self.office.sql(f"drop table {self.office.schema}.between")
        self.kept = True

    def newest(self) -> dict[str, dict[str, Any]]:
        return self.office.newest() if self.office.ledger.exists() else {}


def standing(event: dict[str, Any]) -> State:
    twice = event["state"] == "enrolled" and event["error_code"] == "duplicate"
    return State.DUPLICATE if twice else State(event["state"])


def pair_of(event: dict[str, Any]) -> tuple[str, ...]:
    return event["account_id"], event["contact_id"], event["sequence_id"]
