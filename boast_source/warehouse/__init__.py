"""Where the data goes: one module per kind of warehouse, and what they share."""

from boast_source.warehouse.base import (
    TO_READ,
    TO_WRITE,
    SqlClient,
    batches,
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
    modest,
    place,
    read,
)
from boast_source.warehouse.errors import explain, explained, unconfigured
from boast_source.warehouse.locks import lock_accounts, lock_sender, migrating

__all__ = [
    "TO_READ",
    "TO_WRITE",
    "SqlClient",
    "batches",
    "client_of",
    "columns_in",
    "connected",
    "explain",
    "explained",
    "file_of",
    "has_only_ours",
    "is_file",
    "is_postgres",
    "is_there",
    "kinds_in",
    "kinds_of",
    "lock_accounts",
    "lock_sender",
    "migrating",
    "modest",
    "place",
    "read",
    "unconfigured",
]
