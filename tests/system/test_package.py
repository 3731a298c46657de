"""The wheel alone, in an empty environment; the README's commands and Python; the locks."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest

from boast_source.install import INSTALL
from tests.support.wheel import ROOT, environment
from tests.support.workplace import stored

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def test_the_wheel_alone_shows_its_help_and_imports_without_the_extras(wheel, tmp_path):
    """Its dependencies come from this environment, the extras (aiohttp, psycopg2) are made unreachable."""
    python, site = environment(tmp_path / "env")
    hidden = "import sys; sys.modules['aiohttp'] = sys.modules['psycopg2'] = sys.modules['deltalake'] = None"
    (site / "hidden.pth").write_text(hidden)
    subprocess.run([*PIP, "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)], check=True)

    def run(*arguments):
        return subprocess.run(
            [str(python), *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            check=False,
            timeout=60,
        )

    code = "import boast_source, boast_source.load.source as s; print(boast_source.__file__); boast_source.boast_source"
    imported = run("-c", code)
    assert imported.returncode == 0, imported.stderr
    assert str(site) in imported.stdout
    helped = run("-m", "boast_source", "--help")
    assert helped.returncode == 0
    assert "boast demo" in helped.stdout
    for command in ("sandbox", "demo"):
        refused = run("-m", "boast_source", command)
        assert refused.returncode == 2
        assert INSTALL in refused.stderr


def test_the_locks_name_versions_and_hashes_and_no_address():
    for path in [*ROOT.glob("*.lock"), *ROOT.glob("pipelines/*/*.lock")]:
        text = path.read_text()
        assert "://" not in text
        pinned = re.findall(r"^[a-z0-9._-]+==\S+.*\\$", text, re.MULTILINE)
        assert 5 < len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))


@pytest.mark.parametrize("page", ["README.md", "docs/reference.md"])
def test_the_python_of_a_page_runs(page, sandbox, workplace):
    server = sandbox(enrollments=30)
    workplace.use(server)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        script = block.replace(
            'BoastClient("your token")', f'BoastClient("{server.access_token}", base_url="{server.base_url}")'
        )
        done = subprocess.run(
            [sys.executable, "-W", "error::DeprecationWarning:boast_source", "-c", script],
            cwd=workplace.folder,
            env=os.environ | workplace.env | {"DLT_DATA_DIR": str(workplace.folder / "state")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "active" in done.stdout or "enrollments.html" in done.stdout, block


def test_the_readmes_commands_run(sandbox, workplace):
    """All but those that install: `make test-install` does that to the letter."""
    server = sandbox(enrollments=30)
    workplace.use(server)
    part = (ROOT / "README.md").read_text().split("## Use it with your account")[1].split("\n## ")[0]
    install, use = re.findall(r"```console\n(.*?)```", part, re.DOTALL)
    assert INSTALL in install.splitlines()
    commands = [shlex.split(line, comments=True) for line in use.splitlines()]
    assert [program for program, *_ in commands] == ["boast"] * 5
    for _, *arguments in commands:
        done = workplace.boast(*arguments)
        assert done.code == 0, (arguments, done.err)
    assert stored(workplace) == server.truth()
    assert (workplace.folder / "boast_report.html").exists()
