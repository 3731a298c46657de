"""The HTTP transport: sends one request exactly once and returns the whole answer.

Why not a library: nothing may be sent twice, one deadline covers everything, memory is bounded, and no answer may be
taken for another request's. dlt's and urllib3's sessions repeat requests on their own; aiohttp and libcurl do if a kept
connection is dead. libcurl (8.23, through pycurl) also takes an early answer for the next request's, and a cut gzip
stream for a whole one. It needs the checks below, too (430 lines instead of these two files' 550), and wheels that some
systems lack. `python -m benchmarks.transport`: fetching and parsing takes 1.6 times as long as with bare libcurl
without latency and 1.1 at 20 ms a page; that is 1.04 and 0.98 times what it took before answers were compared.

- Nothing here ever repeats a request. Each write gets its own connection, closed afterwards: a kept one that the server
  has just dropped would leave the write's fate unknown. Redirects are not followed.
- If anything arrives on a connection before a request is sent, it is closed, and the request is not sent on it.
- A surplus answer may still arrive later. So a kept connection serves only one `lane` (the pages or the records of one
  list) and no target twice, and it is kept only after `compare` matched the answer with its request (a page's number,
  a record's id). No answer to an earlier request then fits the next one.
- `reader` reads leniently, within the bounds given there. At most `max_concurrency` answers are in flight.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import time
import weakref
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from requests.utils import get_auth_from_url
from urllib3.util.ssltransport import SSLTransport

from boast_source.api.address import proxy_for, tls_context
from boast_source.api.reader import Kind, Response, TransportFailure, read_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


CONNECT_TIMEOUT = 15.0  # seconds in all, shared by the addresses of a host
MOST_REQUESTS = 1000  # on one connection
_CLEAN_TARGET = re.compile(r"/[!-~]*")


class Transport:
    """Connections to the host of `url`, for any number of threads. `timeout`: seconds for a whole request.

    `connections`: how many are kept for later reads. Raises ConfigurationError for a proxy or certificates that cannot
    be used.
    """

    def __init__(self, url: str, *, timeout: float, connections: int = 8) -> None:
        self.timeout = timeout
        self._route = Route(url)
        self._most = connections
        self._kept: list[_Line] = []
        self._reading: set[_Line] = set()
        self._owner = os.getpid()
        self._closed = False
        weakref.finalize(self, _close_all, self._kept)  # a client that nobody closes leaves no open socket behind

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        lane: str | None = None,
        compare: Callable[[Response], bool] | None = None,
    ) -> Response:
        """Send one request once, to the transport's host. Raises TransportFailure, and what `compare` raises.

        A GET with a `lane` may reuse a connection that an earlier one of the same lane left. Its own is left for the
        next if `compare` finds that the answer belongs to this request.
        """
        deadline = time.monotonic() + self.timeout
        target = _target(url)
        request = self._request(method, target, headers, body)
        kept = self._idle(lane, target) if lane and method == "GET" else None
        line = kept or _Line(lane)
        line.asked.add(target)
        keep = False
        try:
            if method == "GET":
                self._reading.add(line)
            if not kept:
                line.open(self._route, self.timeout)
            line.send(request, deadline, silent=bool(kept))
            answer, reusable = read_answer(line.sock, deadline, fresh=not kept)
            keep = bool(compare and compare(answer)) and reusable
            return answer
        finally:
            self._reading.discard(line)
            if keep and lane and method == "GET" and not self._closed:
                self._kept.append(line)
                if len(self._kept) > self._most:
                    self._kept.pop(0).close()
            else:
                line.close()

    def close(self) -> None:
        """Close kept connections and abort running reads; running writes may finish."""
        self._closed = True
        _close_all(self._kept)
        for line in list(self._reading):
            line.shut()

    def _idle(self, lane: str, target: str) -> _Line | None:
        """Return a kept connection of the lane on which nothing has arrived since its last answer, not even its end."""
        if self._owner != os.getpid():  # after a fork they are the parent's
            _close_all(self._kept)
            self._reading.clear()
            self._owner = os.getpid()
        for line in reversed(list(self._kept)):
            if line.lane != lane or target in line.asked or len(line.asked) >= MOST_REQUESTS:
                continue
            try:
                self._kept.remove(line)
            except ValueError:  # another thread was faster
                continue
            if line.is_silent():
                return line
            line.close()
        return None

    def _request(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        fields = {"Host": self._route.host, "Accept-Encoding": "gzip", **headers}
        if method != "GET":
            fields["Connection"] = "close"
            fields["Content-Length"] = str(len(body or b""))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1") + (body or b"")


class Route:
    """The way to the host of `url`: directly or through the environment's proxy, TLS always verified."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.name = (parts.hostname or "").encode("idna").decode()
        secure = parts.scheme == "https"
        self.port = parts.port or (443 if secure else 80)
        name = f"[{self.name}]" if ":" in self.name else self.name
        self.host = name if parts.port is None else f"{name}:{parts.port}"  # as in the header Host
        self.tls = tls_context() if secure else None
        proxy = proxy_for(url)
        self.proxy = urlsplit(proxy) if proxy else None
        user, password = get_auth_from_url(proxy) if proxy else ("", "")
        secret = b64encode(f"{user}:{password}".encode()).decode()
        authority = f"{name}:{self.port}"
        asked = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", "User-Agent: boast-source"]
        asked += [f"Proxy-Authorization: Basic {secret}"] if user else []
        self.tunnel = "\r\n".join([*asked, "", ""]).encode("latin-1")


