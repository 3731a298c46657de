"""The line the house holds: one door, imports one way, HTTP in one room."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import boast_source

PACKAGE = Path(boast_source.__file__).parent
# A module may import those of lower rank only; equal ranks are one room or leave each other alone.
RANKS = {
    "errors": 0,
    "stop": 0,
    "dialects": 0,
    "places": 0,
    "logs": 0,
    "sandbox": 0,
    "tables": 1,
    "api": 1,
    "scratch": 2,
    "config": 2,
    "options": 3,
    "sweep": 2,
    "destinations": 3,
    "postgres": 2,
    "duck": 2,
    "lake": 3,
    "columns": 3,
    "compare": 4,
    "warehouse": 4,
    "dropped": 5,
    "listing": 5,
    "models": 5,
    "runs": 5,
    "source": 6,
    "load": 7,
    "report": 7,
    "publish": 7,
    "outputs": 8,
    "lock": 1,
    "housekeeping": 6,
    "notify": 7,
    "terminal": 8,
    "job": 9,
    "push": 10,
    "nightly": 11,
    "status": 6,
    "check": 10,
    "demo": 12,
    "cli": 13,
    "__main__": 14,
    "__init__": 15,
}


def imports():
    """(importing module, imported module) of the top level of the package, type-checking imports left out."""
    for path in sorted(PACKAGE.rglob("*.py")):
        here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        tree = ast.parse(path.read_text())
        typing_only = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and id(node) not in typing_only:
                parts = (node.module or "").split(".")
                if parts[0] == "boast_source":
                    names = parts[1:2] or [alias.name for alias in node.names]
                    yield from ((here, name) for name in names if name in RANKS)


def test_every_module_has_its_place():
    here = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert here - {"__pycache__", "py.typed"} == set(RANKS)


def test_imports_go_one_way():
    wrong = [(a, b) for a, b in imports() if a not in {b, "__init__"} and RANKS[a] <= RANKS[b]]
    assert wrong == []


def test_the_sandbox_imports_nothing_of_the_rest():
    assert {b for a, b in imports() if a == "sandbox"} <= {"sandbox"}


def test_only_the_api_room_speaks_http():
    speakers = {"urllib3", "requests", "http", "httptools", "httpx", "aiohttp"}
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] in {"api", "sandbox"}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & speakers, path


def test_one_gate_sends_enrollments():
    gate = PACKAGE / "push" / "sender.py"
    for path in [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "pipelines").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in {
                "create_sequence_enrollment",
                "remove_sequence_enrollment",
            }:
                assert path == gate, path
            if isinstance(node, ast.Attribute) and node.attr == "_write":
                assert path == PACKAGE / "api" / "client.py", path


def test_the_door_shows_exactly_what_users_need():
    assert boast_source.__all__ == sorted(boast_source.__all__, key=lambda name: (not name[0].isupper(), name))
    assert all(getattr(boast_source, name) for name in boast_source.__all__)


def test_help_needs_neither_dlt_nor_the_extras():
    code = (
        "import sys\n"
        "from boast_source.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'dlt', 'duckdb', 'pyarrow', 'aiohttp'} & set(sys.modules), sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
