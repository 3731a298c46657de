"""`make audit` asks about every locked package, here a server on loopback, and fails on an advisory; `make sbom` lists
them all.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.http_server import reply, serving
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
VULNERABLE = "urllib3"
HASH = re.compile(r"--hash=sha256:(\w+)")


@pytest.fixture
def make(tmp_path):
    """Run a make target in a folder that has only what the target reads."""
    for name in ("Makefile", "pyproject.toml", *LOCKS):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)

    def run(*arguments):
        command = ["make", "-o", ".venv/.dev", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=PATIENCE)

    tool = [str(Path(sys.prefix, "bin", "uv")), "tool", "run", "-q"]
    for names in (["pip-audit>=2.9,<3"], ["--from", "cyclonedx-bom>=7,<8", "cyclonedx-py"]):
        if subprocess.run([*tool, *names, "--version"], check=False, capture_output=True).returncode:
            pytest.skip(f"{names} cannot be installed here")
    return run


def locked(name):
    """Return the packages of a lock file: {name: (versions, hashes)}."""
    found = {}
    for entry in re.split(r"\n(?=\w)", (ROOT / name).read_text()):
        package, version = re.match(r"([\w.-]+)==([^\s;]+)", entry).groups()
        versions, hashes = found.setdefault(package, (set(), set()))
        versions.add(version)
        hashes.update(HASH.findall(entry))
    return found


def advisories(request):
    """Answer as OSV does: one package has an advisory in all versions."""
    package = json.loads(request.body)["package"]
    everything = {"package": package, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}
    known = [{"id": "GHSA-test-0001", "summary": "bad", "details": "bad", "affected": [everything]}]
    return reply(200, {"vulns": known} if package["name"] == VULNERABLE else {})


def test_the_audit_asks_about_every_locked_package_and_fails_on_an_advisory(make):
    with serving(lambda _: reply(200, {})) as server:
        done = make("audit", f"AUDIT=-s osv --osv-url {server.url}/v1/query")
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("No known vulnerabilities found") == len(LOCKS)
        asked = {(each["package"]["name"], each["version"]) for each in (json.loads(r.body) for r in server.requests)}
    for name in LOCKS:  # but for those of other systems or Pythons
        everywhere = re.findall(r"^([\w.-]+)==(\S+) \\$", (ROOT / name).read_text(), re.MULTILINE)
        assert everywhere
        assert set(everywhere) <= asked
    with serving(advisories) as server:
        done = make("audit", f"AUDIT=-s osv --osv-url {server.url}/v1/query")
    assert done.returncode != 0
    assert VULNERABLE in done.stdout
    assert "GHSA-test-0001" in done.stdout
    with serving(lambda _: reply(503, b"")) as server:  # no answer is no good news
        assert make("audit", f"AUDIT=-s osv --osv-url {server.url}/v1/query").returncode != 0


def test_the_bill_of_materials_lists_every_locked_package_with_its_hashes(make, tmp_path):
    done = make("sbom")
    assert done.returncode == 0, done.stderr
    listed = {}
    for part in json.loads((tmp_path / "sbom.json").read_text())["components"]:
        versions, hashes = listed.setdefault(part["name"], (set(), set()))
        versions.add(part["version"])
        hashes.update(each["content"] for reference in part["externalReferences"] for each in reference["hashes"])
    assert listed == locked("requirements.lock")
