"""The reference, made from the code: the tables of settings, and docs/messages.md with messages and their next steps.

A setting's description is the comment above or behind its field in config.py.
"""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boast_source import config, errors, install

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "boast_source"
BEGIN, END = "<!-- Made from boast_source/config.py by `make docs`. -->\n", "<!-- End of what is made. -->\n"
TABLE = "| key | default | |\n|---|---|---|\n"
# read elsewhere: a secret, and what has a page of its own
MORE = """\
| `sources.boast.webhook_url` | none | webhook or Apprise address (secret): notified on failure, on pending actions \
and on recovery, see [operate.md](operate.md) |
| `sources.boast.push.…` | | [push.md](push.md) |
"""
_FIELD = re.compile(r"    (\w+): .*? = .*?(?:  # (.*))?")
MESSAGES = """\
# Messages

<!-- Made from the code by `make docs`. -->
Each message is one line: what happened, then the next step. `…` stands for a name, number or reason.
[Troubleshoot](troubleshoot.md) explains the most common ones, also those that are put together from what Boast or the
database answers, which are not here. The reference has the [exit codes](reference.md#exit-codes).
"""
KINDS = {1: "Exit code 1: failed", 2: "Exit code 2: wrong usage or configuration", 4: "Exit code 4: locked"}


def settings(prefix: str, kind: type) -> str:
    """Return the table's rows for a dataclass of config.py, in the order of its fields."""
    described, above = dict[str, str](), list[str]()
    for line in inspect.getsource(kind).splitlines():
        if line.startswith("    # "):
            above.append(line.removeprefix("    # "))
        elif found := _FIELD.fullmatch(line):
            described[found[1]] = " ".join([*above, *filter(None, [found[2]])])
            above = []
    return "".join(f"| `{prefix}.{f.name}` | {_said(f.default)} | {described[f.name]} |\n" for f in fields(kind))


def _said(default: Any) -> str:
    if isinstance(default, str):
        return f"`{default}`"
    return {None: "none", True: "true", False: "false"}.get(default) or str(default)


def with_table(text: str, rows: str) -> str:
    """Return a page with its table of settings made anew."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{TABLE}{rows}\n{END}{rest.partition(END)[2]}"


def messages() -> str:
    """Return the page of the messages that are raised with an error of errors.py."""
    found = {(code, *said) for path in SOURCES.rglob("*.py") for code, *said in _raised(path)}
    parts = [MESSAGES]
    for code, title in KINDS.items():
        rows = "".join(f"| {_code(m)} | {hint} |\n" for c, m, hint in sorted(found) if c == code)
        parts.append(f"## {title}\n\n| message | next step |\n|---|---|\n{rows}")
    return "\n".join(parts)


def _raised(path: Path) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        kind = getattr(errors, name, None)
        if not isinstance(node, ast.Call) or not (inspect.isclass(kind) and issubclass(kind, errors.BoastError)):
            continue
        hints = [keyword.value for keyword in node.keywords if keyword.arg == "hint"]
        message = _text(node.args[0]) if node.args else ""
        if hints and re.search("[a-z]", message):
            yield kind.exit_code, message.rstrip("."), _text(hints[0])


def _text(node: ast.expr) -> str:
    """Return a text of the code with `…` for what is filled in, as a cell of a table."""
    if isinstance(node, ast.Name) and node.id == "INSTALL_ALL":
        return install.INSTALL_ALL
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
    return re.sub("…+", "…", " ".join(text.replace("|", "\\|").split()))


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def pages() -> dict[str, str]:
    """Return the pages of docs/ that this makes, by name, as they should be."""
    docs = ROOT / "docs"
    tables = {
        "reference.md": settings("sources.boast", config.Settings) + MORE,
        "push.md": settings("sources.boast.push", config.PushSettings),
    }
    made = {name: with_table((docs / name).read_text(encoding="utf-8"), rows) for name, rows in tables.items()}
    return made | {"messages.md": messages()}


if __name__ == "__main__":
    for name, text in pages().items():
        (ROOT / "docs" / name).write_text(text, encoding="utf-8")
