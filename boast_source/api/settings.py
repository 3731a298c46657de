"""The client's settings from dlt's configuration, `sources.boast.*`."""

from __future__ import annotations

from typing import Any

from dlt.common.configuration import configspec
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration

from boast_source.api.address import DEFAULT_BASE_URL
from boast_source.api.credentials import SECTIONS, resolve_credentials
from boast_source.errors import ConfigurationError


@configspec
class ClientSettings(BaseConfiguration):
    """What is no secret. `request_timeout` in seconds, for one request."""

    base_url: str = DEFAULT_BASE_URL
    max_concurrency: int = 8
    max_requests_per_second: float | None = None
    request_timeout: float = 60.0


def resolve_settings() -> dict[str, Any]:
    """All arguments of BoastClient. Raises ConfigurationError."""
    try:
        settings = resolve_configuration(ClientSettings(), sections=SECTIONS)
    except ConfigurationException:
        raise ConfigurationError(
            "A setting under sources.boast is of the wrong type",
            hint="base_url is a string; max_concurrency, max_requests_per_second and request_timeout are numbers",
        ) from None
    return {
        "credentials": resolve_credentials(),
        "base_url": settings.base_url,
        "max_concurrency": settings.max_concurrency,
        "max_requests_per_second": settings.max_requests_per_second,
        "request_timeout": settings.request_timeout,
    }
