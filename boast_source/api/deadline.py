"""urllib3 connections that keep one deadline from the first header byte to the last body byte.

A socket's own timeout begins anew with every byte, so a server that trickles would hold a thread for ever. These
connections also note when a request begins, which tells a handshake that failed from a request that was lost.
"""

from __future__ import annotations

import http.client
import io
import threading
import time
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    import socket

_thread = threading.local()  # a request is sent and answered in one thread


def start_request() -> None:
    _thread.begun = False


def request_begun() -> bool:
    """True once this thread's request may have left: the connection stood, also its TLS and its proxy tunnel."""
    return bool(getattr(_thread, "begun", True))


class _TimedReader(io.RawIOBase):
    """Reads a socket until `deadline` (of `time.monotonic`), then raises TimeoutError."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _TimedSocket:
    """The one method of a socket that `http.client.HTTPResponse` asks for."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(_TimedReader(self._sock, self._deadline), 64 * 1024)


def _timed_response(connection: Any, sock: socket.socket, *args: Any, **named: Any) -> Any:
    """urllib3 sets `connection.timeout` to what is left of the total right before it reads."""
    left = connection.timeout if connection.timeout is not None else 60.0
    timed: Any = _TimedSocket(sock, time.monotonic() + left)
    return http.client.HTTPResponse(timed, *args, **named)


class _Connection(HTTPConnection):
    response_class: Any = _timed_response

    def request(self, *args: Any, **named: Any) -> None:
        _thread.begun = True
        super().request(*args, **named)


class _TlsConnection(HTTPSConnection):
    response_class: Any = _timed_response

    def request(self, *args: Any, **named: Any) -> None:
        _thread.begun = True
        super().request(*args, **named)


class _Pool(HTTPConnectionPool):
    ConnectionCls: Any = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls: Any = _TlsConnection


POOLS: dict[str, Any] = {"http": _Pool, "https": _TlsPool}
