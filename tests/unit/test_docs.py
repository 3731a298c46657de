"""What README and docs name is there: links, commands, options, settings, exit codes, messages."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import click
import pytest
import tomlkit

import boast_source
from boast_source import runs
from boast_source.commands.main import boast
from boast_source.config import Settings
from boast_source.install import INSTALL
from boast_source.listing.report import MEANING
from tools import reference

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
SETTINGS = {**vars(Settings()), "webhook_url": None}


def text(page: Path | str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", text(page), flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(page, heading):
    """The cells of the tables of one section."""
    section = re.split(rf"^#+ {heading}$", text(page), flags=re.MULTILINE)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|") and not line.startswith(("|-", "|--"))]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]+))?\)", text(page)):
        if target.startswith(("http://", "https://")):
            continue
        there = (page.parent / target).resolve() if target else page
        if there.is_relative_to(ROOT / "boast_source"):  # may be installed elsewhere
            there = Path(boast_source.__file__).parent / there.relative_to(ROOT / "boast_source")
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), (target, anchor)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "dbt/README.md"], ids=lambda page: page.name)
def test_nobody_is_told_to_install_by_a_name_that_is_not_ours_on_pypi(page):
    assert not re.search(r"boast-source\[|install [^\n`]*\bboast-source", text(page).replace(INSTALL, ""))


def test_the_line_that_installs_is_the_same_everywhere_and_names_this_version():
    assert f"@v{version('boast-source')}" in INSTALL
    shipped = [
        *(ROOT / "pipelines").rglob("*"),
        *(ROOT / "sources").rglob("*.md"),
        *Path(boast_source.__file__).parent.rglob("*.py"),
    ]
    texts = {path: text(path) for path in [*PAGES, *shipped] if path.is_file() and path.suffix not in {".lock", ".pyc"}}
    for path, words in texts.items():
        assert len(re.findall(r"boast-source\[|git\+REPOSITORY", words)) == 2 * words.count(INSTALL), path
        assert not re.search(r"install \S*\.\[", words), path
    has = {path.name for path, words in texts.items() if INSTALL in words}
    assert has > {
        "README.md",
        "SECURITY.md",
        "upgrade.md",
        "dlt.md",
        "messages.md",
        "boast_nightly.py",
        "boast_assets.py",
    }
    assert has > {"boast_dlt_assets.py", "boast.yml", "Dockerfile", "boast.crontab", "boast.service", "install.py"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_named_exists_with_this_default(page):
    for block in blocks(page, "toml"):
        for section in tomlkit.parse(block).get("sources", {}).values():
            assert set(section) <= {*SETTINGS, "credentials"}
            assert set(section.get("credentials", ())) <= {
                *("access_token", "client_id", "client_secret", "refresh_token", "token_url", "token_store"),
            }
    for name, default in re.findall(r"^\| `sources\.boast\.(\w+)` \| `?([^|`]+)`? \|", text(page), re.MULTILINE):
        assert default.strip() == {None: "none"}.get(SETTINGS[name], str(SETTINGS[name])), name
    for name in re.findall(r"`sources\.boast\.(\w+)`", text(page)):
        assert name in SETTINGS, name


def test_every_promise_of_the_security_page_names_a_test_that_exists():
    for promise, cell in rows("docs/secure.md", "Tests of these promises")[1:]:
        named = re.findall(r"`(tests/[\w/]+\.py)`: `(test_\w+)`", cell)
        assert named, promise
        for file, name in named:
            assert re.search(rf"^def {name}\(", text(file), re.MULTILINE), name


def test_the_site_leads_to_every_page():
    (nav,) = re.findall(r"^nav:\n.*", text("mkdocs.yml"), re.MULTILINE | re.DOTALL)
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= set(re.findall(r"\S+\.md", nav))


@pytest.mark.parametrize(("page", "made"), reference.pages().items(), ids=lambda value: str(value)[:9])
def test_the_reference_is_what_make_docs_writes(page, made):
    assert text(f"docs/{page}") == made
    assert len(re.findall(r"^\| `", made, re.MULTILINE)) > 8


def test_the_reference_lists_every_setting():
    documented = set(re.findall(r"^\| `sources\.boast\.(\w+)` \|", text("docs/reference.md"), re.MULTILINE))
    assert documented == set(SETTINGS)


def test_the_reference_lists_every_command_and_every_option_of_what_works_on_the_warehouse():
    documented = {
        found[1] for row in rows("docs/reference.md", "Commands") if (found := re.match(r"`boast (\w+)`", row[0]))
    }
    assert documented == set(boast.commands)
    said = {
        option: set(re.findall(r"`(\w+)`", row[1]))
        for row in rows("docs/reference.md", "Commands")
        for option in re.findall(r"`(--[a-z-]+)", row[0])
    }
    shared = {"--json", "--debug", "--destination", "--dataset", "--help", "--version"}
    for name in ("check", "load", "prepare", "push", "nightly", "report", "sql", "status"):
        options = {
            o for p in boast.commands[name].params if isinstance(p, click.Option) for o in p.opts if o[:2] == "--"
        }
        assert shared - {"--help", "--version"} <= options
        assert {option for option, commands in said.items() if name in commands} == options - shared, name
    assert {option for option, commands in said.items() if not commands} == shared - {"--help", "--version"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_exists_with_its_options(page):
    shown = [line for language in ("console", "sh") for block in blocks(page, language) for line in block.splitlines()]
    shown += re.findall(r"`(boast [^`]+)`", text(page))
    for line in shown:
        for words in re.findall(r"\bboast ([a-z][^|#>`]*)", line):
            command, *rest = words.split()
            assert command in boast.commands, line
            options = {o for p in known(boast.commands[command], rest) for o in (*p.opts, *p.secondary_opts)}
            for option in re.findall(r"(?<= )--[a-z-]+", " " + " ".join(rest)):
                assert option in options or option in {"--version", "--help"}, line


def known(command, rest):
    """The parameters of a command and, in a group, of what follows it."""
    inner = command.commands.get(rest[0]) if isinstance(command, click.Group) and rest else None
    return [*command.params, *(inner.params if inner else ())]


def test_no_line_of_the_help_is_cut():
    with click.Context(boast, terminal_width=80) as context:
        shown = boast.get_help(context).split("Commands:")[1].strip().splitlines()
    assert len(shown) == len(boast.commands)
    assert [line for line in shown if line.endswith("...")] == []


def test_the_reference_says_of_verified_what_the_terminal_and_the_report_say():
    said = {row[0].strip("`"): row[1] for row in rows("docs/reference.md", "Verification")[1:]}
    for word, meaning in MEANING.items():
        assert said[word].startswith(meaning), word


def test_the_reference_lists_every_exit_code():
    codes = {int(row[0].strip("`")) for row in rows("docs/reference.md", "Exit codes")[1:]}
    assert codes == set(runs.STATUS)
    section = text("docs/reference.md").split("## Exit codes")[1].split("\n## ")[0]
    assert set(re.findall(r"`(\w+)`", section.split("With `--json`")[1])) - {"status"} == set(runs.STATUS.values())


def test_every_message_that_is_explained_is_one_that_the_program_says():
    sources = "\n".join(p.read_text(encoding="utf-8") for p in Path(boast_source.__file__).parent.rglob("*.py"))
    said = re.sub(r'"\s*\n\s*f?"', "", sources).lower()
    cells = re.findall(r"^\| (.*?) \|", text("docs/troubleshoot.md"), flags=re.MULTILINE)
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    quoted = [m for m in messages if " " in m and not m.startswith(("boast ", "HTTP ", "Run "))]
    assert len(quoted) > 25
    assert [m for m in quoted if m.lower() not in said] == []
