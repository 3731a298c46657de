"""The one seam to HTTP: sends one request exactly once and returns the whole answer.

urllib3 with retries and redirects off. `http.client` below it never repeats a request either. Writes go out on
a connection of their own: a kept-alive one that the server has just dropped would make a write's fate unknown.
"""

from __future__ import annotations

import os
import threading
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_auth_from_url, get_environ_proxies, select_proxy, urldefragauth
from urllib3 import PoolManager, ProxyManager, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ProxySchemeUnknown,
    SSLError,
)
from urllib3.exceptions import TimeoutError as UrllibTimeoutError
from urllib3.util import make_headers
from urllib3.util.ssl_ import create_urllib3_context

from boast_source.api.address import is_loopback
from boast_source.api.deadline import POOLS, request_begun, start_request
from boast_source.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from urllib3.response import BaseHTTPResponse

Kind = Literal["dns", "connect", "connect timeout", "tls", "proxy", "timeout", "reset", "cut", "too large"]

CONNECT_TIMEOUT = 15.0  # seconds for one address; a host may have several
MAX_BODY = 512 * 1024 * 1024  # bytes, decompressed
CHUNK = 256 * 1024


@dataclass(frozen=True)
class Response:
    """A whole answer: `headers` with lower-case names, `body` decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Response(status={self.status}, {len(self.body)} bytes)"


class TransportFailure(Exception):  # noqa: N818 (internal: the client turns it into one of the errors)
    """No whole answer. `sent` is False only when it is known that no byte of the request reached the server.

    `status` is set when the headers arrived but the body did not.
    """

    def __init__(self, kind: Kind, *, sent: bool, status: int | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.sent = sent
        self.status = status


class Transport:
    """Connections to the host of `url`, for any number of threads. `timeout`: seconds for a whole request."""

    def __init__(self, url: str, *, timeout: float, connections: int = 8) -> None:
        self.timeout = timeout
        self._connections = connections
        self._proxy = _proxy_for(url)
        self._tls = _tls_context() if url.startswith("https:") or self._proxy else None
        self._kept = self._pools()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Transport(timeout={self.timeout:g})"

    def send(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        """Send one request once. Connections are reused for GET only. Raises TransportFailure."""
        if method == "GET":
            return self._send(self._kept, method, url, headers, body)
        with self._pools() as own:
            return self._send(own, method, url, headers, body)

    def close(self) -> None:
        self._kept.clear()

    def _send(
        self, pools: PoolManager, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response:
        headers = {"Accept-Encoding": "gzip", **headers}
        if method != "GET":
            headers["Connection"] = "close"
        timeout = Timeout(total=self.timeout, connect=min(self.timeout, CONNECT_TIMEOUT))
        deadline = time.monotonic() + self.timeout
        start_request()
        try:
            answer = pools.urlopen(
                method,
                url,
                body=body,
                headers=headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, OSError) as error:
            raise _failure(error, proxied=self._proxy is not None) from None
        try:
            return _whole(answer, deadline)
        finally:
            answer.close()  # a body read to its end has already given its connection back

    def _pools(self) -> PoolManager:
        """TLS is verified always; there is no switch."""
        try:
            if self._proxy:
                user, password = get_auth_from_url(self._proxy)
                auth = make_headers(proxy_basic_auth=f"{user}:{password}") if user else None
                pools: PoolManager = ProxyManager(
                    urldefragauth(self._proxy),
                    num_pools=2,
                    maxsize=self._connections,
                    proxy_headers=auth,
                    proxy_ssl_context=self._tls,
                    ssl_context=self._tls,
                )
            else:
                pools = PoolManager(num_pools=2, maxsize=self._connections, ssl_context=self._tls)
        except (ProxySchemeUnknown, ValueError):
            raise ConfigurationError(
                "The proxy of the environment is not usable",
                hint="HTTPS_PROXY must be http:// or https://; SOCKS proxies are not supported",
            ) from None
        pools.pool_classes_by_scheme = POOLS
        return pools


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


def _failure(error: Exception, *, proxied: bool) -> TransportFailure:
    """Where the request was when it failed; `sent` comes from the connection, not from the error's text."""
    if isinstance(error, NameResolutionError):
        return TransportFailure("dns", sent=False)
    if isinstance(error, NewConnectionError):
        return TransportFailure("connect", sent=False)
    if isinstance(error, ConnectTimeoutError):
        return TransportFailure("connect timeout", sent=False)
    sent = request_begun()
    if isinstance(error, ProxyError) or (proxied and not sent):
        return TransportFailure("tls" if isinstance(error, SSLError) else "proxy", sent=sent)
    if isinstance(error, (UrllibTimeoutError, TimeoutError)):
        return TransportFailure("timeout" if sent else "connect timeout", sent=sent)
    if isinstance(error, SSLError):
        return TransportFailure("reset" if sent else "tls", sent=sent)
    return TransportFailure("reset", sent=sent)


def _whole(answer: BaseHTTPResponse, deadline: float) -> Response:
    status = answer.status
    chunks: list[bytes] = []
    size = 0
    try:
        for chunk in answer.stream(CHUNK, decode_content=False):
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_BODY:
                raise TransportFailure("too large", sent=True, status=status)
            if time.monotonic() > deadline:
                raise TransportFailure("timeout", sent=True, status=status)
    except (UrllibTimeoutError, TimeoutError):
        raise TransportFailure("timeout", sent=True, status=status) from None
    except (HTTPError, OSError, ValueError):
        raise TransportFailure("cut", sent=True, status=status) from None
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Response(status, headers, _decoded(b"".join(chunks), headers.get("content-encoding", ""), status))


def _decoded(body: bytes, encoding: str, status: int) -> bytes:
    """Decompressed here and not by urllib3, which does not notice a gzip stream that ends too early."""
    if encoding.strip().lower() in {"", "identity"} or not body:
        return body
    if encoding.strip().lower() not in {"gzip", "x-gzip"}:
        raise TransportFailure("cut", sent=True, status=status)
    parts: list[bytes] = []
    size = 0
    while body:
        stream = zlib.decompressobj(wbits=31)
        try:
            part = stream.decompress(body, MAX_BODY - size + 1)
        except zlib.error:
            raise TransportFailure("cut", sent=True, status=status) from None
        size += len(part)
        if size > MAX_BODY:
            raise TransportFailure("too large", sent=True, status=status)
        if not stream.eof:
            raise TransportFailure("cut", sent=True, status=status)
        parts.append(part)
        body = stream.unused_data
    return b"".join(parts)
