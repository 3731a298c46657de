"""The API's answers: the envelope, the pagination, the errors body, and lists page by page.

Source: "Answers" and "Pagination" of the API.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any

import orjson

from boast_source.errors import NotFoundError, PagingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_NOT_SIMPLE = {float, dict, list}
_LONGEST = 20  # characters of a 64-bit integer
_DEEPEST = 200  # levels; orjson writes 254
MAX_VALUES = 2_000_000  # per answer: each takes up to 100 bytes of memory, even if only two in JSON
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
# in JSON, outside strings: a number with more digits, or of another magnitude, than every 64-bit float holds
_MANY_DIGITS = re.compile(rb"[:,\[\s]-?\d(?:[\d.]{15}|[\d.]*[eE][-+]?\d{2})")
_REPEATS = 3  # equal pages in a row: rows that move can make two equal, hardly more

LONGEST = 200  # characters of a detail that are kept
_LOOKED_AT = 2000  # characters examined; the rest is dropped
_SHORTEST_SECRET = 6  # shorter ones are a sandbox's, and masking them would hide ordinary words

_PERSONAL = re.compile(
    r"(?P<id>\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b)"
    r"|(?P<email>[^\s@<>\"'(),;:=\[\]]+(?:@|%40)[^\s@<>\"'(),;:\[\]]+)"
    r"|(?P<phone>\+?\(?\d(?:[\s().\-/]{0,3}\d){5,})"
)


class BadAnswerError(Exception):
    """A body that is not what the API documents; the client adds which request it was."""


@dataclass(frozen=True)
class Page:
    """One page of a list: `number` (from 1) as requested; `count` records in all, `items` per page, `pages` in all.

    The last three are None if the answer does not state them. Without `paginated` the answer is the whole list.
    `nameless`: how many more records it has, without an id. `compared`: the answer states its number, and it is the
    requested one. `size`: bytes of the answer's body.
    """

    number: int
    records: list[dict[str, Any]]
    count: int | None = None
    items: int | None = None
    pages: int | None = None
    paginated: bool = False
    nameless: int = 0
    compared: bool = field(default=False, compare=False)
    size: int = field(default=0, compare=False)

    def __repr__(self) -> str:
        return f"Page(number={self.number}, {len(self.records)} records, count={self.count}, pages={self.pages})"


@dataclass(frozen=True)
class ErrorBody:
    """The first error of an errors body, masked. `given` is False when the answer carries none."""

    given: bool
    code: str | None = None
    detail: str | None = None


def page_of(body: bytes, number: int, *, fresh: bool = True) -> Page:
    """Parse page `number` of a list. Raises BadAnswerError, also if it is another page.

    Past the end some servers repeat the last page, which is accepted only on a `fresh` connection.
    """
    envelope = _envelope(body)
    records = envelope.get("data")
    if not isinstance(records, list):
        raise BadAnswerError("`data` is not a list")
    named = [record for record in records if isinstance(record, dict) and record.get("id")]
    nameless = len(records) - len(named)
    if nameless and not named:
        raise BadAnswerError("`data` holds no record with an id")
    records = _exact(named, body)
    pagination = _section(_section(envelope, "meta"), "pagination")
    if pagination is None:
        return Page(number, records, nameless=nameless, size=len(body))
    count, items, pages, told = (_number(pagination, name) for name in ("count", "items", "pages", "page"))
    last_again = fresh and told == pages and told is not None and told < number
    if told not in {None, number} and not last_again:
        raise BadAnswerError(f"it is page {told}, not page {number} that was asked for")
    same = told == number
    return Page(number, records, count, items, pages, paginated=True, nameless=nameless, compared=same, size=len(body))


def record_of(body: bytes, expected: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Parse one record, which must have the `expected` values, except for case and space. Raises BadAnswerError."""
    record = _envelope(body).get("data")
    if not isinstance(record, dict):
        raise BadAnswerError("`data` is not an object")
    for name, wanted in {"id": None, **(expected or {})}.items():
        value = record.get(name)
        if not value:
            raise BadAnswerError(f"its record has no `{name}`")
        if wanted is not None and str(value).strip().lower() != wanted.strip().lower():
            raise BadAnswerError(f"its record has another `{name}` than asked for")
    return _exact([record], body)[0]


def error_of(body: bytes, secrets: Iterable[str | None] = ()) -> ErrorBody:
    """Parse an errors body leniently: a byte-order mark, a byte in another encoding, half an emoji or a NaN must not
    hide a refusal. Anything else counts as an answer without an errors body.
    """
    try:
        _bounded(body)
        envelope = _lenient(body.decode("utf-8-sig", "replace"))
    except BadAnswerError:
        return ErrorBody(given=False)
    errors = envelope.get("errors") if isinstance(envelope, dict) else None
    first = next((one for one in errors if isinstance(one, dict)), None) if isinstance(errors, list) else None
    if first is None:
        return ErrorBody(given=False)
    secrets = tuple(secrets)
    code, detail = (first.get(name) for name in ("code", "detail"))
    return ErrorBody(
        given=True,
        code=masked(code, secrets, longest=60) if isinstance(code, str) else None,
        detail=masked(detail, secrets) if isinstance(detail, str) else None,
    )


