"""Rows of the tables that the connector keeps beside dlt's schema, `runs` and `listings`: replaced by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from boast_source.warehouse import client_of, delta
from boast_source.warehouse.dialect import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import dlt

    from boast_source.warehouse import SqlClient


def put(
    pipeline: dlt.Pipeline,
    table: str,
    types: Mapping[str, str],
    key: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    ensure_table: Callable[[SqlClient], str],
) -> None:
    """Replace rows by key, all or none; a Delta table, whose times are ISO 8601 text, only grows.

    `types`: the columns, as text, bigint or timestamptz. `ensure_table` makes the table and returns its qualified name.
    Raises what the destination raises.
    """
    if delta.is_lake(pipeline):
        kinds = [(column, pa.int64() if kind == "bigint" else pa.string()) for column, kind in types.items()]
        delta.append(pipeline, table, pa.Table.from_pylist(list(rows), schema=pa.schema(kinds)))
        return
    with client_of(pipeline) as client:
        if client is None:
            return
        name = ensure_table(client)
        names = ", ".join(client.escape_column_name(column) for column in types)
        marks = ", ".join(["%s"] * len(types))
        same = " and ".join(f"{column} = %s" for column in key)
        dialect = client.capabilities.sqlglot_dialect
        with client.begin_transaction():
            for row in rows:
                client.execute_sql(f"delete from {name} where {same}", *[row.get(column) for column in key])
                values = [moment(row.get(c), dialect) if k == "timestamptz" else row.get(c) for c, k in types.items()]
                client.execute_sql(f"insert into {name} ({names}) values ({marks})", *values)
