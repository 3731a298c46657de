"""A table as the parts of it that a read needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boast_source.warehouse.dialect import text_literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from boast_source.warehouse.connection import SqlClient

FEW, MANY = 1000, 50_000  # ids in one query, and ids up to which several queries are made
SORTED = 1_000_000  # rows that DuckDB sorts or joins at once; more would take as much disk as the table


def parts_of(
    client: SqlClient,
    name: str,
    columns: Sequence[str],
    newest_by: tuple[str, str] | None,
    ids: Collection[str] | None,
    above: tuple[str, datetime] | None,
    without: str,
) -> Iterator[str]:
    """Yield the table, or parts of it that together hold the needed rows."""
    dialect = client.capabilities.sqlglot_dialect
    if ids is not None and len(ids) <= MANY:
        texts = [text_literal(key, dialect) for key in ids]
        key = client.escape_column_name("id")
        for first in range(0, len(texts), FEW):
            listed = ", ".join(texts[first : first + FEW])
            yield f"(select * from {name} where {key} in ({listed})) as part"
    elif above and above[0] in columns and dialect in {"duckdb", "postgres"}:
        column, since = client.escape_column_name(above[0]), text_literal(above[1].isoformat(), dialect)
        yield f"(select * from {name} where {column} > cast({since} as timestamptz)) as part"
    elif newest_by and dialect == "duckdb":
        key = client.escape_column_name(newest_by[0])
        parts = int((client.execute_sql(f"select count(*) from {name}") or [(0,)])[0][0]) // SORTED + 1
        for part in range(parts):
            inside = f"hash({key}) % {parts} = {part}" if parts > 1 else "true"
            lacking = (
                f"anti join (select {key} from {without} where {inside}) as other using ({key})" if without else ""
            )
            yield f"(select * from {name} {lacking} where {inside}) as part"
    elif without:
        key = client.escape_column_name("id")
        # a join would be slow in MariaDB, `not exists` in SQLite, and `not in` in Postgres
        both = f"select {key}, 1 as there from {without} union all select {key}, 0 as there from {name}"
        lacking = f"select {key} from ({both}) as ids group by {key} having max(there) = 0"
        yield f"(select * from {name} where {key} in ({lacking})) as part"
    else:
        yield name
