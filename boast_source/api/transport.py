"""The one seam to HTTP: sends one request exactly once and returns the whole answer.

Nothing here ever repeats a request. Writes go out on a connection of their own: a kept-alive one that the server has
just dropped would make a write's fate unknown.
"""

from __future__ import annotations

import os
import re
import time
import weakref
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from urllib3.util import parse_url

from boast_source.api.connection import Route, shut
from boast_source.api.reader import TransportFailure, read_answer

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from urllib3.connection import HTTPConnection

    from boast_source.api.reader import Response

_CLEAN_TARGET = re.compile(r"/[!-~]*")


class Transport:
    """Connections to the host of `url`, for any number of threads. `timeout`: seconds for a whole request.

    `connections`: how many are kept for the next reads.
    """

    def __init__(self, url: str, *, timeout: float, connections: int = 8) -> None:
        self.timeout = timeout
        self._route = Route(url)
        self._most = connections
        self._kept: deque[HTTPConnection] = deque()
        self._reading: set[HTTPConnection] = set()
        self._owner = os.getpid()
        self._closed = False
        weakref.finalize(self, _close_all, self._kept)  # a client that nobody closes leaves no open socket behind

    def __repr__(self) -> str:
        return f"Transport(timeout={self.timeout:g})"

    def send(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        """Send one request once, to the transport's host. Connections are reused for GET only.

        Raises TransportFailure.
        """
        deadline = time.monotonic() + self.timeout
        request = self._request(method, url, headers, body)
        reads = method == "GET"
        connection = (self._idle() if reads else None) or self._route.open(self.timeout)
        keep = False
        try:
            if reads:
                self._reading.add(connection)
            sock = connection.sock
            assert sock
            _send(sock, request, deadline)
            answer, keep = read_answer(sock, deadline)
            return answer
        finally:
            self._reading.discard(connection)
            if keep and reads and not self._closed and len(self._kept) < self._most:
                self._kept.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Close what is kept and end the reads that are under way; writes are left to end."""
        self._closed = True
        _close_all(self._kept)
        for connection in list(self._reading):
            shut(connection)

    def _idle(self) -> HTTPConnection | None:
        """A kept connection that the server has not closed yet."""
        mine = self._owner == os.getpid()  # after a fork they are the parent's
        while self._kept:
            try:
                connection = self._kept.pop()
            except IndexError:  # another thread was faster
                return None
            if mine and connection.is_connected:
                return connection
            connection.close()
        self._owner = os.getpid()
        return None

    def _request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        target = "/" + url.split("/", 3)[3] if url.count("/") > 2 else "/"
        if not _CLEAN_TARGET.fullmatch(target):
            target = parse_url(url).request_uri
        fields = {"Host": self._route.host, "Accept-Encoding": "gzip", **headers}
        if method != "GET":
            fields["Connection"] = "close"
            fields["Content-Length"] = str(len(body or b""))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1") + (body or b"")


def _close_all(connections: deque[HTTPConnection]) -> None:
    while connections:
        with suppress(IndexError):  # another thread was faster
            connections.pop().close()


def _send(sock: socket.socket, request: bytes, deadline: float) -> None:
    """From here on the server may have got it."""
    try:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        sock.sendall(request)
    except TimeoutError:
        raise TransportFailure("timeout", sent=True) from None
    except OSError:
        raise TransportFailure("reset", sent=True) from None