class _Line:
    """One connection. Another thread may `shut` it at any moment."""

    def __init__(self, lane: str | None) -> None:
        self.lane = lane
        self.asked: set[str] = set()  # targets
        self.sock: Any = None  # what is read and written; TLS inside a proxy's TLS is not a socket
        self._raw: socket.socket | None = None
        self._shut = False

    def open(self, route: Route, timeout: float) -> None:
        """Connect; nothing is sent yet. Raises TransportFailure."""
        deadline = time.monotonic() + min(timeout, CONNECT_TIMEOUT)
        try:
            if route.proxy:
                self._tunnel(route, deadline)
            else:
                self._connect(route.name, route.port, deadline)
        except (OSError, TransportFailure) as error:
            raise TransportFailure("proxy" if route.proxy else _kind(error), sent=False) from None
        try:
            if route.tls:
                self._secure(route.tls, route.name, deadline)
        except OSError as error:
            kind: Kind = "tls" if isinstance(error, ssl.SSLError) else "proxy" if route.proxy else "reset"
            timed_out = isinstance(error, TimeoutError) and not route.proxy
            raise TransportFailure("connect timeout" if timed_out else kind, sent=False) from None

    def send(self, request: bytes, deadline: float, *, silent: bool = False) -> None:
        """Send the request; the server may then have it. `silent`: known to be `is_silent`. Raises TransportFailure."""
        if not silent and not self.is_silent():
            raise TransportFailure("reset", sent=False)
        try:
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            self.sock.sendall(request)
        except TimeoutError:
            raise TransportFailure("timeout", sent=True) from None
        except OSError:
            raise TransportFailure("reset", sent=True) from None

    def is_silent(self) -> bool:
        """Whether nothing unrequested has arrived, not even the end of the connection."""
        try:
            self.sock.settimeout(0)
            self.sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False

    def shut(self) -> None:
        """Abort whatever another thread does on the connection."""
        self._shut = True
        if self._raw:
            with suppress(OSError):
                socket.socket.shutdown(self._raw, socket.SHUT_RDWR)  # TLS's own would continue in clear text

    def close(self) -> None:
        if self._raw:
            self._raw.close()

    def _use(self, sock: socket.socket) -> None:
        self.sock = self._raw = sock
        if self._shut:
            raise ConnectionAbortedError

    def _connect(self, host: str, port: int, deadline: float) -> None:
        """Try the host's addresses in turn; each gets its share of the time."""
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for at, (family, kind, protocol, _, address) in enumerate(addresses, 1):
            sock = socket.socket(family, kind, protocol)
            try:
                self._use(sock)
                sock.settimeout(max(0.001, deadline - time.monotonic()) / (len(addresses) + 1 - at))
                sock.connect(address)
            except OSError:
                sock.close()
                if at == len(addresses):
                    raise
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return

    def _secure(self, context: ssl.SSLContext, name: str, deadline: float) -> None:
        assert self._raw
        self._raw.settimeout(max(0.001, deadline - time.monotonic()))
        if isinstance(self._raw, ssl.SSLSocket):
            self.sock = SSLTransport(self._raw, context, server_hostname=name)
            return
        sock = context.wrap_socket(self._raw, server_hostname=name, do_handshake_on_connect=False)
        self._use(sock)
        sock.do_handshake()

    def _tunnel(self, route: Route, deadline: float) -> None:
        assert route.proxy
        host, secure = route.proxy.hostname or "", route.proxy.scheme == "https"
        self._connect(host, route.proxy.port or (443 if secure else 80), deadline)
        if secure:
            self._secure(tls_context(), host, deadline)
        self.sock.settimeout(max(0.001, deadline - time.monotonic()))
        self.sock.sendall(route.tunnel)
        answer, _ = read_answer(self.sock, deadline, tunnel=True)
        if not 200 <= answer.status < 300:
            raise ConnectionRefusedError


def _kind(error: Exception) -> Kind:
    """Return why no connection was made."""
    if isinstance(error, socket.gaierror):
        return "dns"
    return "connect timeout" if isinstance(error, TimeoutError) else "connect"


def _target(url: str) -> str:
    target = "/" + url.split("/", 3)[3] if url.count("/") > 2 else "/"
    return target if _CLEAN_TARGET.fullmatch(target) else quote(target, safe="/%:=&?+!$,;'@()*[]~")


def _close_all(lines: list[_Line]) -> None:
    while lines:
        with suppress(IndexError):  # another thread was faster
            lines.pop().close()
