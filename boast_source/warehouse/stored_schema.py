"""What dlt's schema says of the tables, as the warehouse keeps it: whichever pipeline wrote it last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from dlt.common.destination.client import WithStateSync
from dlt.common.destination.exceptions import DestinationUndefinedEntity

if TYPE_CHECKING:
    import dlt


def tables_in(pipeline: dlt.Pipeline, schema: str) -> dict[str, Any]:
    """By name the tables of the schema that is stored in the dataset; none where nothing is stored."""
    with pipeline.destination_client() as client:
        if not isinstance(client, WithStateSync):
            return {}
        try:
            stored = client.get_stored_schema(schema)
        except DestinationUndefinedEntity:
            return {}
    tables: dict[str, Any] = orjson.loads(stored.schema)["tables"] if stored else {}
    return tables
