"""Reads one whole answer off a connection, in bounded time and memory.

llhttp (httptools) parses it; the socket is read here, so that one deadline holds from the first byte to the last. A
socket's own timeout begins anew with every byte, and a server that trickles would hold a thread for ever.
"""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

Kind = Literal["dns", "connect", "connect timeout", "tls", "proxy", "timeout", "reset", "cut", "too large"]

MAX_BODY = 512 * 1024 * 1024  # bytes, decompressed
MAX_HEAD = 256 * 1024  # bytes
CHUNK = 64 * 1024
_SLACK = 0.05  # seconds that an answer may outlive its deadline; setting a socket's timeout is not free


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


class _Answer:
    """What the parser has found so far: it calls these methods."""

    def __init__(self) -> None:
        self.parser: HttpResponseParser | None = None
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.size = 0
        self.status: int | None = None  # once the headers are whole
        self.whole = False
        self.keep = False
        self.more = False  # bytes after the answer: the connection is out of step

    def on_message_begin(self) -> None:
        self.more = self.whole

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.whole:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        if self.parser and not self.whole:
            self.status = self.parser.get_status_code()

    def on_body(self, part: bytes) -> None:
        if not self.whole:
            self.size += len(part)
            self.body.append(part)

    def on_message_complete(self) -> None:
        if self.status is not None and self.status < 200:  # an interim answer: the real one follows
            self.status, self.headers, self.body = None, {}, []
        elif self.parser:
            self.whole, self.keep = True, self.parser.should_keep_alive()

    @property
    def ends_with_the_connection(self) -> bool:
        bounded = "content-length" in self.headers or "transfer-encoding" in self.headers
        return self.status is not None and not bounded


def read_answer(sock: socket.socket, deadline: float) -> tuple[Response, bool]:
    """The answer to the one request that was sent, and whether the connection may be used again.

    `deadline`: of `time.monotonic`. Raises TransportFailure.
    """
    answer = _Answer()
    parser = HttpResponseParser(answer)
    answer.parser = parser
    try:
        keep = _receive(sock, deadline, answer, parser)
    except TimeoutError:
        raise TransportFailure("timeout", sent=True, status=answer.status) from None
    except (OSError, HttpParserError, HttpParserCallbackError, HttpParserUpgrade):
        kind: Kind = "reset" if answer.status is None else "cut"
        raise TransportFailure(kind, sent=True, status=answer.status) from None
    finally:
        answer.parser = None  # parser and answer know each other: free both now
    status = answer.status or 0
    body = _decoded(b"".join(answer.body), answer.headers.get("content-encoding", ""), status)
    return Response(status, answer.headers, body), keep


def _receive(sock: socket.socket, deadline: float, answer: _Answer, parser: HttpResponseParser) -> bool:
    timed = 0.0
    received = 0
    while not answer.whole:
        now = time.monotonic()
        if now >= deadline:
            raise TimeoutError
        if now - timed > _SLACK:
            sock.settimeout(deadline - now)
            timed = now
        data = sock.recv(CHUNK)
        if not data:
            if answer.ends_with_the_connection:
                return False
            raise ConnectionError
        received += len(data)
        parser.feed_data(data)
        if answer.size > MAX_BODY or (answer.status is None and received > MAX_HEAD):
            raise TransportFailure("too large", sent=True, status=answer.status)
    return answer.keep and not answer.more


def _decoded(body: bytes, encoding: str, status: int) -> bytes:
    """Decompressed, as the server says it is compressed; a gzip stream that ends too early is a cut answer."""
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
