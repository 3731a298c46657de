"""The README's way to install the connector, to the letter: from a tag of a repository, into an empty home."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from boast_source.install import INSTALL
from tests.engines.conftest import ROOT

TAG = INSTALL.rpartition("@")[2].strip('"')


def test_the_readmes_lines_install_the_command_with_charts_and_sandbox(tmp_path):
    repository, home = tmp_path / "boast-source.git", tmp_path / "home"
    git = ["git", "--git-dir", str(repository), "--work-tree", str(ROOT), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (
        ["init", "-q", "--bare", str(repository)],
        [*git[1:], "add", "-A"],
        [*git[1:], "commit", "-qm", "a"],
    ):
        subprocess.run(["git", *command], cwd=ROOT, check=True)
    subprocess.run([*git, "tag", TAG], check=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text(f'#!/bin/sh\nexec "{sys._base_executable}" "$@"\n')
    (tmp_path / "bin" / "python3").chmod(0o755)
    part = (ROOT / "README.md").read_text().split("## Use it with your account")[1]
    lines = re.search(r"```console\n(.*?)```", part, re.DOTALL)[1]
    assert INSTALL in lines.splitlines()
    script = f"{lines.replace('REPOSITORY', f'file://{repository}')}boast --version\nboast demo --enrollments 60\n"
    home.mkdir()
    env = {"HOME": str(home), "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    env |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    done = subprocess.run(
        ["sh", "-ec", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"boast, version {TAG[1:]}\n" in done.stdout
    assert "<svg" in (home / "boast" / "boast-demo" / "boast_report.html").read_text()
