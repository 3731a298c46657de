"""`dlt init boast duckdb --location CLONE` makes a project that loads and verifies."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.python import STANDARD
from tests.support.waiting import PATIENCE
from tests.support.wheel import ROOT


def test_dlt_init_makes_a_project_of_the_clone_that_loads_and_verifies(sandbox, workplace):
    clone, project = workplace.folder / "clone", workplace.folder / "project"
    shutil.copytree(ROOT / "sources", clone / "sources", ignore=shutil.ignore_patterns("__pycache__"))
    project.mkdir()
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "all"]):
        subprocess.run(["git", *command], cwd=clone, check=True)
    env = STANDARD | {"HOME": str(workplace.folder / "home"), "DLT_DATA_DIR": str(workplace.folder / "state")}
    env |= sandbox(enrollments=30).info["env"] | {"RUNTIME__DLTHUB_TELEMETRY": "false"}

    def run(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=project,
            env=env,
            input="y\n" * 5,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(str(Path(sys.executable).with_name("dlt")), "init", "boast", "duckdb", "--location", str(clone))
    assert "access_token" in (project / ".dlt" / "secrets.toml").read_text()
    (project / ".dlt" / "secrets.toml").unlink()  # here the token is in the environment
    assert "verified: covered" in run(sys.executable, "boast_pipeline.py")
