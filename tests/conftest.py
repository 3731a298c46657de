"""What the tests share: a sandbox over real HTTP, a folder of their own, the command line in real processes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import hypothesis
import pytest

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

from boast_source.sandbox import SandboxOptions
from boast_source.sandbox.server import running
from tests.support.wheel import built

hypothesis.settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("unhurried")

AS_A_USER = str(Path(__file__).parent / "support" / "as_a_user")
DYING = os.pathsep.join([AS_A_USER, str(Path(__file__).parent / "support" / "dying")])
NO_REPORT = {"SOURCES__BOAST__REPORT_PATH": ""}  # for nights about other things: drawing takes as long as all the rest


@pytest.fixture
def sandbox():
    """A factory: `sandbox(enrollments=50, order="updated_desc")` is a running server (see sandbox/server.py)."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(running(SandboxOptions(**options)))


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
    """A folder with an empty HOME, and the environment of commands that run in it."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def use(self, server, **more: str) -> Workplace:
        """Point the commands at a sandbox, with its fixed token."""
        self.env |= server.info["env"] | more
        return self

    def use_oauth(self, server) -> Workplace:
        """Point the commands at a sandbox, with OAuth and a token store in this folder."""
        prefix = "SOURCES__BOAST__CREDENTIALS__"
        keys = ("client_id", "client_secret", "refresh_token", "token_url")
        self.env |= {"SOURCES__BOAST__BASE_URL": server.base_url}
        self.env |= {prefix + key.upper(): server.info[key] for key in keys}
        self.env |= {prefix + "TOKEN_STORE": str(self.folder / "tokens.json")}
        return self

    def start(self, *arguments: str, **env: str) -> subprocess.Popen:
        inherited = {key: os.environ[key] for key in ("PATH", "LANG", "SYSTEMROOT") if key in os.environ}
        mine = {"HOME": str(self.folder / "home"), "DLT_DATA_DIR": str(self.folder / "state"), "PYTHONPATH": AS_A_USER}
        return subprocess.Popen(
            [sys.executable, "-m", "boast_source", *arguments],
            cwd=self.folder,
            env=inherited | mine | self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def boast(self, *arguments: str, **env: str) -> Done:
        return finish(self.start(*arguments, **env))

    def sql(self, query: str) -> list[tuple]:
        with duckdb.connect(str(self.folder / "boast.duckdb"), read_only=True) as connection:
            return connection.execute(query).fetchall()


def finish(process: subprocess.Popen, timeout: float = 120) -> Done:
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Done(process.returncode, out, err)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    return built(tmp_path_factory.mktemp("dist"))


@pytest.fixture
def workplace(tmp_path) -> Workplace:
    (tmp_path / "home").mkdir()
    return Workplace(tmp_path)


def stored(workplace: Workplace) -> dict[str, dict]:
    """The enrollments of the warehouse by id, in the API's spelling."""
    rows = workplace.sql(
        "select id, contact_id, sequence_id, response_id, status, account_id,"
        " strftime(created_at, '%Y-%m-%dT%H:%M:%S.%g') || 'Z', strftime(updated_at, '%Y-%m-%dT%H:%M:%S.%g') || 'Z'"
        " from boast_data.sequence_enrollments where missing_since is null"
    )
    names = ("id", "contact_id", "sequence_id", "response_id", "status", "account_id", "created_at", "updated_at")
    return {row[0]: dict(zip(names, row, strict=True)) for row in rows}
