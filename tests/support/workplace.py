"""A folder in which to run the command line as a user does, and the results."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from boast_source.sandbox import SandboxOptions
from boast_source.sandbox.server import running
from tests.support.python import AS_A_USER, DIES, STANDARD, Process, start
from tests.support.waiting import PATIENCE, last_words

DYING = os.pathsep.join([AS_A_USER, DIES])
NO_REPORT = {"SOURCES__BOAST__REPORT_PATH": ""}  # for nights about other things: drawing takes as long as the rest


@dataclass
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Workplace:
    """A folder with an empty HOME, and the environment of the commands that run in it."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def use(self, server, **more: str) -> Workplace:
        """Let the commands use a sandbox, with its fixed token."""
        self.env |= server.info["env"] | more
        return self

    def use_oauth(self, server) -> Workplace:
        """Let the commands use a sandbox, with OAuth and a token store in this folder."""
        prefix = "SOURCES__BOAST__CREDENTIALS__"
        keys = ("client_id", "client_secret", "refresh_token", "token_url")
        self.env |= {"SOURCES__BOAST__BASE_URL": server.base_url}
        self.env |= {prefix + key.upper(): server.info[key] for key in keys}
        self.env |= {prefix + "TOKEN_STORE": str(self.folder / "tokens.json")}
        return self

    def start(self, *arguments: str, **env: str) -> Process:
        """Start `boast ARGUMENTS`, forked from a process that has imported everything, or spawned (see `python.py`)."""
        mine = {"HOME": str(self.folder / "home"), "DLT_DATA_DIR": str(self.folder / "state")}
        given = STANDARD | mine | self.env | env
        return start(["-m", "boast_source", *arguments], cwd=self.folder, env=given)

    def boast(self, *arguments: str, **env: str) -> Done:
        return finish(self.start(*arguments, **env))

    def sql(self, query: str) -> list[tuple]:
        with duckdb.connect(str(self.folder / "boast.duckdb"), read_only=True) as connection:
            return connection.execute(query).fetchall()


@contextlib.contextmanager
def shared(folder: Path, **options: Any):
    """Yield a workplace with a sandbox, for all tests of a module that read the same load."""
    (folder / "home").mkdir()
    with running(SandboxOptions(**options)) as server:
        yield Workplace(folder).use(server)


def finish(process: Process, timeout: float = PATIENCE) -> Done:
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{last_words(process)}") from None
    return Done(process.returncode, out, err)


def stop(process: Process, number: int) -> float:
    """Stop a command with a signal; check that it ends as stopped, and return after how many seconds."""
    began = time.monotonic()
    process.send_signal(number)
    done = finish(process)
    took = time.monotonic() - began
    assert done.code == 3, done.err
    assert "Stopped before it was done" in done.err
    return took


def stored(workplace: Workplace) -> dict[str, dict]:
    """Return the warehouse's enrollments by id, as the API spells them."""
    rows = workplace.sql(
        "select id, contact_id, sequence_id, response_id, status, account_id,"
        " strftime(created_at, '%Y-%m-%dT%H:%M:%S.%g') || 'Z', strftime(updated_at, '%Y-%m-%dT%H:%M:%S.%g') || 'Z'"
        " from boast_data.sequence_enrollments where missing_since is null"
    )
    names = ("id", "contact_id", "sequence_id", "response_id", "status", "account_id", "created_at", "updated_at")
    return {row[0]: dict(zip(names, row, strict=True)) for row in rows}
