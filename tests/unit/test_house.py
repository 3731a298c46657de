"""What the house keeps besides its layers (import-linter's, in `make lint`): one door, HTTP in one room, one gate."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import boast_source

PACKAGE = Path(boast_source.__file__).parent


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
    gate = PACKAGE / "push" / "gate.py"
    for path in [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "pipelines").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in {
                "create_sequence_enrollment",
                "remove_sequence_enrollment",
            }:
                assert path == gate, path
            if isinstance(node, ast.Attribute) and ast.unparse(node).endswith("_exchange.write"):
                assert path == PACKAGE / "api" / "client.py", path


def imported(path):
    """The modules of dlt that a file imports, `dlt.x` for `from dlt import x` too."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (name for name in names if name.split(".")[0] == "dlt")


def test_only_the_warehouse_and_the_load_go_below_dlts_public_door():
    below = {
        (str(path.relative_to(PACKAGE)), name)
        for path in PACKAGE.rglob("*.py")
        for name in imported(path)
        if not re.fullmatch(r"dlt(\.sources(\..*)?|\.destinations)?", name)
    }
    others = {where for where, _ in below if not where.startswith("warehouse/")}
    assert others <= {"load/altered.py", "load/checks.py", "load/source.py"}, below


def test_no_file_is_too_long_to_be_read_in_one_sitting():
    files = [*PACKAGE.rglob("*.py"), *Path(__file__).parents[1].rglob("*.py")]
    assert {path.name for path in files if len(path.read_text().splitlines()) > 300} == set()


def test_few_places_are_excused_from_the_linter():
    assert sum(path.read_text().count("noqa") for path in PACKAGE.rglob("*.py")) <= 25


def test_the_door_shows_exactly_what_users_need():
    assert boast_source.__all__ == sorted(boast_source.__all__, key=lambda name: (not name[0].isupper(), name))
    assert all(getattr(boast_source, name) for name in boast_source.__all__)


def test_help_needs_neither_dlt_nor_the_extras():
    code = (
        "import sys\n"
        "from boast_source.commands.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'dlt', 'duckdb', 'pyarrow', 'aiohttp'} & set(sys.modules), sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