def all_records(fetch: Callable[[int], Page], path: str) -> Iterator[dict[str, Any]]:
    """Yield every record of a list, through `fetch(number)`. A record that moves may come twice or not at all.

    Raises PagingError if pages repeat or `pages` keeps growing, and what `fetch` raises.
    """
    page = fetch(1)
    bound = (page.pages or 0) * 2 + 100 if page.pages is not None else None
    seen: set[int] = set()
    repeats = 0
    while True:
        yield from page.records
        content = hash(orjson.dumps(page.records))
        repeats = repeats + 1 if content in seen else 0
        seen.add(content)
        if not page.paginated or not page.records or (page.pages is not None and page.number >= page.pages):
            return
        if page.pages is None and repeats:
            return  # past the end the last page is repeated
        if repeats >= _REPEATS or (bound is not None and page.number >= bound):
            raise PagingError(
                f"GET {path}: the list does not end, page {page.number} of {page.pages}",
                hint="The API's paging is broken for this list; try again later or ask Boast",
                method="GET",
                path=path,
            )
        try:
            page = fetch(page.number + 1)
        except NotFoundError:
            return  # the list became shorter


def masked(text: str, secrets: Iterable[str | None] = (), *, longest: int = LONGEST) -> str:
    """Return one line of at most `longest` characters, without e-mail addresses, long runs of digits or `secrets`."""
    for secret in secrets:
        if secret and len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[secret]")
    if len(text) > _LOOKED_AT:
        text = text[:_LOOKED_AT].rpartition(" ")[0]  # half an address would not be recognised as one
    text = _PERSONAL.sub(
        lambda found: found["id"] or ("[e-mail]" if found["email"] else "[number]"), " ".join(text.split())
    )
    printable = "".join(c if c.isprintable() else " " for c in text)
    return printable if len(printable) <= longest else printable[: longest - 1] + "…"


def _bounded(body: bytes) -> None:
    if len(body) > MAX_VALUES and sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise BadAnswerError(f"the body holds more than {MAX_VALUES:,} values")


def _envelope(body: bytes) -> dict[str, Any]:
    _bounded(body)
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError:
        envelope = _lenient(body)
    if not isinstance(envelope, dict):
        raise BadAnswerError("the body is not a JSON object")
    return envelope


def _lenient(body: bytes | str) -> Any:
    """Parse JSON that may hold NaN or infinity, which become text, or half a surrogate pair, which becomes U+FFFD."""
    try:
        return _mended(json.loads(body, parse_int=_integer, parse_float=_float, parse_constant=str))
    except (ValueError, RecursionError):
        what = "empty" if not body.strip() else "a web page" if body.lstrip()[:1] in {b"<", "<"} else "not JSON"
        raise BadAnswerError(f"the body is {what}") from None


def _exact(records: list[dict[str, Any]], body: bytes) -> list[dict[str, Any]]:
    """Return the records; parse the body again if orjson may have rounded a number that no float holds."""
    if _NOT_SIMPLE.isdisjoint(map(type, chain.from_iterable(map(dict.values, records)))):
        return records
    if not _has_float(records) or not _MANY_DIGITS.search(body):
        return records
    data = json.loads(body, parse_int=_integer, parse_float=_float, parse_constant=str)["data"]
    every = data if isinstance(data, list) else [data]
    return _mended([record for record in every if isinstance(record, dict) and record.get("id")])  # type: ignore[no-any-return]


def _has_float(value: Any, level: int = 0) -> bool:
    if level > _DEEPEST + 1:
        raise BadAnswerError(f"`data` is nested more than {_DEEPEST} levels deep")
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return True in [_has_float(inner, level + 1) for inner in value]  # all of them: none may be too deep
    return isinstance(value, float)


def _integer(digits: str) -> int | str:
    """Return an integer; one that needs more than 64 bits stays text, because no numeric column holds it."""
    value = int(digits) if len(digits) <= _LONGEST else 2**64
    return value if -(2**63) <= value < 2**64 else digits


def _float(text: str) -> float | str:
    """Return a float; a number that no 64-bit float holds, printed with at most 17 digits, stays text."""
    value = float(text)
    if math.isinf(value):
        return text
    return value if Decimal(text) in {Decimal(repr(value)), Decimal(f"{value:.17g}")} else text


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mended(inner) for inner in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(inner) for key, inner in value.items()}
    return value


def _section(parent: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    section = parent.get(name) if parent is not None else None
    if section == []:  # what some serializers make of an empty object
        return None
    if section is not None and not isinstance(section, dict):
        raise BadAnswerError(f"`{name}` is not an object")
    return section


def _number(pagination: dict[str, Any], name: str) -> int | None:
    value = pagination.get(name)
    if value is None:
        return None
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadAnswerError(f"`meta.pagination.{name}` is not a whole number")
    return value
