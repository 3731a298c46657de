"""One column of a listing: its kind, and the SQL that reads its values from the received text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boast_source.shapes import Kind

SQL_TYPES: dict[Kind, str] = {
    "text": "varchar",
    "json": "varchar",
    "timestamp": "timestamptz",
    "bigint": "bigint",
    "double": "double",
    "bool": "boolean",
}
_LEAP = r"(:\d\d):60"
# times that DuckDB cannot read: lower-case t or z, a comma before the fraction, a space before the offset, 60 seconds
_SPELLINGS = (
    (r"^(\s*\d{4}-\d\d-\d\d)t", r"\1T"),
    (r"(\d)z\s*$", r"\1Z"),
    (r"(:\d\d),(\d)", r"\1.\2"),
    (r"(\d)\s+([-+]\d\d(?::?\d\d)?)\s*$", r"\1\2"),
    (_LEAP, r"\1:59"),
)
# the range of Python's datetime, and so of dlt and of those who read the table
_MOMENTS = "'0001-01-01 00:00:00+00'::timestamptz and '9999-12-31 23:59:59.999999+00'::timestamptz"


@dataclass(frozen=True)
class Column:
    """A column of the table: its name, its kind and the SQL over `listed` that gives its raw text.

    `fits`: SQL that tells whether the JSON value has the column's type; `true` for documented fields, which are read by
    their meaning, even from text. `compared`: False for a user's own column, which is carried along. `field`: the API's
    name of an undocumented field. `plain`: all values have the usual spelling, which is read faster.
    """

    name: str
    kind: Kind
    raw: str
    compared: bool = True
    fits: str = "true"
    field: str | None = None
    plain: bool = False

    @property
    def typed(self) -> str:
        """SQL for the value in its kind, or null if the text does not fit."""
        raw = f"({self.raw})"
        if self.raw.startswith("null::"):
            return self.raw
        if self.kind == "timestamp" and self.plain:
            return self._where(
                f"{raw} >= '0002' and {raw} < '9999' and {raw} like '____-__-__%'", f"try_cast({raw} as timestamptz)"
            )
        if self.kind == "timestamp":
            moment = _moment(raw)
            fits = f"(not regexp_matches({raw}, '^\\s*(0000|0001|9999)') or {moment} between {_MOMENTS})"
            return self._where(f"regexp_matches({raw}, '^\\s*\\d{{4}}-') and {fits}", moment)
        if self.kind == "bigint":
            return self._where(f"regexp_matches({raw}, '^-?\\d+$')", f"try_cast({raw} as bigint)")
        if self.kind == "double":
            number = f"try_cast({raw} as double)"
            short = f"regexp_matches({raw}, '^[-+.0-9]{{1,15}}$')"
            if self.plain:
                return self._where(short, number)
            whole = f"try_cast({number} as hugeint) = try_cast({raw} as hugeint)"
            printed = (f"{number}::varchar", f"format('{{:.17g}}', {number})")
            digits = f"{_digits(raw)} in ({', '.join(map(_digits, printed))})"
            exact = f"case when regexp_matches({raw}, '^-?\\d+$') then {whole} else {digits} end"
            return self._where(f"regexp_matches({raw}, '^[-+.0-9eE]+$') and ({short} or {exact})", number)
        if self.kind == "bool":
            return self._where("true", f"case {raw} when 'true' then true when 'false' then false end")
        return json_text(raw) if self.kind == "json" else self.raw

    def _where(self, sql: str, value: str) -> str:
        return f"case when {self.fits} and {sql} then {value} end"


def _moment(text: str) -> str:
    """Return SQL that reads a time in ISO 8601 or a similar spelling; a leap second becomes the next second."""
    spelled = text
    for found, instead in _SPELLINGS:
        spelled = f"regexp_replace({spelled}, '{found}', '{instead}')"
    late = f"case when regexp_matches({text}, '{_LEAP}') then interval 1 second else interval 0 second end"
    return f"coalesce(try_cast({text} as timestamptz), try_cast({spelled} as timestamptz) + {late})"


def _digits(number: str) -> str:
    """Return SQL for a number's significant digits: a float that prints other digits does not hold the number."""
    return f"trim(replace(regexp_replace({number}, '^[-+]|[eE].*$', '', 'g'), '.', ''), '0')"


def json_text(sql: str) -> str:
    """Return SQL for JSON text with normalized numbers and whitespace; text that is not JSON is unchanged."""
    return f"case when json_valid({sql}) then json({sql})::varchar else {sql} end"
