"""Make the fixture of tests/system/test_upgrade.py: what an older version leaves in a warehouse and a working folder.

    git worktree add ../v0.1.0 ccda0d4      # version 0.1.0; install it there into .venv
    python -m tests.support.make_upgrade_fixture ../v0.1.0

The old version's command line loads twice with changes in between, pushes twice to a failing server, and loads once
more. The fixture has the warehouse (a DuckDB file, a Postgres dump), dlt's working folder, each list of the API at the
end, and the old version's result after one more change (`next`). All people in it are made up.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import re
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import duckdb

from tests.support import postgres
from tests.support.upgrade import FIXTURE, FOLDER, LISTS, STATES, VERSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

SANDBOX = ("--port", "0", "--enrollments", "90", "--seed", "14", "--accounts", "2")
STORAGE = "storage_version 'v1.2.0', block_size 16384"  # small, and readable by every supported DuckDB
NOISE = re.compile(r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*|)\n", re.MULTILINE)
NOBODY = "00000000-0000-4000-8000-000000000000"


class Old:
    """The old version's command line in a separate folder, and the warehouse it writes to."""

    def __init__(self, python: Path, folder: Path, server: dict[str, Any], database: postgres.Database | None) -> None:
        self.python, self.folder, self.server, self.database = python, folder, server, database
        self.kind = "postgres" if database else "duckdb"
        if database is None:
            with duckdb.connect() as connection:
                connection.execute(f"attach '{folder / 'boast.duckdb'}' as boast ({STORAGE})")

    def boast(self, *arguments: str, code: int = 0, **more: str) -> Any:
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home"), "RUNTIME__DLTHUB_TELEMETRY": "false"}
        env |= {"DLT_DATA_DIR": str(self.folder / "state"), "SOURCES__BOAST__REPORT_PATH": ""}
        env |= self.server["env"] | (self.database.env if self.database else {}) | more
        command = [self.python, "-m", "boast_source", *arguments, "--destination", self.kind, "--json"]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stderr}"
        return json.loads(done.stdout)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        if self.database:
            return self.database.sql(query)
        with duckdb.connect(str(self.folder / "boast.duckdb")) as connection:
            return connection.execute(query).fetchall()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkout", type=Path, help="a checkout of the old version, with its .venv")
    checkout = parser.parse_args().checkout.resolve()
    package = postgres.found_package()
    assert package, "no Postgres is installed"
    FIXTURE.mkdir(exist_ok=True)
    with postgres.serving(package) as port, postgres.empty_database(port) as database:
        for chosen in (None, database):
            with tempfile.TemporaryDirectory() as folder, served(checkout) as server:
                make(Old(checkout / ".venv" / "bin" / "python", Path(folder), server, chosen))


def make(old: Old) -> None:
    """Run the old version and store what it leaves."""
    old.boast("load")
    vanished = control(old, "mutate", {"update": 6, "insert": 4, "delete": 3})["deleted"]
    edited = [record["id"] for record in truth(old)[:3]]
    control(old, "mutate", {"edits": [{"id": edited[0], "set": {"note": "called", "scores": [1, {"of": 5}]}}]})
    control(old, "mutate", {"update": 2, "touch": False, "restore_ids": vanished[:1]})
    old.boast("load")
    push(old)
    old.boast("load")
    if old.database:
        packed("postgres.sql.gz", dump(old.database).encode())
    else:
        packed("boast.duckdb.gz", (old.folder / "boast.duckdb").read_bytes())
    packed(f"{old.kind}.state.tar.gz", working_folder(old))
    kept = {"lists": lists(old)}
    control(old, "mutate", {"update": 5, "insert": 2, "delete": 2, "edits": [{"id": edited[0], "set": {"note": None}}]})
    control(old, "mutate", {"edits": [{"id": edited[1], "set": {"extra": True}}], "restore_ids": vanished[1:2]})
    last = {key for (key, *_) in old.sql(VERSIONS)}
    old.boast("load")
    kept |= {"next": lists(old), "versions": [row for row in old.sql(VERSIONS) if row[0] not in last]}
    packed(f"{old.kind}.lists.json.gz", json.dumps(kept, separators=(",", ":")).encode())


