"""docs/tutorial.md, done to the letter in one shell."""

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


def test_the_tutorial_runs_to_its_end(workplace):
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"), re.DOTALL)
    up = "until [ -s sandbox.json ]; do sleep 0.1; done\n"
    script = "set -e\ntrap 'kill %1' EXIT\n" + blocks[0] + up + "\n".join(blocks[1:])
    script = script.replace("8800", str(free_port()))
    env = STANDARD | {"HOME": str(workplace.folder / "home"), "DLT_DATA_DIR": str(workplace.folder / "state")}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=workplace.folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "0 enrollments loaded of 300 listed" in done.stdout
    assert len(re.findall(r"^tutorial-\S+ +enrolled ", done.stdout, re.MULTILINE)) == 2
    assert "Nothing needs attention." in done.stdout
    assert workplace.sql("select count(*) from boast_data.push_ledger where state = 'enrolled'") == [(2,)]
    assert (workplace.folder / "boast_report.html").exists()
