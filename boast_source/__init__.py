"""The Boast connector's one door: a dlt source, a typed client, and their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from boast_source.errors import (
    ApiError,
    AuthenticationError,
    BoastError,
    ConfigurationError,
    DestinationError,
    ForbiddenError,
    LockedError,
    NotFoundError,
    PagingError,
    RefusedError,
    UnavailableError,
    UnreadableError,
)

if TYPE_CHECKING:
    from boast_source.api import BoastClient
    from boast_source.source import boast_source

__all__ = [
    "ApiError",
    "AuthenticationError",
    "BoastClient",
    "BoastError",
    "ConfigurationError",
    "DestinationError",
    "ForbiddenError",
    "LockedError",
    "NotFoundError",
    "PagingError",
    "RefusedError",
    "UnavailableError",
    "UnreadableError",
    "boast_source",
]


def __getattr__(name: str) -> Any:
    """Import dlt and the client when they are first asked for: `boast --help` needs neither."""
    if name == "boast_source":
        from boast_source.source import boast_source  # noqa: PLC0415

        return boast_source
    if name == "BoastClient":
        from boast_source.api import BoastClient  # noqa: PLC0415

        return BoastClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
