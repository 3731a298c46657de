"""Where the data goes: one module per kind of warehouse, and what they share."""

from boast_source.warehouse.base import (
    SqlClient,
    batches,
    bounded,
    client_of,
    columns_in,
    connected,
    file_of,
    has_only_ours,
    is_file,
    is_postgres,
    is_there,
    kinds_in,
    kinds_of,
    limit_memory,
    place,
    read,
)
from boast_source.warehouse.counts import count_present
from boast_source.warehouse.errors import explain, explained, is_lost, is_of_destination, unconfigured
from boast_source.warehouse.locks import awake, lock_accounts, lock_sender, migrating
from boast_source.warehouse.stored_schema import tables_in

__all__ = [
    "SqlClient",
    "awake",
    "batches",
    "bounded",
    "client_of",
    "columns_in",
    "connected",
    "count_present",
    "explain",
    "explained",
    "file_of",
    "has_only_ours",
    "is_file",
    "is_lost",
    "is_of_destination",
    "is_postgres",
    "is_there",
    "kinds_in",
    "kinds_of",
    "limit_memory",
    "lock_accounts",
    "lock_sender",
    "migrating",
    "place",
    "read",
    "tables_in",
    "unconfigured",
]
