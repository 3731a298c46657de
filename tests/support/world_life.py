"""One integer makes a world: a living server, a configuration, a schedule of runs. `live` plays and checks it."""

from __future__ import annotations

import json
import random
import signal
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.python import STANDARD, Process, start
from tests.support.waiting import PATIENCE
from tests.support.world_check import ENROLLMENTS, HISTORY, Ran, check_history, check_list, check_untouched
from tests.support.world_draw import Step, World, configured, drawn
from tests.support.world_push import Office, check_push
from tests.support.world_records import Nature
from tests.support.world_server import LISTS, TOKEN, Living, serving
from tests.support.world_store import Rows, Store
from tests.support.world_views import VIEWS, Model, Version, check_as_of, check_runs, check_views

# the machine's zone is set inside the forked child: see python.py on what a new interpreter costs
CODE = (
    "import os, sys, time, runpy; os.environ['TZ'] = sys.argv.pop(1); time.tzset();"
    "runpy.run_module('boast_source', run_name='__main__', alter_sys=True)"
)


class Life:
    """A world being played."""

    def __init__(self, world: World, folder: Path, base: str, office: Office, database: Any) -> None:
        self.world, self.folder, self.office, self.database = world, folder, office, database
        self.living = office.nature.living
        self.tables: dict[str, Rows] = {}
        self.full_since: dict[Any, int] = {}
        self.since: int | None = None  # the tick at which the first run began that was killed after the last check
        self.versions: dict[str, list[Version]] = {}
        self.snapshots: list[tuple[str, Rows]] = []
        self.machines = 0
        (folder / "home").mkdir(exist_ok=True)
        self.env = STANDARD | {"HOME": str(folder / "home")} | configured(world, folder, base, TOKEN)
        if database:
            self.env |= database.env
        if world.warehouse == "sqlite":
            self.env |= {"DESTINATION__SQLALCHEMY__CREDENTIALS": f"sqlite:///{folder}/boast.db", "PYTHONPATH": ""}

    def start(self, arguments: list[str]) -> Process:
        env = self.env | {"DLT_DATA_DIR": str(self.folder / f"state{self.machines}")}
        return start(["-c", CODE, self.world.zone, *arguments, "--json"], cwd=self.folder, env=env)

    def store(self, *, writes: bool = False) -> Store:
        if self.world.warehouse == "postgres":
            return Store("postgres", self.database.url(), writes=writes)
        if self.world.warehouse == "duckdb":
            return Store("duckdb", str(self.folder / "boast.duckdb"), writes=writes)
        files = [path for path in self.folder.glob("boast__*.db") if "staging" not in path.name]
        return Store("sqlite", str(files[0]) if files else ":memory:")

    def prepared(self, step: Step) -> list[str]:
        """Write the pending table, and return the command line: the first push needs a word."""
        self.office.ask(self.world.accounts, step.asks)
        if self.world.faults is None or step.arguments[0] == "load":
            return step.arguments
        with self.store(writes=True) as store:
            store.execute(self.office.sql(store.schema))
            begun = "push_ledger" in store.names() and store.rows("push_ledger")
        return step.arguments if begun else [*step.arguments, "--new-ledger"]

    def run(self, step: Step) -> None:
        living = self.living
        arguments = self.prepared(step)
        living.delivered.clear()
        living.log.clear()
        self.machines += step.forgets
        begin, began, first = living.tick, time.time(), living.requests
        processes = [self.start(arguments) for _ in range(1 + step.twin)]
        if step.killed:
            while living.requests - first < step.killed and processes[0].poll() is None:
                time.sleep(0.001)
            processes[0].kill()
        ends = []
        for process in processes:
            with process:
                out, err = process.communicate(timeout=PATIENCE)
            ends.append((process.returncode, out, err))
        if step.killed and ends[0][0] == -signal.SIGKILL:
            self.since = begin if self.since is None else self.since
            return
        good = [end for end in ends if end[0] in (0, 3)]
        assert good, f"exit codes {[end[0] for end in ends]}\n{ends[0][2]}\n{ends[0][1]}"
        assert all(end[0] == 4 for end in ends if end not in good), ends
        code, out, err = good[-1]
        ran = Ran(
            arguments=arguments,
            start=begin,
            end=living.tick,
            since=begin if self.since is None else self.since,
            began=began if self.since is None else 0,
            ended=time.time(),
            code=code,
            summary=json.loads(out),
            delivered={} if len(good) > 1 else dict(living.delivered),
            err=err,
            lists={"push": (ENROLLMENTS,), "nightly": LISTS}.get(
                arguments[0], tuple(name for name in self.world.lists if name != "accounts")
            ),
            accounts=tuple(step.accounts or self.world.accounts),
            full_since=dict(self.full_since),
        )
        self.check(ran)

    def check(self, ran: Ran) -> None:
        zone, days = ZoneInfo(self.world.views_zone), set()
        has_views = self.world.warehouse != "sqlite"
        with self.store() as store:
            names = store.names()
            tables = {name: store.rows(name) if name in names else [] for name in (*LISTS, "accounts", HISTORY)}
            days.add(datetime.now(zone).date())
            if has_views:
                check_as_of(store.query, store.schema, self.snapshots)
                views = {name: store.rows(name) for name in VIEWS}
            ledger = store.rows("push_ledger") if "push_ledger" in names else []
            runs = {row["run_id"]: row for row in store.rows("runs")}
            days.add(datetime.now(zone).date())
            ended = datetime.now(timezone.utc)
        ran.record = runs[ran.summary["run_id"]]
        assert (ran.record["exit_code"], ran.record["finished_at"] is not None) == (ran.code, True), ran.record
        if self.office.rows and has_views:
            pushed = ran.summary if ran.arguments[0] == "push" else ran.summary.get("push") or {}
            check_push(self.office, ledger, views["push_requests"], ran.code, pushed, self.world.calm)
        if not (has_views and any(row["attention"] for row in views["push_requests"])):
            doubtful = (ran.summary.get("push") or ran.summary).get("stopped") or any(
                ran.report(account)["verified"] == "failed" for account in ran.accounts
            )
            assert ran.code == (3 if doubtful else 0), f"exit code {ran.code}\n{ran.summary}\n{ran.err}"
        for account in self.world.accounts:
            for name in LISTS:
                old, new, where = self.tables.get(name, []), tables[name], (account, name)
                if account not in ran.accounts or name not in ran.lists:
                    check_untouched(self.living, ran, where, old, new)
                    continue
                check_list(self.living, ran, where, old, new)
                report = ran.report(account)
                if name in report["whole"] or "--full" in ran.arguments or report["verified"] in ("exact", "covered"):
                    self.full_since[where] = ran.start
        check_history(
            self.living, ran, tables[ENROLLMENTS], self.tables.get(HISTORY, []), tables[HISTORY], self.versions
        )
        if has_views:
            check_runs(ran.record, views, tables[ENROLLMENTS], listed=ENROLLMENTS in ran.lists)
            check_views(Model(self.versions, tables, self.world.views_zone), views, days)
        self.tables, self.since = tables, None
        self.snapshots.append((ended.isoformat(), tables[ENROLLMENTS]))


