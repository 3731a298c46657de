"""The part of a table that is needed, as SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boast_source.warehouse.dialect import text_literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from boast_source.warehouse.connection import SqlClient

FEW, MANY = 1000, 50_000  # ids that a query may name, and for how many there are several queries


def sources(
    client: SqlClient,
    name: str,
    columns: Sequence[str],
    ids: Collection[str] | None,
    above: tuple[str, datetime] | None,
) -> Iterator[str]:
    """The table, or parts of it that together hold the rows that are needed."""
    dialect = client.capabilities.sqlglot_dialect
    if ids is not None and len(ids) <= MANY:
        texts = [text_literal(key, dialect) for key in ids]
        key = client.escape_column_name("id")
        for first in range(0, len(texts), FEW):
            listed = ", ".join(texts[first : first + FEW])
            yield f"(select * from {name} where {key} in ({listed})) as part"
    elif above and above[0] in columns and dialect in {"duckdb", "postgres"}:
        column, moment = client.escape_column_name(above[0]), text_literal(above[1].isoformat(), dialect)
        yield f"(select * from {name} where {column} > cast({moment} as timestamptz)) as part"
    else:
        yield name
