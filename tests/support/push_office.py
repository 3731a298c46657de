"""A marketing department in one process: pending rows, pushes with a real ledger and warehouse, a model of the API.

Time passes by moving the ledger's times into the past. Listings and answers are written into the warehouse by hand
here: with real loads, thousands of pushes would take hours.
"""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import dlt
import duckdb
import pyarrow as pa

from boast_source.config import PushSettings
from boast_source.listing.report import ListReport
from boast_source.load.result import Loaded
from boast_source.push import rehearse as push_rehearse
from boast_source.push import run as push_run
from boast_source.push.decisions import Choice, chosen, decide_on
from boast_source.push.ledger import TABLE, Ledger
from boast_source.push.result import Pushed, PushOptions
from boast_source.runs.record import ensure_table
from boast_source.warehouse import warehouse_of
from boast_source.warehouse.duckdb import duckdb as duckdb_file
from boast_source.warehouse.postgres import postgres
from tests.support.push_world import ACCOUNT, World

ROWS = "request_id text, account_id text, contact_id text, sequence_id text, action text, enrollment_id text"
ROWS += ", requested_at text, email text, mobile_phone text, sequence_name text"
ENROLLMENTS = "id text, account_id text, contact_id text, sequence_id text, status text"
ENROLLMENTS += ", created_at timestamptz, updated_at timestamptz, missing_since timestamptz"
PEOPLE = {
    "contacts": "id text, account_id text, email text, mobile_phone text",
    "sequences": "id text, account_id text, name text",
}