def live(seed: int, folder: Path, database: Any = None) -> None:
    """Play a world and check it after each run. `database()`: a Postgres for the worlds that need one."""
    world = drawn(seed)
    living = Living(world.pages, random.Random(seed + 1))
    nature = Nature(living, random.Random(seed + 2), world.odd)
    nature.populate(world.accounts, world.rows)
    chance, stirring = random.Random(seed + 3), random.Random(seed + 4)

    def stir(_: int) -> None:
        if stirring.random() < world.moving:
            account = stirring.choice(world.accounts)
            nature.change((account, stirring.choice((ENROLLMENTS, ENROLLMENTS, "contacts", "responses"))))

    living.stir = stir
    office = Office(nature, random.Random(seed + 5), world.faults or 0, world.welcomes)
    with serving(living) as base:
        life = Life(world, folder, base, office, database() if world.warehouse == "postgres" else None)
        for number, step in enumerate(world.schedule):
            for _ in range(step.changes):
                lists = LISTS[1:] if world.calm else (*[ENROLLMENTS] * 3, *LISTS)
                nature.change((chance.choice(world.accounts), chance.choice(lists)))
            try:
                life.run(step)
            except AssertionError as error:
                story = "\n".join([*nature.done[-40:], *living.log])
                raise AssertionError(f"{world}\n{story}\nrun {number}: {step}\n{error}") from None
