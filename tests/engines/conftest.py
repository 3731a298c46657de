"""Tests of the schedulers' definitions. They need the engines, which live in environments of their own:

`make test-airflow`, `test-dagster`, `test-dbt`, `test-kubernetes` and `test-site` make those and say by `BOAST_ENGINE`
and `BOAST_ENGINE_PYTHON` which one it is; `make test-docker` needs a Docker engine, `make test-install` nothing. The
engine runs in a process of its own and finds the command `boast` on its PATH, as it does for users.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ENGINE = os.environ.get("BOAST_ENGINE")
ROOT = Path(__file__).parents[2]

ENGINES = ("airflow", "dagster", "dbt", "docker", "install", "kubernetes", "site")

collect_ignore = [f"test_{engine}.py" for engine in ENGINES if engine != ENGINE]


@pytest.fixture
def engine(workplace, postgres):
    """`engine(server, script, definitions, edits, *arguments)`: what a script printed last, run by its Python.

    It finds a copy of the definitions in its working folder, edited as a user would: {line's beginning: new line}.
    """

    def run(server, script, definitions, edits, *arguments, **env):
        workplace.use(server, **postgres.env)
        (workplace.folder / definitions.name).write_text(edited(definitions.read_text(), edits))
        inherited = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "LANG": "C.UTF-8"}
        mine = {"HOME": str(workplace.folder / "home"), "DLT_DATA_DIR": str(workplace.folder / "state")}
        done = subprocess.run(
            [os.environ["BOAST_ENGINE_PYTHON"], str(Path(__file__).with_name(script)), *arguments],
            cwd=workplace.folder,
            env=inherited | mine | workplace.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-8000:]
        assert server.access_token not in done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def edited(text, edits):
    lines = text.splitlines(keepends=True)
    for start, line in edits.items():
        (place,) = [place for place, old in enumerate(lines) if old.startswith(start)]
        lines[place] = f"{line}\n"
    return "".join(lines)
