"""A driver's text without row values: no DETAIL, CONTEXT, HINT, statement, parameter or quoted value.

Databases quote names and values alike, and some quote whole rows. A quoted name is kept where the word before it says
what it names ("column", "constraint"); all else in quotes goes.
"""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging

# where the part of a message begins that holds rows, statements or values, in the words of Postgres, DuckDB, SQLAlchemy
_REST = re.compile(
    r"\s*\n?(?:\b(?:DETAIL|CONTEXT|HINT|QUERY|STATEMENT|WHERE|LINE \d+|Failing row contains)\b:?|\[SQL:|\[parameters:"
    r"|\(Background on this error at:).*",
    re.DOTALL,
)
_NAMES = (
    "catalog|columns?|constraint|database|dataset|directory|extension|file|for key|function|host|index|named|option"
    "|parameter|partition|port|relation|role|schema|sequence|server at|setting|tables?|trigger|type|user|view|with name"
)
_NAMED = re.compile(rf"(?:\b(?:{_NAMES})\s+|[\"'][.@])$", re.IGNORECASE)
_QUOTED = re.compile(r"[\"']")
_APOSTROPHE = re.compile(r"^\w'(?:t|s|re|ve)\b")
_NUMBER = re.compile(r"\b(value:?) [-+.\w]*\d[-+.\w]*")
_ACCOUNT = re.compile(r"[^\s\"'@/]*(?::[^\s\"'@/]*)?@(?=[\w\[.-])")
_LONGEST = 300


def bare(text: str) -> str:
    """Return what a driver's message says, without what it quotes of rows, statements and connection strings."""
    text = text.rpartition("The actual reason given is:")[2].strip()
    text = _REST.sub("", text)
    kept, rest = "", text
    while found := _QUOTED.search(rest):
        before, quote = rest[: found.start()], found[0]
        end = rest.find(quote, found.end())
        if end > 0 and _NAMED.search(kept[-1:] + before):
            kept, rest = kept + rest[: end + 1], rest[end + 1 :]
        elif _APOSTROPHE.search(before[-1:] + rest[found.start() : found.end() + 3]):
            kept, rest = kept + rest[: found.end()], rest[found.end() :]
        else:  # a value may hold quotes itself: up to the last one
            last = rest.rfind(quote)
            kept, rest = f"{kept}{before}…", rest[last + 1 :] if last > found.start() else ""
    return _ACCOUNT.sub("***@", _NUMBER.sub(r"\1 …", kept + rest))


def one_line(text: str) -> str:
    """Return `bare` text in one line of bounded length."""
    return " ".join(bare(text).split())[:_LONGEST].rstrip(" .:")


def traceback_of(error: BaseException) -> str:
    """Return the traceback as Python prints it, with bare text for what each error says."""
    parts: list[str] = []
    seen: list[BaseException] = []  # a chain may run in a circle
    link: BaseException | None = error
    while link is not None and link not in seen:
        seen.append(link)
        frames = "".join(traceback.format_tb(link.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{type(link).__name__}: {bare(str(link))}\n")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\nThis led to:\n\n".join(reversed(parts))


def strip(record: logging.LogRecord) -> None:
    """Leave only bare text in a log record that may hold a driver's message or traceback."""
    record.msg, record.args = bare(record.getMessage()), ()
    if record.exc_info and record.exc_info[1]:
        record.msg += "\n" + traceback_of(record.exc_info[1])
        record.exc_info = None


def stripped(sql_client: Any) -> Any:
    """Let what dlt's client raises carry only bare text, so that no log, trace or load package holds a row of it."""
    make = sql_client._make_database_exception  # noqa: SLF001 -- the one place where dlt sees a driver's exception

    def bared(error: Exception) -> Any:
        made = make(error)
        error.args = (bare(str(error)), *error.args[1:])
        return made

    sql_client._make_database_exception = bared  # noqa: SLF001
    return sql_client
