"""Addresses: where the token may be sent, through which proxy, with which certificates, and how ids become paths."""

from __future__ import annotations

import os
import ssl
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy, urldefragauth

from boast_source.config import DEFAULT_BASE_URL
from boast_source.errors import ConfigurationError
from boast_source.private import no_pipe

OAUTH_URL = "https://app.boast.io/oauth"
DEFAULT_TOKEN_URL = f"{OAUTH_URL}/token"
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")  # the first one that is set wins


def checked_url(url: str, key: str) -> str:
    """Return `url` without a trailing slash if a token may be sent there: https, or http to a loopback address.

    `key`: the setting to name in errors. Raises ConfigurationError.
    """
    hint = f"Set {key} to an https:// address, for example {DEFAULT_BASE_URL}"
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{key} is no valid address", hint=hint) from None
    if parts.scheme not in {"http", "https"} or not is_host(host) or port == 0 or any(c <= " " for c in url.strip()):
        raise ConfigurationError(f"{key} is no valid http(s) address", hint=hint)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(f"{key} must be an address without user, query or fragment", hint=hint)
    if parts.scheme == "http" and not is_loopback(host or ""):
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
    """Return a path such as `/a/b`; each segment is escaped, so that it stays a single one.

    Raises ConfigurationError for a segment that no path can hold: an empty one, `.` and `..`.
    """
    for segment in segments:
        if not isinstance(segment, str) or not segment.strip() or segment.strip() in {".", ".."}:
            raise ConfigurationError(
                f"The id {segment!r} cannot be part of an address: an id is empty or no id",
                hint="Pass the id as the API lists it, a UUID as a string",
            )
    return "".join("/" + quote(segment.strip(), safe="") for segment in segments)


def is_host(name: str | None) -> bool:
    """Whether a name can be looked up at all: labels of 1 to 63 characters, without spaces."""
    try:
        return bool(name and name.isprintable() and " " not in name and name.encode("idna"))
    except UnicodeError:
        return False


def proxy_for(url: str) -> str | None:
    """Return the environment's proxy for `url`, as `requests` reads it.

    Loopback addresses never use a proxy: plain http would show it the token. Raises ConfigurationError.
    """
    if is_loopback(urlsplit(url).hostname or ""):
        return None
    proxy = select_proxy(url, get_environ_proxies(url, no_proxy=None))
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parts = urlsplit(urldefragauth(proxy))
        usable = parts.scheme in {"http", "https"} and is_host(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(
            "The proxy of the environment is not usable",
            hint="HTTPS_PROXY must be http://host:port or https://host:port; SOCKS proxies are not supported",
        )
    return proxy


def tls_context() -> ssl.SSLContext:
    """Return a context that verifies against the first of BUNDLES, or certifi's list. Raises ConfigurationError."""
    name = next((each for each in BUNDLES if os.environ.get(each)), "")
    bundle = os.environ[name] if name else DEFAULT_CA_BUNDLE_PATH
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    folder = Path(bundle).is_dir()
    try:
        context.load_verify_locations(
            cafile=None if folder else no_pipe(Path(bundle)), capath=bundle if folder else None
        )
    except OSError:  # ssl.SSLError is one
        raise ConfigurationError(
            f"The certificates that {name} names cannot be read", hint=f"Point {name} to a PEM file or unset it"
        ) from None
    return context
