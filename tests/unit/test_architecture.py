"""docs/architecture.md names the rooms and files that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "boast_source"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def rows_under(title: str) -> list[list[str]]:
    """The cells of the table's rows under a heading."""
    section = PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_room_is_described_and_every_described_room_is_there():
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert {row[0].strip("`") for row in rows_under("The rooms")} == folders


def test_the_ground_is_named():
    modules = {path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")}
    assert modules == {"config", "driver_text", "errors", "install", "logs", "private", "shapes", "signals"}
    assert all(f"`{name}`" in PAGE for name in modules)


def test_every_file_that_is_named_is_there():
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_.]+)*(?:\.py|\.yml|/))`", PAGE)) - {"tests/", "boast_source/"}
    assert len(named) > 20
    missing = [name for name in named if not any((root / name).exists() for root in (PACKAGE, ROOT))]
    missing = [name for name in missing if not (PACKAGE / "warehouse" / name).exists()]
    assert missing == []
