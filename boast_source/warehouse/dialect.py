"""Translates SQL from DuckDB's dialect, in which it is written, into the destination's."""

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


_NO_ASCII = re.compile(r"(?![0-9])\d")  # digits outside ASCII

# Seconds between two moments, where sqlglot's translation counts days (MySQL), takes dates only (BigQuery), or uses the
# clock of the session's time zone, which is an hour wrong across a change to summer time (Postgres).
_ELAPSED = {"mysql": _timestamp_diff, "bigquery": _timestamp_diff, "postgres": _epoch_of_interval}


@functools.lru_cache(maxsize=64)  # a nightly run needs the views twice, at a quarter of a second
def translated(sql: str, dialect: str | None) -> str:
    """Translate one statement into the dialect (sqlglot's name). Sort keys are never null, so each dialect keeps its
    own order of nulls.
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
    """Quote a text for a statement."""
    return str(exp.Literal.string(value).sql(dialect))


def _made_mysql(query: exp.Expr) -> None:
    """Replace what sqlglot leaves in a form unknown to MySQL. MySQL's moments have no zone, so they are in UTC."""
    for moved in list(query.find_all(exp.Sub)):
        if isinstance(moved.this, exp.Cast) and moved.this.is_type("date"):  # a date less days; MySQL would see numbers
            moved.replace(exp.DateSub(this=moved.this, expression=moved.expression, unit=exp.var("DAY")))
    for column in query.find_all(exp.ColumnDef):
        # MySQL's timestamp has no fractions and uses the session's time zone; its text ends at 64 kB
        for kind, instead in (("timestamptz", "datetime(6)"), ("text", "longtext")):
            if column.kind and column.kind.is_type(kind):
                column.set("kind", exp.DataType.build(instead, dialect="mysql"))
    for clock in list(query.find_all(exp.CurrentTimestamp)):
        clock.replace(exp.Anonymous(this="utc_timestamp", expressions=[exp.Literal.number(6)]))
    for share in query.find_all(exp.Div):  # MySQL keeps five digits if both are whole
        share.set("this", exp.cast(share.this, "double"))
    for zoned in list(query.find_all(exp.AtTimeZone)):
        zone = zoned.args["zone"]
        converted = exp.func("convert_tz", zoned.this, exp.Literal.string("+00:00"), zone)
        zoned.replace(zoned.this if zone.name == "UTC" else converted)


def moment(iso: str | None, dialect: str | None) -> str | None:
    """Return an ISO 8601 moment as a statement's parameter: MySQL takes no offset, its moments are in UTC."""
    if not iso or dialect != "mysql":
        return iso
    return str(datetime.fromisoformat(iso).astimezone(timezone.utc).replace(tzinfo=None))


def moment_of(value: datetime | str | None) -> datetime | None:
    """Return a moment from a driver or the API, with its zone: SQLite returns text, MySQL moments without a zone.

    Raises ValueError for a text that is not a moment.
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
    """Return the type for texts of any length, as a cast names it."""
    return "char" if dialect == "mysql" else str(exp.DataType.build("text").sql(dialect=dialect))


def snake_case(longest: int | None) -> Callable[[str], str]:
    """Return dlt's function from a field's name to a column's, at most `longest` characters long (None: any length).

    Names are ASCII, so characters are bytes; dlt leaves other scripts' digits, and Postgres would cut some off.
    """
    naming = NamingConvention(longest) if longest else NamingConvention()
    return lambda field: naming.normalize_identifier(_NO_ASCII.sub(_hexadecimal, field))


def _hexadecimal(found: re.Match[str]) -> str:
    return f"u{ord(found[0]):x}"
