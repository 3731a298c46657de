"""Reads a world's warehouse as any client would, and says whether a stored row is a record of the API.

Column types are those that docs/model.md promises.
"""

from __future__ import annotations

import functools
import json
import re
import sqlite3
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

Rows = list[dict[str, Any]]
PAGE = Path(__file__).parents[2] / "docs" / "model.md"
OURS = {"account_id", "missing_since", "version_key", "version", "content_hash", "observed_at"}
OURS |= {"valid_from", "valid_to", "is_current"}


@functools.cache
def documented(table: str) -> dict[str, str]:
    """Return the type of each column of a table, as docs/model.md has it."""
    part = PAGE.read_text(encoding="utf-8").split(f"\n### {table}\n")[1].split("\n#")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", part, re.MULTILINE))


class Store:
    """One dataset. It is found by the table that every load makes, since a destination may respell its name."""

    def __init__(self, kind: str, address: str, *, writes: bool = False) -> None:
        self.kind, self.address, self.writes = kind, address, writes
        self.connection: Any = None
        self.schema = ""

    def __enter__(self):
        if self.kind == "duckdb":
            self.connection = duckdb.connect(self.address, read_only=not self.writes)
            self.connection.execute("set timezone = 'UTC'")
        elif self.kind == "postgres":
            import psycopg2  # noqa: PLC0415 -- with the extra only

            self.connection = psycopg2.connect(self.address)
            self.connection.autocommit = True
            self.connection.cursor().execute("set time zone 'UTC'")
        else:
            self.connection = sqlite3.connect(self.address)
        if self.kind != "sqlite":
            found = self.query(
                "select table_schema from information_schema.tables where table_name = 'sequence_enrollments'"
                " and table_schema not like '%staging%'"
            )
            self.schema = f'"{found[0]["table_schema"]}".' if found else ""
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def query(self, sql: str) -> Rows:
        cursor = self.connection.cursor()
        cursor.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def execute(self, sql: str) -> None:
        self.connection.cursor().execute(sql)

    def rows(self, table: str) -> Rows:
        return self.query(f"select * from {self.schema}{table}")

    def names(self) -> set[str]:
        if self.kind == "sqlite":
            return {row["name"] for row in self.query("select name from sqlite_master")}
        schema = self.schema.strip('".')
        found = self.query(f"select table_name from information_schema.tables where table_schema = '{schema}'")
        return {row["table_name"] for row in found}


def moment(value: Any) -> Any:
    """Return a time as microseconds since 1970, whatever a driver or the API made of it; None stays."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        plain = value.upper().replace(",", ".").replace(" +", "+").replace("Z", "+00:00")
        value = datetime.fromisoformat(re.sub(r"(\+\d\d)(\d\d)$", r"\1:\2", plain))
    if value.tzinfo is None:
        value = value.replace(tzinfo=timezone.utc)
    delta = value - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return delta.days * 86_400_000_000 + delta.seconds * 1_000_000 + delta.microseconds


def as_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def fits(kind: str, value: Any, got: Any) -> bool:
    """Whether a documented column of this type has the value of the record."""
    if value is None or got is None:
        return value is None and got is None
    if kind == "timestamptz":
        return moment(value) == moment(got)
    if kind == "json":
        return value == as_json(got)
    return float(value) == float(got) if kind in ("double", "bigint") else str(value) == got


def as_sent(value: Any, got: Any) -> bool:
    """Whether a column of an undocumented field has its value, whatever type the column has."""
    if isinstance(value, bool):
        return (
            got is value
            or (got in ("true", "True") and value)
            or (got in ("false", "False") and not value)
            or (isinstance(got, int) and bool(got) == value)
        )
    if isinstance(value, int | float) and isinstance(got, int | float | Decimal) and not isinstance(got, bool):
        return float(value) == float(got)
    if isinstance(value, str) and isinstance(got, datetime | date):
        return value == got.isoformat() or moment(value) == moment(got)
    if got == value:
        return True
    try:
        return json.loads(got) == value
    except (TypeError, ValueError):
        return False


def column(field: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", field).lower()


def differences(table: str, account: str, content: dict[str, Any], row: dict[str, Any]) -> list[str]:
    """Return how a stored row differs from the record, as `column: value of the record, value stored`."""
    found, used = [], {*OURS, "other_fields"}
    others = dict(as_json(row.get("other_fields")) or {})  # of fields beyond `max_extra_columns`
    known = {name: kind for name, kind in documented(table).items() if name not in OURS}
    for name, kind in known.items():
        value: Any = content
        for part in name.split("__"):
            value = value.get(part) if isinstance(value, dict) else None
        used.add(name)
        if not fits(kind, value, row.get(name)):
            found.append(f"{name}: {value!r}, {row.get(name)!r}")
    tops = {name.split("__")[0] for name in known}
    for field, value in content.items():
        if field in tops:
            continue
        mine = {
            name: got for name, got in row.items() if name == column(field) or name.startswith(column(field) + "__v_")
        }
        used |= set(mine)
        mine |= {f"other_fields.{field}": others.pop(field)} if field in others else {}
        there = [got for got in mine.values() if got is not None]
        if (value is None and there) or (value is not None and not (len(there) == 1 and as_sent(value, there[0]))):
            found.append(f"{field}: {value!r}, {mine!r}")
    left = {k: v for k, v in row.items() if k not in used and v is not None and not k.startswith("_dlt")}
    if left or others:
        found.append(f"not in the record: {left} {others}")
    if row.get("account_id") != account:
        found.append(f"account_id: {account}, {row.get('account_id')}")
    return found
