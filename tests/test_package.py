"""The wheel alone, in an empty environment; the README's words; the locks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel."""
    place = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [*PIP, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(place), str(ROOT)], check=True
    )
    return next(place.glob("*.whl"))


def test_the_wheel_alone_shows_its_help_and_imports_without_the_extras(wheel, tmp_path):
    """Its dependencies come from this environment, the extras (aiohttp, psycopg2) are made unreachable."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = next((tmp_path / "env" / "lib").glob("python*")) / "site-packages"
    subprocess.run(
        [*PIP, "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)],
        check=True,
    )
    dependencies = next(path for path in sys.path if path.endswith("site-packages"))
    hidden = "import sys; sys.modules['aiohttp'] = sys.modules['psycopg2'] = sys.modules['deltalake'] = None"
    (site / "dependencies.pth").write_text(f"{dependencies}\n{hidden}\n")

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

    code = "import boast_source, boast_source.source as s; print(boast_source.__file__); boast_source.boast_source"
    imported = run("-c", code)
    assert imported.returncode == 0, imported.stderr
    assert str(site) in imported.stdout
    helped = run("-m", "boast_source", "--help")
    assert helped.returncode == 0
    assert "boast demo" in helped.stdout
    for command in ("sandbox", "demo"):
        refused = run("-m", "boast_source", command)
        assert refused.returncode == 2
        assert 'pip install "boast-source[sandbox]"' in refused.stderr


def test_the_locks_name_versions_and_hashes_and_no_address():
    for path in [*ROOT.glob("*.lock"), *ROOT.glob("pipelines/*/*.lock")]:
        text = path.read_text()
        assert "://" not in text
        assert text.count("==") > 40
        pinned = re.findall(r"^[a-z0-9._-]+==\S+.*\\$", text, re.MULTILINE)
        assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))


def test_the_readme_shows_the_two_commands_and_every_setting():
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    for key in (
        "base_url",
        "account_ids",
        "max_concurrency",
        "max_requests_per_second",
        "request_timeout",
        "lock_timeout",
    ):
        assert f"`sources.boast.{key}`" in readme


def test_the_readmes_python_runs(sandbox, workplace):
    server = sandbox(enrollments=30)
    workplace.use(server)
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
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
        assert "active" in done.stdout
