"""What contributors are told is true: make targets, paths, pinned actions, hooks; the changelog has this version."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import tomlkit
import yaml

import boast_source

ROOT = Path(__file__).parents[2]
PACKAGE = Path(boast_source.__file__).parent
PROJECT = tomlkit.parse((ROOT / "pyproject.toml").read_text(encoding="utf-8")).unwrap()
TARGETS = {
    name
    for line in re.findall(r"^([a-z][a-z -]*):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for name in line.split()
}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md", "SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md"])
def test_every_make_target_that_is_named_exists(page):
    for target in re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", text(page), re.MULTILINE):
        assert "".join(target) in TARGETS, target


def test_every_path_that_contributors_are_sent_to_exists():
    named = re.findall(r"`((?:boast_source|tests|docs|pipelines)/[\w./]+)`", text("CONTRIBUTING.md"))
    assert len(named) > 15
    for path in named:  # the package may be installed elsewhere
        there = PACKAGE / path.removeprefix("boast_source/") if path.startswith("boast_source/") else ROOT / path
        assert there.exists(), path
    tiers = {
        path.name
        for path in (ROOT / "tests").iterdir()
        if path.is_dir() and path.name not in {"__pycache__", "support"}
    }
    assert {f"tests/{tier}" for tier in tiers} <= set(named)


def test_the_first_change_finds_its_sentence_in_the_files_that_are_named():
    first = text("CONTRIBUTING.md").partition("## Where")[0]
    sentence = re.search(r"says \"(.+?)\"", first)[1]
    for path in re.findall(r"(?:boast_source|tests)/[\w/]+\.py", first):
        there = PACKAGE / path.removeprefix("boast_source/") if path.startswith("boast_source/") else ROOT / path
        assert sentence in there.read_text(encoding="utf-8"), path


def test_the_workflows_run_make_targets_with_actions_pinned_by_commit():
    assert WORKFLOWS
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {"contents": "read"}
        for job in workflow["jobs"].values():
            matrix = job.get("strategy", {}).get("matrix", {})
            for step in job["steps"]:
                if "uses" in step:
                    assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
                    assert re.search(rf"{step['uses']} # v\d+\.\d+\.\d+$", path.read_text(), re.MULTILINE)
                elif "apt-get" not in step["run"]:
                    (target,) = re.fullmatch(r"make (\S+|\$\{\{ matrix\.target \}\})", step["run"]).groups()
                    assert {target} <= TARGETS or set(matrix["target"]) <= TARGETS


def test_the_workflows_run_all_that_ci_runs():
    matrix = set(
        yaml.safe_load(WORKFLOWS[-1].read_text(encoding="utf-8"))["jobs"]["more"]["strategy"]["matrix"]["target"]
    )
    engines = re.search(r"^(test-.*): test-%", text("Makefile"), re.MULTILINE)[1].split()
    asked = set(re.findall(r"\btest-[a-z]+", text(".ci/run"))) - {"test-engines"} | set(engines)
    assert len(asked) > len(engines)
    assert asked <= matrix


def test_the_hooks_run_tools_of_the_lock():
    config = yaml.safe_load(text(".pre-commit-config.yaml"))
    locked = set(re.findall(r"^([a-z0-9-]+)==", text("requirements-dev.lock"), re.MULTILINE))
    of = {"lint-imports": "import-linter"}
    tools = [hook["entry"].split()[0] for repo in config["repos"] for hook in repo["hooks"]]
    assert {of.get(Path(tool).name, Path(tool).name) for tool in tools} <= locked
    assert {Path(tool).parent.as_posix() for tool in tools} == {".venv/bin"}


def test_the_dev_container_sets_up_what_contributing_says():
    container = json.loads(text(".devcontainer/devcontainer.json"))
    assert container["postCreateCommand"] == "make lint"
    assert container["image"].rpartition(":")[2] >= PROJECT["project"]["requires-python"].removeprefix(">=")


def test_the_issue_forms_ask_for_something():
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name == "config.yml":
            continue
        assert form["name"]
        assert form["description"]
        ids = [one["id"] for one in form["body"] if one["type"] != "markdown"]
        assert len(ids) == len(set(ids)) > 0
        assert any(one.get("validations", {}).get("required") for one in form["body"])


def test_the_newest_section_of_the_changelog_is_the_version():
    sections = re.findall(r"^## \[?([\d.]+)\]?", text("CHANGELOG.md"), re.MULTILINE)
    assert sections[0] == PROJECT["project"]["version"]
    assert sections == sorted(sections, key=lambda v: [int(n) for n in v.split(".")], reverse=True)
    kinds = set(re.findall(r"^### (\w+)$", text("CHANGELOG.md"), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_extra_all_is_all_extras():
    extras = PROJECT["project"]["optional-dependencies"]
    assert extras["all"] == [f"boast-source[{','.join(name for name in extras if name != 'all')}]"]
