"""How to reach one host: directly or through the environment's proxy, TLS verified always.

urllib3 resolves names, asks the proxy for a tunnel and verifies certificates; what is sent then is not its business.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_auth_from_url, get_environ_proxies, select_proxy, urldefragauth
from urllib3._base_connection import ProxyConfig
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError
from urllib3.util import make_headers, parse_url
from urllib3.util.ssl_ import create_urllib3_context

from boast_source.api.address import is_loopback
from boast_source.api.reader import TransportFailure
from boast_source.errors import ConfigurationError

if TYPE_CHECKING:
    from boast_source.api.reader import Kind

CONNECT_TIMEOUT = 15.0  # seconds for one address; a host may have several


class Route:
    """The way to the host of `url`. Raises ConfigurationError for certificates or a proxy that cannot be used."""

    def __init__(self, url: str) -> None:
        parts = parse_url(url)
        self.host = parts.netloc or ""  # as the header Host has it
        self._name, self._port = (parts.host or "").strip("[]"), parts.port
        proxy = _proxy_for(url)
        self._proxy = parse_url(urldefragauth(proxy)) if proxy else None
        user, password = get_auth_from_url(proxy) if proxy else ("", "")
        self._proxy_headers = make_headers(proxy_basic_auth=f"{user}:{password}") if user else None
        if self._proxy and self._proxy.scheme not in {"http", "https"}:
            raise ConfigurationError(
                "The proxy of the environment is not usable",
                hint="HTTPS_PROXY must be http:// or https://; SOCKS proxies are not supported",
            )
        self._tls = _tls_context() if parts.scheme == "https" else None

    def open(self, timeout: float) -> HTTPConnection:
        """A new connection, nothing sent on it yet. `timeout`: seconds. Raises TransportFailure."""
        timeout = min(timeout, CONNECT_TIMEOUT)
        connection = self._connection(timeout)
        # a proxy that trickles its answer would hold a thread for ever
        watch = threading.Timer(timeout, shut, (connection,)) if self._proxy else None
        try:
            if watch:
                watch.daemon = True
                watch.start()
            connection.connect()
        except (HTTPError, http.client.HTTPException, OSError) as error:
            kind = _kind(error, connection)
            connection.close()
            raise TransportFailure(kind, sent=False) from None
        except BaseException:
            connection.close()
            raise
        finally:
            if watch:
                watch.cancel()
        return connection

    def _connection(self, timeout: float) -> HTTPConnection:
        if self._tls is None:  # plain http is for loopback addresses, which are never reached through a proxy
            return HTTPConnection(self._name, self._port, timeout=timeout)
        if self._proxy is None:
            return HTTPSConnection(self._name, self._port, timeout=timeout, ssl_context=self._tls)
        connection = HTTPSConnection(
            self._proxy.host or "",
            self._proxy.port or (443 if self._proxy.scheme == "https" else 80),
            timeout=timeout,
            ssl_context=self._tls,
            proxy=self._proxy,
            proxy_config=ProxyConfig(self._tls, False, None, None),  # no forwarding: always a tunnel
        )
        connection.set_tunnel(self._name, self._port or 443, self._proxy_headers, self._proxy.scheme or "http")
        return connection


def shut(connection: HTTPConnection) -> None:
    """End whatever another thread does on the connection."""
    sock = connection.sock
    if isinstance(sock, socket.socket):
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not the TLS socket's own, which would go on in clear text


def _proxy_for(url: str) -> str | None:
    """A loopback address is never reached through a proxy: plain http would show it the token."""
    if is_loopback(urlsplit(url).hostname or ""):
        return None
    proxy = select_proxy(url, get_environ_proxies(url, no_proxy=None))
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    return proxy or None


def _tls_context() -> ssl.SSLContext:
    """Verifies against REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or SSL_CERT_FILE, or else certifi's list."""
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    name, bundle = next(((n, os.environ[n]) for n in names if os.environ.get(n)), ("", DEFAULT_CA_BUNDLE_PATH))
    context = create_urllib3_context()
    folder = os.path.isdir(bundle)  # noqa: PTH112 (a plain string from the environment)
    try:
        context.load_verify_locations(
            cafile=None if folder else bundle,
            capath=bundle if folder else None,
        )
    except OSError:  # ssl.SSLError is one
        raise ConfigurationError(
            f"The certificates that {name} names cannot be read",
            hint=f"Point {name} to a PEM file or unset it",
        ) from None
    return context


def _kind(error: Exception, connection: HTTPConnection) -> Kind:
    """What stood in the way of a connection."""
    if connection.proxy and not (isinstance(error, ssl.SSLError) and connection.has_connected_to_proxy):
        return "proxy"
    if isinstance(error, NameResolutionError):
        return "dns"
    if isinstance(error, NewConnectionError):  # also a ConnectTimeoutError in some versions
        return "connect"
    if isinstance(error, (ConnectTimeoutError, TimeoutError)):
        return "connect timeout"
    return "tls" if isinstance(error, ssl.SSLError) else "reset"
