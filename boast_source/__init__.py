"""The public API of the Boast connector: a dlt source, a typed client, the commands as functions, and their errors."""

from __future__ import annotations

from importlib import import_module
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
    from boast_source.jobs.load import load_job
    from boast_source.jobs.nightly import nightly_job
    from boast_source.jobs.push import push_job
    from boast_source.jobs.report import report_job
    from boast_source.load.own_pipeline import by_row, create_views, dataset, verify
    from boast_source.load.source import boast_source

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
    "by_row",
    "create_views",
    "dataset",
    "load_job",
    "nightly_job",
    "push_job",
    "report_job",
    "verify",
]

_LAZY = {
    "BoastClient": "api",
    "boast_source": "load.source",
    "by_row": "load.own_pipeline",
    "create_views": "load.own_pipeline",
    "dataset": "load.own_pipeline",
    "load_job": "jobs.load",
    "nightly_job": "jobs.nightly",
    "push_job": "jobs.push",
    "report_job": "jobs.report",
    "verify": "load.own_pipeline",
}


def __getattr__(name: str) -> Any:
    """Import dlt and the client on first use: `boast --help` needs neither."""
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
