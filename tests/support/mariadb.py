"""A real MariaDB for tests: the installed server (Debian's mariadb-server) on a free loopback port."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.support.postgres import UNPRIVILEGED, free_port
from tests.support.waiting import PATIENCE

DATABASE = "boast"


def is_installed() -> bool:
    return bool(shutil.which("mariadbd") and shutil.which("mariadb-install-db"))


@contextlib.contextmanager
def serving():
    """Start a server, wait until it answers, yield its port; stop it and delete its folder. Root has no password."""
    folder = Path(tempfile.mkdtemp(prefix="boast-maria-"))
    drop = {"user": UNPRIVILEGED, "extra_groups": []} if os.geteuid() == 0 else {}
    if drop:
        shutil.chown(folder, UNPRIVILEGED)
    data, port, socket = folder / "data", free_port(), folder / "socket"
    own = os.environ | {"TMPDIR": str(folder)}  # a starting server deletes other servers' files from a shared one
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, "env": own, **drop}
    install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"]
    given = [
        f"--datadir={data}",
        f"--port={port}",
        f"--socket={socket}",
        "--bind-address=127.0.0.1",
        f"--pid-file={folder}/pid",
    ]
    try:
        told = quiet | {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        made = subprocess.run([*install, "--skip-test-db"], **told, text=True, check=False)
        assert made.returncode == 0, made.stdout
        quick = ["--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", "--skip-name-resolve"]
        quick += ["--character-set-server=utf8mb4"]
        with subprocess.Popen(["mariadbd", "--no-defaults", *given, *quick], **quiet) as server:
            try:
                _wait(server, port)
                yield port
            finally:
                server.terminate()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def load_time_zones(port: int) -> None:
    """Load the system's named time zones into the server, as an administrator would."""
    zones = subprocess.run(["mariadb-tzinfo-to-sql", "/usr/share/zoneinfo"], capture_output=True, check=True)
    client = [
        "mariadb",
        "--no-defaults",
        "--protocol=tcp",
        "--host=127.0.0.1",
        f"--port={port}",
        "--user=root",
        "mysql",
    ]
    subprocess.run(client, input=zones.stdout, capture_output=True, check=True)


def connect(port: int):
    import pymysql  # noqa: PLC0415 -- in the environment of `make test-warehouses` only

    return pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True)


def _wait(server: subprocess.Popen, port: int) -> None:
    import pymysql  # noqa: PLC0415

    end = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(pymysql.OperationalError), connect(port) as connection, connection.cursor() as cursor:
            cursor.execute(f"create database if not exists {DATABASE}")
            return
        time.sleep(0.05)
    raise RuntimeError("MariaDB does not start")
