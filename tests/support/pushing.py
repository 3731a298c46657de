"""A real warehouse with pending enrollments, and a sandbox: pushes run in this process and send real HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import duckdb

from boast_source.errors import BoastError
from boast_source.jobs.push import push_job
from boast_source.jobs.requests import requests_job
from boast_source.push.decisions import Choice
from boast_source.push.model import COUNTED
from tests.support.sandbox_client import client_of

COLUMNS = "request_id text, contact_id text, sequence_id text, action text"


@dataclass
class Result:
    """The exit code and the summary that --json would print."""

    code: int
    summary: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """The counts that are not 0, by state."""
        return {state.value: self.summary[state] for state in COUNTED if self.summary.get(state)}


class Pushing:
    """One marketing department: `ask` adds rows to its table, `push` pushes them."""

    def __init__(self, server: Any, folder: Any, database: Any = None, dataset: str = "boast_data") -> None:
        self.server, self.folder, self.database, self.dataset = server, folder, database, dataset
        self.destination = "postgres" if database else "duckdb"
        self.schema = '"' + dataset.replace('"', '""') + '"'
        self.account = server.account_ids[0]
        with client_of(server) as client:
            self.contacts = [record["id"] for record in client.every("contacts")]
            self.sequences = [record["id"] for record in client.every("sequences")]
        self.execute(f"create schema if not exists {self.schema}")
        self.table()

    def execute(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        if self.database:
            with self.database.connection() as connection, connection.cursor() as cursor:
                cursor.execute(sql.replace("?", "%s"), parameters)
                return cursor.fetchall() if cursor.description else []
        with duckdb.connect(str(self.folder / "boast.duckdb")) as connection:
            return connection.execute(sql, parameters).fetchall()

    def table(self, columns: str = COLUMNS, name: str = "pending_enrollments") -> None:
        """Drop and create the pending table."""
        self.execute(f"drop table if exists {self.schema}.{name}")
        self.execute(f"create table {self.schema}.{name} ({columns})")

    def ask(self, *rows: dict[str, Any], name: str = "pending_enrollments") -> None:
        for row in rows:
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            self.execute(f"insert into {self.schema}.{name} ({names}) values ({marks})", [*row.values()])

    def free_pairs(self, count: int) -> list[dict[str, str]]:
        """Return pairs without any enrollment, of different contacts if there are enough."""
        there = {(e["contact_id"], e["sequence_id"]) for e in self.server.truth().values()}
        every = [(c, s) for s in self.sequences for c in self.contacts if (c, s) not in there]
        assert len(every) >= count
        return [{"contact_id": contact, "sequence_id": sequence} for contact, sequence in every[:count]]

    def enrollment(self, status: str) -> dict[str, Any]:
        """Return an enrollment with this status whose pair has no other enrollment."""
        truth = list(self.server.truth().values())
        pairs = [(e["contact_id"], e["sequence_id"]) for e in truth]
        return next(e for e in truth if e["status"] == status and pairs.count((e["contact_id"], e["sequence_id"])) == 1)

    def push(self, **options: Any) -> Result:
        try:
            pushed = push_job(self.destination, self.dataset, new_ledger=not self.has_ledger, **options)
        except BoastError as error:
            return Result(error.exit_code, error.summary or {}, str(error))
        result = Result(pushed.exit_code, pushed.as_json())
        assert result.summary["queried"] == sum(result.summary[state] for state in COUNTED)
        return result

    @property
    def has_ledger(self) -> bool:
        return bool(self.execute("select 1 from information_schema.tables where table_name = 'push_ledger'"))

    def decide(self, action: str, *keys: str, states: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        choice = Choice(keys=keys, states=states)
        return [one.as_json() for one in requests_job(self.destination, self.dataset, action=action, choice=choice)]

    def states(self) -> dict[str, str]:
        """Return the states by request key, from the view."""
        return dict(self.execute(f"select request_key, state from {self.schema}.push_requests"))

    def fault(self, kind: str, **more: Any) -> None:
        """Add a fault for POSTs."""
        self.server.control("POST", "faults", {"kind": kind, "method": "POST"} | more)

    @property
    def writes(self) -> dict[str, int]:
        """The number of writes that the server carried out, by kind."""
        return self.server.control("GET", "counters")["writes"]

    @property
    def duplicates(self) -> list[Any]:
        return self.server.control("GET", "counters")["duplicates"]
