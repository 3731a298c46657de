"""SQL is written in DuckDB's dialect; here it becomes the destination's."""

from __future__ import annotations

import contextlib
import functools
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import sqlglot
from dlt.common.normalizers.naming.snake_case import NamingConvention
from dlt.common.pendulum import pendulum
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

if TYPE_CHECKING:
    from collections.abc import Callable


def _timestamp_diff(until: exp.Expression, since: exp.Expression) -> exp.Expression:
    return exp.TimestampDiff(this=until, expression=since, unit=exp.var("SECOND"))


def _epoch_of_interval(until: exp.Expression, since: exp.Expression) -> exp.Expression:
    return exp.cast(exp.Extract(this=exp.var("EPOCH"), expression=exp.Sub(this=until, expression=since)), "bigint")


_NO_ASCII = re.compile(r"(?![0-9])\d")  # digits that are not ASCII's

# Seconds between two moments, where sqlglot's translation counts days (MySQL), takes dates only (BigQuery), or counts
# on the clock of the session's time zone, an hour wrong across a change to summer time (Postgres).
_ELAPSED = {"mysql": _timestamp_diff, "bigquery": _timestamp_diff, "postgres": _epoch_of_interval}


@functools.lru_cache(maxsize=64)  # a night asks for the views twice, and they take a quarter of a second
def translated(sql: str, dialect: str | None) -> str:
    """One statement in the dialect (a name of sqlglot's); what is ordered by is never null, so each orders nulls as
    it likes.
    """
    if dialect == "duckdb":
        return sql
    query = sqlglot.parse_one(sql, read="duckdb")
    for passed in list(query.find_all(exp.DateDiff)):
        if dialect in _ELAPSED and passed.text("unit").upper() == "SECOND":
            passed.replace(_ELAPSED[dialect](passed.this, passed.expression))
    if dialect == "mysql":
        _made_mysql(query)
    small = Dialect.get_or_raise(dialect).NULL_ORDERING == "nulls_are_small"
    for ordered in query.find_all(exp.Ordered):
        ordered.set("nulls_first", bool(ordered.args.get("desc")) != small)
    return str(query.sql(dialect=dialect, pretty=True, comments=False))


def text_literal(value: str, dialect: str | None) -> str:
    """A text as it stands in a statement."""
    return str(exp.Literal.string(value).sql(dialect))


def _made_mysql(query: exp.Expr) -> None:
    """Replace what sqlglot leaves as MySQL does not understand it. Its moments have no zone, so they are UTC's."""
    for moved in list(query.find_all(exp.Sub)):
        if isinstance(moved.this, exp.Cast) and moved.this.is_type("date"):  # a date less days; MySQL would see numbers
            moved.replace(exp.DateSub(this=moved.this, expression=moved.expression, unit=exp.var("DAY")))
    for column in query.find_all(exp.ColumnDef):
        # its own timestamp has no fractions, and the session's time zone; its text ends at 64 kB
        for kind, instead in (("timestamptz", "datetime(6)"), ("text", "longtext")):
            if column.kind and column.kind.is_type(kind):
                column.set("kind", exp.DataType.build(instead, dialect="mysql"))
    for clock in list(query.find_all(exp.CurrentTimestamp)):
        clock.replace(exp.Anonymous(this="utc_timestamp", expressions=[exp.Literal.number(6)]))
    for share in query.find_all(exp.Div):  # of whole numbers it keeps five digits
        share.set("this", exp.cast(share.this, "double"))
    for zoned in list(query.find_all(exp.AtTimeZone)):
        zone = zoned.args["zone"]
        converted = exp.func("convert_tz", zoned.this, exp.Literal.string("+00:00"), zone)
        zoned.replace(zoned.this if zone.name == "UTC" else converted)


def moment(iso: str | None, dialect: str | None) -> str | None:
    """A moment in ISO 8601 as it is given to a statement: MySQL takes no offset, its moments are UTC's."""
    if not iso or dialect != "mysql":
        return iso
    return str(datetime.fromisoformat(iso).astimezone(timezone.utc).replace(tzinfo=None))


def moment_of(value: datetime | str | None) -> datetime | None:
    """A moment as a driver or the API answers with it, with its zone: SQLite has texts of them, MySQL's have no zone.

    Raises ValueError for a text that is none.
    """
    found = _read(value) if isinstance(value, str) else value
    return found.replace(tzinfo=timezone.utc) if found and found.tzinfo is None else found


def _read(text: str) -> datetime:
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(text)
    # Python 3.10 reads neither `Z` nor `+00` nor a tenth of a second
    found: Any = pendulum.parse(text, exact=True) if text[:1].isdigit() else None
    if isinstance(found, datetime):
        return found
    raise ValueError("no moment")


def text_type(dialect: str | None) -> str:
    """The type of texts of any length, as a cast names it."""
    return "char" if dialect == "mysql" else str(exp.DataType.build("text").sql(dialect=dialect))


def snake_case(longest: int | None) -> Callable[[str], str]:
    """Return dlt's way to make a column's name of a field's, at most `longest` characters long (None: any length).

    All are of ASCII, so characters are bytes; dlt leaves other scripts' digits, of which Postgres would cut some off.
    """
    naming = NamingConvention(longest) if longest else NamingConvention()
    return lambda field: naming.normalize_identifier(_NO_ASCII.sub(_hexadecimal, field))


def _hexadecimal(found: re.Match[str]) -> str:
    return f"u{ord(found[0]):x}"