def push(old: Old) -> None:
    """Push twice: a request of each final state, a held one, and two without an answer; the server carries out one."""
    account, found = old.server["account_ids"][0], lists(old)
    there = {(record["contact_id"], record["sequence_id"]) for record in truth(old)}
    sequence = found[f"{account}/sequences"][0]["id"]
    free = [r["id"] for r in found[f"{account}/contacts"] if (r["id"], sequence) not in there]
    active, ended = [r for r in truth(old) if r["status"] == "active" and r["account_id"] == account][:2]
    old.sql(
        "create table boast_data.pending_enrollments (request_id text, account_id text, contact_id text,"
        " sequence_id text, action text)"
    )
    ask(old, "enrolled", free[0], sequence)
    ask(old, "refused", free[1], NOBODY)
    ask(old, "dropped", free[2], NOBODY)
    ask(old, "invalid", "nobody", sequence)
    ask(old, "active", active["contact_id"], active["sequence_id"])
    ask(old, "ambiguous", free[3], sequence)
    ask(old, "ambiguous", free[4], sequence)
    ask(old, "removed", ended["contact_id"], ended["sequence_id"], "remove")
    old.boast("push", "--new-ledger", code=3)
    old.boast("requests", "drop", "dropped")
    made = next(r["id"] for r in truth(old) if (r["contact_id"], r["sequence_id"]) == (free[0], sequence))
    control(old, "mutate", {"edits": [{"id": made, "set": {"status": "completed"}, "touch": True}]})
    ask(old, "repeat", free[0], sequence)
    ask(old, "unclear-1", free[5], sequence)
    ask(old, "unclear-2", free[6], sequence)
    late = {"kind": "hold_then_act", "seconds": 20, "method": "POST", "times": 1}
    control(old, "faults", [late, {"kind": "error_before_write", "method": "POST", "times": 1}])
    writes = counted(old)
    old.boast("push", code=3, SOURCES__BOAST__REQUEST_TIMEOUT="1")
    assert counted(old) == writes, "the late write came before the push was over: this machine is too slow"
    end = time.monotonic() + 60
    while counted(old) == writes:
        assert time.monotonic() < end
        time.sleep(0.1)
    states = dict(old.sql("select request_key, state from boast_data.push_requests"))
    assert states == STATES, states


def ask(old: Old, key: str, contact: str, sequence: str, action: str = "enroll") -> None:
    values = "', '".join((key, old.server["account_ids"][0], contact, sequence, action))
    old.sql(f"insert into boast_data.pending_enrollments values ('{values}')")


@contextlib.contextmanager
def served(checkout: Path) -> Iterator[dict[str, Any]]:
    """Run the old version's sandbox; yield its info for clients."""
    command = [checkout / ".venv" / "bin" / "python", "-m", "boast_source", "sandbox", *SANDBOX]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def fetched(old: Old, url: str, body: Any = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {old.server['access_token']}"}
    with urlopen(Request(url, data=data, headers=headers)) as answer:
        return bytes(answer.read())


def control(old: Old, path: str, body: Any = None) -> Any:
    return json.loads(fetched(old, f"{old.server['control_url']}/{path}", body))


def counted(old: Old) -> int:
    """Return the number of writes that the server carried out."""
    return sum(control(old, "counters")["writes"].values())


def truth(old: Old) -> list[dict[str, Any]]:
    return [json.loads(line) for line in fetched(old, f"{old.server['control_url']}/truth").splitlines()]


def lists(old: Old) -> dict[str, list[dict[str, Any]]]:
    """Return every list of the API by its path below `/accounts/`."""
    found = {"": every(old, "/accounts")}
    for account in old.server["account_ids"]:
        found |= {f"{account}/{noun}": every(old, f"/accounts/{account}/{noun}") for noun in LISTS}
    return found


def every(old: Old, path: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    pages = number = 1
    while number <= pages:
        page = json.loads(fetched(old, f"{old.server['base_url']}{path}?page={number}"))
        records += page["data"]
        pages, number = page["meta"]["pagination"]["pages"], number + 1
    return records


def working_folder(old: Old) -> bytes:
    """Return what dlt needs of its folder for the next run, as a tar file without paths of this machine."""
    held, state = io.BytesIO(), old.folder / "state"
    with tarfile.open(fileobj=held, mode="w") as tar:
        for path in sorted(state.rglob("*")):
            if "loaded" in path.parts[:-1] or path.name == "trace.pickle":
                continue
            member = tarfile.TarInfo(str(path.relative_to(state)))
            if path.is_dir():
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
                continue
            data = path.read_bytes().replace(str(old.folder).encode(), FOLDER.encode())
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return held.getvalue()


def dump(database: postgres.Database) -> str:
    """Return the database as SQL that psycopg2 can run, without traces of the server it comes from."""
    package = postgres.found_package()
    assert package
    program = postgres.program(package, "pg_dump")
    options = ("--inserts", "--rows-per-insert=200", "--no-owner", "--no-privileges")
    done = subprocess.run([program, *options, database.url()], capture_output=True, text=True, check=True)
    return NOISE.sub("", done.stdout)


def packed(name: str, data: bytes) -> None:
    (FIXTURE / name).write_bytes(gzip.compress(data, mtime=0))


if __name__ == "__main__":
    main()
