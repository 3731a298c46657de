"""Where the data goes: one module per kind of warehouse, and what they share."""

from boast_source.warehouse.base import Warehouse, kinds_of
from boast_source.warehouse.connection import SqlClient, columns_in, columns_of_ours, strange, until_answered
from boast_source.warehouse.errors import explain, explained, is_forbidden, is_lost, is_of_destination, words_of
from boast_source.warehouse.pipeline import warehouse_of

__all__ = [
    "SqlClient",
    "Warehouse",
    "columns_in",
    "columns_of_ours",
    "explain",
    "explained",
    "is_forbidden",
    "is_lost",
    "is_of_destination",
    "kinds_of",
    "strange",
    "until_answered",
    "warehouse_of",
    "words_of",
]
