"""Where the data goes: one module per kind of warehouse, and what they share."""

from boast_source.warehouse.base import Warehouse, kinds_of
from boast_source.warehouse.connection import SqlClient, columns_in
from boast_source.warehouse.errors import explain, explained, is_lost, is_of_destination, words_of
from boast_source.warehouse.kinds import warehouse_of

__all__ = [
    "SqlClient",
    "Warehouse",
    "columns_in",
    "explain",
    "explained",
    "is_lost",
    "is_of_destination",
    "kinds_of",
    "warehouse_of",
    "words_of",
]
