"""Which undocumented field fills which column: kept with the column in dlt's schema, and so in the warehouse.

A field keeps the column that it got first, in every pipeline over the dataset, even when the API no longer delivers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from boast_source.warehouse.dropped import FIELD

if TYPE_CHECKING:
    from collections.abc import Iterable

    import dlt

    from boast_source.warehouse import Warehouse


def known(warehouse: Warehouse, schema: dlt.Schema, tables: Iterable[str]) -> dict[str, str]:
    """Map each column to its field, from the pipeline's own schema and the warehouse's; the first of `tables` wins."""
    everywhere = [schema.tables, warehouse.stored_schema(schema.name)]
    found: dict[str, str] = {}
    for table in tables:
        for there in everywhere:
            for name, column in there.get(table, {}).get("columns", {}).items():
                if FIELD in column:
                    found.setdefault(name, str(column[FIELD]))
    return found
