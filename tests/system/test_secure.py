"""What docs/secure.md promises and no other test shows: modes of files, hosts, a person who is deleted."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.support.python import AS_A_USER, STANDARD
from tests.support.webhook import webhook

ROOT = Path(__file__).parents[2]
SECURE = (ROOT / "docs" / "secure.md").read_text(encoding="utf-8")
# by file: how the row of the table begins, and the mode with the umask 022 that most users have
MODES = {
    "boast.duckdb": ("| the warehouse, with DuckDB | all | your umask", 0o644),
    "boast_published.duckdb": ("| published copy, `sources.boast.publish_path` |", 0o444),
    "boast_report.html": ("| report | ids and counts | your umask", 0o644),
    "tokens.json": ("| token store | tokens | 0600", 0o600),
}
LISTENING = """
import os, sys
def listen(event, given):
    if event in {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}:
        where = given[1] if event in {"socket.connect", "socket.sendto"} else given[:2]
        with open(os.environ["ASKED"], "a") as file:
            file.write(f"{where!r}\\n")
sys.addaudithook(listen)
"""


@pytest.fixture
def home(sandbox, workplace):
    """A folder with all that a night may write, and the environment of a night in it."""
    workplace.use_oauth(sandbox(enrollments=40))
    mine = {"HOME": str(workplace.folder / "home"), "DLT_DATA_DIR": str(workplace.folder / "state")}
    workplace.env |= mine | {"TMPDIR": str(workplace.folder), "SOURCES__BOAST__REPORT_PATH": "boast_report.html"}
    workplace.env["SOURCES__BOAST__PUBLISH_PATH"] = "boast_published.duckdb"
    return workplace


def night(home, **more):
    command = [sys.executable, "-m", "boast_source", "nightly", "--no-push"]
    umask, env = more.pop("umask", -1), STANDARD | home.env | more
    done = subprocess.run(command, cwd=home.folder, env=env, umask=umask, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_what_a_night_leaves_has_the_modes_of_the_table(home, umask):
    night(home, umask=umask)
    for name, (row, mode) in MODES.items():
        assert f"\n{row}" in SECURE
        assert mode_of(home.folder / name) == mode & ~umask, name
    assert "`boast-<uid>` in the temporary folder (`TMPDIR`) | what a run compares" in SECURE
    assert mode_of(home.folder / f"boast-{os.getuid()}") == 0o700
    made = [path for path in home.folder.rglob("*") if path != home.folder / "home"]
    assert len(made) > 10  # dlt's working folder too
    assert [path for path in made if umask == 0o077 and mode_of(path) & 0o077] == []


def mode_of(path):
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_night_talks_to_the_api_and_the_webhook_and_to_no_other_host(home):
    """All addresses that the night asks for, names and connections, by Python's own audit hook; telemetry's too."""
    (home.folder / "listen").mkdir()
    (home.folder / "listen" / "sitecustomize.py").write_text(LISTENING)
    asked = home.folder / "asked"
    path = os.pathsep.join([str(home.folder / "listen"), AS_A_USER])
    with webhook() as hook:
        night(home, PYTHONPATH=path, ASKED=str(asked), SOURCES__BOAST__WEBHOOK_URL=hook.url)
        night(home, PYTHONPATH=path, ASKED=str(asked), SOURCES__BOAST__BASE_URL=home.env["SOURCES__BOAST__BASE_URL"])
        ports = {re.search(r":(\d+)/", url)[1] for url in (home.env["SOURCES__BOAST__BASE_URL"], hook.url)}
    seen = set(asked.read_text().splitlines())
    assert seen
    assert [line for line in seen if not re.match(rf"\('127\.0\.0\.1', ({'|'.join(ports)})\)", line)] == []


def test_a_person_who_was_deleted_does_not_come_back_with_the_next_load(sandbox, workplace):
    server = sandbox(enrollments=40)
    workplace.use(server)
    assert workplace.boast("load").code == 0
    ((contact,),) = workplace.sql("select contact_id from boast_data.responses limit 1")
    rows = server.api.world.rows
    gone = {"contacts": "id", "responses": "contact_id"}

    def without(account, noun, start, stop):
        found = rows(account, noun, start, stop)
        return [record for record in found if noun not in gone or record[gone[noun]] != contact]

    server.api.world.rows = without
    (statements,) = re.findall(r"```sql\n(delete .*?)```", SECURE, re.DOTALL)
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute(statements.replace("the contact''s id", contact))
    workplace.boast("load")
    for table, column in gone.items():
        assert workplace.sql(f"select count(*) from boast_data.{table} where {column} = '{contact}'") == [(0,)]
