"""Keeps personal data and secrets out of what a person or a log gets to read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 200  # characters of a detail that are kept
_LOOKED_AT = 2000  # a bound on the work; the rest is dropped
_SHORTEST_SECRET = 6  # shorter ones are a sandbox's, and would black out innocent words

_PERSONAL = re.compile(
    r"(?P<id>\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b)"
    r"|(?P<email>[^\s@<>\"'(),;:=\[\]]+(?:@|%40)[^\s@<>\"'(),;:\[\]]+)"
    r"|(?P<phone>\+?\(?\d(?:[\s().\-/]{0,3}\d){5,})"
)


def masked(text: str, secrets: Iterable[str | None] = (), *, longest: int = LONGEST) -> str:
    """One line of at most `longest` characters: no e-mail address, no long run of digits, none of `secrets`."""
    for secret in secrets:
        if secret and len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[secret]")
    if len(text) > _LOOKED_AT:
        text = text[:_LOOKED_AT].rpartition(" ")[0]  # half an address would not be recognised as one
    text = _PERSONAL.sub(_replacement, " ".join(text.split()))
    printable = "".join(c if c.isprintable() else " " for c in text)
    return printable if len(printable) <= longest else printable[: longest - 1] + "…"


def _replacement(match: re.Match[str]) -> str:
    if match["id"]:
        return match["id"]
    return "[e-mail]" if match["email"] else "[number]"
