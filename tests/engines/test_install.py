"""The README's two beginnings, to the letter: from a clone to the first answer, and from a tag to the command.

Both start with an empty home, so everything is fetched from the package index.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from boast_source.install import INSTALL
from tests.engines.conftest import ROOT

TAG = INSTALL.rpartition("@")[2].strip('"')
LIMIT = 600  # seconds


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository with what is here, tagged as this version."""
    bare = tmp_path_factory.mktemp("server") / "boast-source.git"
    subprocess.run(["git", "init", "-q", "--bare", bare], check=True)
    git = ["git", "--git-dir", bare, "--work-tree", ROOT, "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["add", "-A"], ["commit", "-qm", "all"], ["tag", TAG]):
        subprocess.run([*git, *command], cwd=ROOT, check=True)
    return f"file://{bare}"


@pytest.fixture
def newcomer(tmp_path):
    """`newcomer(script)`: what a shell prints, in an empty home where `python3` is this Python without its packages."""
    home, found = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    found.mkdir()
    (found / "python3").write_text(f'#!/bin/sh\nexec "{sys._base_executable}" "$@"\n')
    (found / "python3").chmod(0o755)
    env = {"HOME": str(home), "PATH": f"{found}{os.pathsep}{os.environ['PATH']}"}
    env |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}

    def run(script):
        command = ["sh", "-ec", script]
        done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, timeout=LIMIT, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    run.home = home
    return run


def section(title):
    return (ROOT / "README.md").read_text().split(f"## {title}\n")[1].split("\n## ")[0]


def lines(title):
    """The first block of commands below a heading of the README."""
    return re.search(r"```console\n(.*?)```", section(title), re.DOTALL)[1]


def test_from_a_clone_to_the_first_answer_in_less_than_ten_minutes(repository, newcomer):
    script = f"git clone -q {repository} clone\ncd clone\n{lines('Try it without an account')}"
    said = newcomer(script)
    assert re.search(r"^installing what the demo needs into \.venv \.{30,} unpacking$", said, re.MULTILINE)
    assert re.search(r"│ response_percent │[^$]*│ +\d+\.\d │", said)
    assert f"The report: {newcomer.home}/clone/boast-demo/boast_report.html\n" in said
    assert f"An earlier demo is in {newcomer.home}/clone/boast-demo;" in newcomer("cd clone\nmake demo")


def test_the_readmes_lines_install_the_command_with_charts_and_sandbox(repository, newcomer):
    install = lines("Use it with your account")
    assert INSTALL in install.splitlines()
    script = f"{install.replace('REPOSITORY', repository)}boast --version\nboast demo --enrollments 60\n"
    assert f"boast, version {TAG[1:]}\n" in newcomer(script)
    assert "<svg" in (newcomer.home / "boast" / "boast-demo" / "boast_report.html").read_text()
