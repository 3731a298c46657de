"""docs/schedule.md and docs/outgrow.md: they name every shipped file, and their commands do what they say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.support.stored_in_postgres import counts, listed, stored

ROOT = Path(__file__).parents[2]
DOCS = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("schedule", "outgrow")}
MADE = {"requirements.in", "requirements.lock"}


def lines(text):
    return [line for block in re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL) for line in block.splitlines()]


def test_every_shipped_file_is_named_and_every_named_file_is_there():
    named = {(ROOT / "docs" / found).resolve() for text in DOCS.values() for found in re.findall(r"\]\(([^)#]+)", text)}
    assert all(path.exists() for path in named), named
    folders = [folder for folder in (ROOT / "pipelines").iterdir() if folder.is_dir() and folder.name != "__pycache__"]
    shipped = {path.resolve() for folder in folders for path in folder.iterdir() if path.is_file()}
    assert {path for path in shipped if path.name not in MADE} <= named


def test_the_health_check_of_the_schedule_is_silent_about_nothing(sandbox, workplace):
    workplace.use(sandbox(enrollments=20))
    (command,) = lines(DOCS["schedule"])
    assert workplace.boast(*shlex.split(command)[1:]).code == 1
    workplace.boast("load")
    assert workplace.boast(*shlex.split(command)[1:]).code == 0


def test_all_accounts_in_four_processes(sandbox, workplace, postgres):
    server = sandbox(enrollments=300, accounts=6)
    workplace.use(server, **postgres.env)
    prepare, spread = lines(DOCS["outgrow"])
    assert workplace.boast(*shlex.split(prepare)[1:]).out.split() == server.account_ids
    env = workplace.env | {"HOME": str(workplace.folder / "home"), "DLT_DATA_DIR": str(workplace.folder / "state")}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for _ in range(2):
        done = subprocess.run(
            ["sh", "-c", spread], cwd=workplace.folder, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert stored(postgres) == listed(server)
        server.control("POST", "mutate", {"update": 20, "insert": 5})
    assert counts(postgres, "sequence_enrollments_history", "version_key") == (325, 325)
    assert postgres.sql("select status, count(*) from boast_data.runs where command = 'load' group by 1") == [
        ("ok", 12)
    ]
    last = workplace.boast("nightly", "--destination", "postgres", "--json")  # what the page says of the last task
    assert (last.code, last.json["load"]["status"]) == (0, "ok"), last.err
    assert stored(postgres) == listed(server)
    assert (workplace.folder / "boast_report.html").exists()
