"""Run the `sh` blocks of a page of docs/ in order, in one shell; the first one starts the sandbox."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.postgres import free_port
from tests.support.python import STANDARD
from tests.support.waiting import PATIENCE
from tests.support.wheel import ROOT

UP = "until [ -s sandbox.json ]; do sleep 0.1; done\n"


def text_of(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def done(page: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the page; the shell stops at the first command that fails."""
    blocks = re.findall(r"```sh\n(.*?)```", text_of(page), re.DOTALL)
    script = "set -e\ntrap 'kill %1' EXIT\n" + blocks[0] + UP + "\n".join(blocks[1:])
    own = {"HOME": str(folder / "home"), "DLT_DATA_DIR": str(folder / "state")}
    own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), STANDARD["PATH"]])
    found = subprocess.run(
        ["bash", "-c", script.replace("8800", str(free_port()))],
        cwd=folder,
        env=STANDARD | own | env,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found
