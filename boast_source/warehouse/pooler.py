"""Poolers between the connector and Postgres, such as pgbouncer.

Source: pgbouncer's documentation, "SQL feature map for pooling modes".
"""

from __future__ import annotations

import contextlib
import functools
from typing import Any

from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient


@functools.lru_cache
def is_pooled(dsn: str) -> bool:
    """Whether there is a pooler in transaction mode: its sessions have no backend of their own, and keep no lock."""
    connect: Any = Psycopg2SqlClient.dbapi.connect  # type: ignore[attr-defined]
    with contextlib.closing(connect(dsn)) as one, contextlib.closing(connect(dsn)) as other:
        backends = []
        for session in (one, one, other):
            session.autocommit = True
            with session.cursor() as cursor:
                cursor.execute("select pg_backend_pid()")
                backends.append(cursor.fetchone())
    first, again, others = backends
    return bool(first != again or first == others)