class Office:
    """`accounts`: the API's accounts; `view`: the query of the pending view, with `{asked}` and
    `{sequence_enrollments}`; `settings`: PushSettings of every push. Call `close` at the end.
    """

    def __init__(
        self,
        folder: Any,
        *,
        database: Any = None,
        dataset: str = "boast_data",
        table: str = "pending_enrollments",
        view: str = "select * from {asked}",
        accounts: tuple[str, ...] = (ACCOUNT,),
        world: World | None = None,
        **settings: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.world, self.accounts, self.table = world or World(), accounts, table
        self.settings = PushSettings(**({"settle_after": 600.0, "pending_table": table} | settings))
        self.schema = '"' + dataset.replace('"', '""') + '"'
        self.database, self.runs, self.seen = database, 0, set()
        self.warehouse = None if database else duckdb.connect(str(folder / "w.duckdb"))
        names = {"enable_dataset_name_normalization": False}
        destination: Any = (
            postgres(database.url(), **names) if database else duckdb_file(str(folder / "w.duckdb"), **names)
        )
        self.pipeline = dlt.pipeline(
            "boast", destination=destination, dataset_name=dataset, pipelines_dir=str(folder / "p")
        )
        self.sql(f"create schema {self.schema}")
        self.sql(f"create table {self.schema}.asked ({ROWS})")
        self.sql(f"create table {self.schema}.sequence_enrollments ({ENROLLMENTS})")
        tables = {name: f"{self.schema}.{name}" for name in ("asked", "sequence_enrollments")}
        self.view = f"create view {self.name} as {view.format(**tables)}"
        self.sql(self.view)
        self.stack = contextlib.ExitStack()
        self.place = self.stack.enter_context(warehouse_of(self.pipeline).open(patience=1))
        self.ledger = Ledger(self.place)
        ensure_table(self.place)

    @property
    def name(self) -> str:
        return f'{self.schema}."{self.table}"'

    def close(self) -> None:
        self.stack.close()
        if self.warehouse:
            self.warehouse.close()

    def sql(self, statement: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        if self.warehouse:
            return self.warehouse.execute(statement, parameters).fetchall()
        with self.database.connection() as connection, connection.cursor() as cursor:
            cursor.execute(statement.replace("?", "%s") if parameters else statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def ask(self, *rows: dict[str, Any]) -> None:
        for row in rows:
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            self.sql(f"insert into {self.schema}.asked ({names}) values ({marks})", [*row.values()])

    def push(
        self,
        *fates: str,
        exact: bool = True,
        again: bool = True,
        unreadable: tuple[str, ...] = (),
        rng: random.Random | None = None,
        **options: Any,
    ) -> Pushed:
        """Push once. `exact`: two passes agree; if not, the one pass may miss what was never listed before. `again`:
        reading back after sending works. `unreadable`: accounts whose listing fails.
        """
        self.world.fates = list(fates)
        self.runs += 1
        passes = iter([True, again, again])

        def load(*_: Any, **__: Any) -> Loaded:
            fine = next(passes)
            self.list(exact=exact, rng=rng)
            mine = options.get("accounts") or self.accounts
            sure = "exact" if exact else "covered"
            reports = [ListReport(account, "sequence_enrollments", verified=sure) for account in mine]
            for report in reports:
                if report.account_id in unreadable or not fine:
                    report.error = "not listed"
            return Loaded(reports, 0)

        defaults = {"accounts": None, "pending_table": self.table, "max_sends": 1000, "workers": 1}
        asked = PushOptions(**(defaults | {"request_timeout": 60.0} | options))
        first = not self.ledger.exists() and not self.ledger.count("sends_of_runs") and not asked.accept_ledger
        asked = replace(asked, new_ledger=asked.new_ledger or first)
        run_id = f"run {self.runs}"
        quiet = {"on_note": lambda _: None, "on_progress": lambda _: None}
        with (
            patch.object(push_run, "load_held", load),
            patch.object(push_run, "store", lambda *_: None),
            patch.object(push_run, "create_views", lambda *_: None),
            patch.object(push_rehearse, "listing_of", lambda *_: self._looked_at()),
        ):
            place = warehouse_of(self.pipeline) if self.database else self.place
            pushed = push_run.push(place, self.world, self.settings, asked, run_id, **quiet)  # type: ignore[arg-type]
        if not asked.dry_run:
            self.sql(f"insert into {self.schema}.runs (run_id, sent) values (?, ?)", [run_id, pushed.tallies()["sent"]])
        return pushed

    def _looked_at(self) -> Any:
        """Return a listing for a dry run."""

        def listed(shape: Any, columns: tuple[str, ...]) -> list[pa.Table]:
            if shape.name in PEOPLE:
                there = self.sql("select 1 from information_schema.tables where table_name = ?", [shape.name])
                rows = self.sql(f"select {', '.join(columns)} from {self.schema}.{shape.name}") if there else []
                shown = [dict(zip(columns, row, strict=True)) for row in rows]
            else:
                shown = self.world.listed()
            return [pa.table({c: pa.array([e.get(c) for e in shown], pa.string()) for c in columns})]

        return SimpleNamespace(
            prepare=_nothing, accounts=lambda: list(self.accounts), listed=listed, close=_nothing, reports=[]
        )

    def list(self, *, exact: bool = True, rng: random.Random | None = None) -> None:
        """Store what the API lists."""
        shown = self.world.listed()
        if not exact and rng:
            shown = [e for e in shown if e["id"] in self.seen or rng.random() < 0.7]
        self.seen |= {e["id"] for e in shown}
        self.sql(f"delete from {self.schema}.sequence_enrollments where missing_since is null")
        names = ("id", "account_id", "contact_id", "sequence_id", "status", "created_at", "created_at")
        if shown:
            marks = ", ".join(["(?, ?, ?, ?, ?, ?, ?, null)"] * len(shown))
            values = [e[name] for e in shown for name in names]
            self.sql(f"insert into {self.schema}.sequence_enrollments values {marks}", values)

    def vanish(self, key: str) -> None:
        """Remove an enrollment from the API and mark it as missing in the warehouse."""
        gone = self.world.enrollments.pop(key)
        names = ("id", "account_id", "contact_id", "sequence_id", "status")
        self.sql(
            f"insert into {self.schema}.sequence_enrollments ({', '.join(names)}, missing_since)"
            " values (?, ?, ?, ?, ?, current_timestamp)",
            [gone[name] for name in names],
        )

    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)
        if self.ledger.exists():
            change = f"recorded_at = recorded_at - interval '{int(seconds)}' second"
            self.sql(f"update {self.schema}.{TABLE} set {change}")

    def decide(self, decision: str, *keys: str) -> None:
        events = chosen(self.ledger, decision, Choice(keys=keys))
        decide_on(self.ledger, decision, events, "operator")

    def waiting(self) -> dict[str, int]:
        """Return the number of requests that wait for an operator, by state."""
        return {state.value: count for state, count in self.ledger.waiting().items()}

    def newest(self) -> dict[str, dict[str, Any]]:
        """Return the newest event of each request, by key."""
        names = "request_key, content_key, account_id, contact_id, sequence_id, action, state, event, attempt"
        names += ", enrollment_id, error_code, error_detail"
        rows = self.sql(
            f"select {names} from (select *, row_number() over (partition by request_key order by event desc) as place"
            f" from {self.schema}.{TABLE}) as ranked where place = 1 and request_key not like ' %'"
        )
        return {row[0]: dict(zip(names.split(", "), row, strict=True)) for row in rows}

    def states(self) -> dict[str, str]:
        return {key: event["state"] for key, event in self.newest().items()}


def _nothing(*_: Any) -> None:
    pass
