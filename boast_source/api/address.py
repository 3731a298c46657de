"""Addresses: where the token may travel, and how ids become paths."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from boast_source.config import DEFAULT_BASE_URL
from boast_source.errors import ConfigurationError

OAUTH_URL = "https://app.boast.io/oauth"
DEFAULT_TOKEN_URL = f"{OAUTH_URL}/token"


def checked_url(url: str, key: str) -> str:
    """`url` without a trailing slash, if a token may be sent there: https, or http to a loopback address.

    `key` is the configuration key to name. Raises ConfigurationError.
    """
    hint = f"Set {key} to an https:// address, for example {DEFAULT_BASE_URL}"
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{key} is no valid address", hint=hint) from None
    if parts.scheme not in {"http", "https"} or not host or port == 0 or any(c <= " " for c in url.strip()):
        raise ConfigurationError(f"{key} is no valid http(s) address", hint=hint)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(f"{key} must be an address without user, query or fragment", hint=hint)
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"{key} is plain http to {host}: the token would travel in clear text",
            hint="Use https://; http:// is for loopback addresses only",
        )
    return url.strip().rstrip("/")


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def path_of(*segments: str) -> str:
    """`/a/b`; every segment is one path segment whatever it holds. Raises ConfigurationError for an empty one."""
    for segment in segments:
        if not isinstance(segment, str) or not segment.strip() or segment.strip() in {".", ".."}:
            raise ConfigurationError(
                "An id is empty or no id", hint="Pass the id as the API lists it, a UUID as a string"
            )
    return "".join("/" + quote(segment.strip(), safe="") for segment in segments)
