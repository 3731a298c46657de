"""docs/runbook.md, done to the letter in one shell."""

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


def test_every_example_of_the_runbook_ends_with_the_exit_code_that_it_is_about(workplace):
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    up = "until [ -s sandbox.json ]; do sleep 0.1; done\n"
    script = "set -e\ntrap 'kill %1' EXIT\n" + blocks[0] + up + "\n".join(blocks[1:])
    script = script.replace("8800", str(free_port()))
    env = STANDARD | {"HOME": str(workplace.folder / "home"), "DLT_DATA_DIR": str(workplace.folder / "state")}
    env |= {"PATH": os.pathsep.join([str(Path(sys.executable).parent), STANDARD["PATH"]])}
    env |= {"SOURCES__BOAST__REPORT_PATH": ""}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=workplace.folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^exit code (\d)$", done.stdout, re.MULTILINE) == ["1", "2", "3"]
    assert re.search(r"^order-1 +invalid ", done.stdout, re.MULTILINE)
    for customer in ("acme", "globex"):
        assert (workplace.folder / customer / "boast.duckdb").exists()
        assert (workplace.folder / customer / "state").is_dir()
    headings = re.findall(r"^## Exit code (\d)", text, re.MULTILINE)
    assert headings == ["0", "1", "2", "3", "4"]
