"""The statements of diff.sql, by name."""

from __future__ import annotations

from boast_source.warehouse.sql import filled, queries


def of(name: str, **values: str) -> str:
    """Return a statement with its placeholders filled."""
    return filled(queries(__package__, "diff.sql")[name], **values)
