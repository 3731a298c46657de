"""The documentation as a site: it builds strictly, without a network, and needs none to be read."""

from __future__ import annotations

import json
import os
import re
import subprocess
from html import unescape
from pathlib import Path

import pytest

from tests.engines.conftest import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    mkdocs = Path(os.environ["BOAST_ENGINE_PYTHON"]).with_name("mkdocs")
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    env |= {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    command = [mkdocs, "build", "--strict", "-d", folder / "out"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert "excluded from the built site" not in done.stderr
    return folder / "out"


def test_every_page_of_the_documentation_is_in_it(site):
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} | {
        "index",
        "changelog",
        "contributing",
        "security",
        "dbt",
    }
    assert pages <= {path.stem for path in site.glob("*.html")}


def test_every_link_and_file_that_a_page_needs_is_in_it(site):
    for page in site.glob("*.html"):
        if page.name == "404.html":
            continue
        for target in re.findall(r'(?:href|src)="([^"#?]+)', page.read_text()):
            if not target.startswith(("http:", "https:", "mailto:", "data:")):
                assert (page.parent / target).exists(), (page.name, target)
        loaded = re.findall(
            r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="(https?://[^"]+)', page.read_text()
        )
        assert loaded == [], page.name


def test_it_can_be_searched_without_a_network(site):
    index = json.loads((site / "search" / "search_index.json").read_text())
    text = " ".join(entry["title"] + entry["text"] for entry in index["docs"])
    assert "missing_since" in text
    assert "boast nightly" in text


def test_each_setting_exit_code_column_and_message_has_an_anchor(site):
    rows = (
        ("reference", r"^\| `(sources\.boast\.\w+)` \|"),
        ("reference", r"^\| `(\d)` \|"),
        ("push", r"^\| `(sources\.boast\.push\.\w+)` \|"),
        ("model", r"^\| `(had_30_days|valid_from|completed_at)` \|"),
        ("troubleshoot", r"^\| `([^`]+)`[ ,]"),
        ("messages", r"^\| `([^`]+)` \|"),
    )
    for page, row in rows:
        html = (site / f"{page}.html").read_text()
        anchors = re.findall(r'<tr id="([^"]+)">\s*<td[^>]*><a href="#\1"><code>([^<]+)', html)
        assert len({anchor for anchor, _ in anchors}) == len(anchors)
        named = set(re.findall(row, (ROOT / "docs" / f"{page}.md").read_text(), re.MULTILINE))
        assert len(named) > 2
        assert {name.strip() for name in named} - {unescape(name) for _, name in anchors} == set(), page
