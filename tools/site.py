"""Hooks of mkdocs: pages that live outside docs/, links that follow, an anchor for each row of the reference tables.

A link to a file of the repository leads to a copy of it in the site; one to a folder becomes plain text.

Source: MkDocs' developer guide, hooks.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "dbt/README.md": "dbt.md",
}
_ROW = re.compile(r'<h[23] id="(?P<heading>[^"]+)|<tr>\s*<td(?P<how>[^>]*)><code>(?P<name>[^<]+)</code>')
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add what docs/ does not hold."""
    added = {name: _linked((ROOT / path).read_text(encoding="utf-8"), ROOT / path) for path, name in PAGES.items()}
    for name, text in added.items():
        files.append(File.generated(config, name, content=text))
    for page in [*(ROOT / "docs").glob("*.md"), *map(ROOT.joinpath, PAGES)]:
        for _, _, target, _ in _LINK.findall(page.read_text(encoding="utf-8")):
            path = (page.parent / target).resolve()
            name = _copy(path)
            outside = not path.is_relative_to(ROOT / "docs") and _within(path) not in PAGES
            if path.is_file() and outside and files.get_file_from_path(name) is None:
                files.append(File.generated(config, name, content=path.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 -- mkdocs's signature
    """Let the links of a page in docs/ lead to what the site has."""
    source = page.file.abs_src_path
    return _linked(markdown, Path(source)) if source else markdown


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 -- mkdocs's signature
    """Give each row that begins with a name in code (a setting, column, message) an anchor, linked from the name."""
    heading, taken = "", set[str]()

    def anchored(match: re.Match[str]) -> str:
        nonlocal heading
        if match["heading"]:
            heading = match["heading"]
            return match[0]
        anchor = f"{heading}-{re.sub(r'[^a-z0-9_]+', '-', match['name'].lower()).strip('-')}"
        while anchor in taken:
            anchor += "-"
        taken.add(anchor)
        return f'<tr id="{anchor}">\n<td{match["how"]}><a href="#{anchor}"><code>{match["name"]}</code></a>'

    return _ROW.sub(anchored, html)


def _within(path: Path) -> str:
    return os.path.relpath(path, ROOT).replace(os.sep, "/")


def _copy(path: Path) -> str:
    """Where the site has a file of the repository; mkdocs leaves out what begins with a dot."""
    return f"files/{_within(path).lstrip('.')}"


def _linked(text: str, page: Path) -> str:
    def link(match: re.Match[str]) -> str:
        image, words, target, anchor = match.groups()
        path = (page.parent / target).resolve()
        within = _within(path)
        if within in PAGES:
            return f"{image}[{words}]({PAGES[within]}{anchor or ''})"
        if path.is_relative_to(ROOT / "docs"):
            return f"{image}[{words}]({path.relative_to(ROOT / 'docs')}{anchor or ''})"
        return f"[{words}]({_copy(path)})" if path.is_file() else words

    return _LINK.sub(link, text)
