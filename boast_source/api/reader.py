"""Reads one whole answer from a connection: leniently, as RFC 9110 and 9112 allow, in bounded time and memory.

Accepted, because rejecting the answer to a write leaves the write `unknown`: equal Content-Length fields,
Content-Length beside chunks (the chunks win), folded fields, bare line feeds, fields without a colon (ignored),
`Content-Encoding: none`. Rejected: anything that makes the end of the body unclear. A body that ends early is `cut`.

Bounds: the caller's deadline for receiving and decoding; MAX_HEAD bytes of heads and trailers together; MAX_FRAMES
bytes of lines between chunks; MAX_BODY bytes of body, received and decoded; MAX_MEMBERS gzip streams in a row.
"""

from __future__ import annotations

import re
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Kind = Literal["dns", "connect", "connect timeout", "tls", "proxy", "timeout", "reset", "cut", "too large"]

MAX_BODY = 64 * 1024 * 1024
MAX_HEAD = 256 * 1024
MAX_FRAMES = 8 * 1024 * 1024  # bytes of the lines between chunks
MAX_MEMBERS = 1000
_RECEIVED = 256 * 1024  # bytes at once
_DECODED = 1024 * 1024  # bytes between two looks at the clock
_SLICE = 16 * 1024  # compressed bytes decoded at a time
_SLACK = 0.05  # seconds that an answer may exceed its deadline: setting a socket's timeout is not free
_STATUS = re.compile(r"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?:[ \t].*)?", re.ASCII | re.DOTALL)
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_PLAIN = {"", "identity", "none"}
_ENVELOPES = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's `wbits`


@dataclass(frozen=True)
class Response:
    """A whole answer: `headers` with lower-case names, `body` decoded. `fresh`: it is the first on its connection, so
    it can only be the answer to this request.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    fresh: bool = True

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


class _BrokenError(Exception):
    """The bytes are not an HTTP answer, or end before it does."""


def read_answer(sock: Any, deadline: float, *, fresh: bool = True, tunnel: bool = False) -> tuple[Response, bool]:
    """Return the answer to the one request that was sent, and whether the connection may be used again.

    `sock`: a socket, or TLS over one. `deadline`: of `time.monotonic`. `tunnel`: a proxy answers CONNECT, so a 2xx has
    no body. Raises TransportFailure.
    """
    stream = _Stream(sock, deadline)
    status: int | None = None
    kind: Kind
    try:
        while status is None or status < 200:  # interim answers come first
            status = None
            status, version, headers = _head(stream)
        bounded, body = (True, b"") if tunnel and status < 300 else _body(stream, status, headers)
        body = _plain(body, headers, deadline)
        keep = bounded and not stream.buffer and _stays_open(version, headers)
        return Response(status, headers, body, fresh), keep
    except TimeoutError:
        kind = "timeout"
    except OverflowError:
        kind = "too large"
    except (OSError, _BrokenError, zlib.error):
        kind = "reset" if status is None else "cut"
    raise TransportFailure(kind, sent=True, status=status)


class _Stream:
    """Bytes of a connection as lines and blocks. Raises TimeoutError, OverflowError, _BrokenError."""

    def __init__(self, sock: Any, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline
        self._timed = 0.0
        self.buffer = bytearray()
        self.said = 0  # bytes of lines

    def receive(self) -> bool:
        """Wait for more; False at the end of the connection."""
        now = time.monotonic()
        if now >= self._deadline:
            raise TimeoutError
        if now - self._timed > _SLACK:
            self._sock.settimeout(self._deadline - now)
            self._timed = now
        data = self._sock.recv(_RECEIVED)
        self.buffer += data
        return bool(data)

    def line(self, most: int) -> bytes:
        """Return the next line without its end. `most`: limit on the bytes of all lines."""
        start = 0
        while (at := self.buffer.find(b"\n", start)) < 0:
            start = len(self.buffer)
            if self.said + start > most:
                raise OverflowError
            if not self.receive():
                raise _BrokenError
        line = bytes(self.buffer[:at])
        del self.buffer[: at + 1]
        self.said += at + 1
        if self.said > most:
            raise OverflowError
        return line.removesuffix(b"\r")

    def head(self) -> Iterator[str]:
        """Yield the lines up to an empty one; faster if they arrived together, as they nearly always do."""
        if (self.buffer or self.receive()) and (end := _END_OF_HEAD.search(self.buffer)):
            head = self.buffer[: end.start()].decode("latin-1")
            del self.buffer[: end.end()]
            self.said += end.end()
            if self.said > MAX_HEAD:
                raise OverflowError
            yield from head.replace("\r\n", "\n").split("\n")
            return
        while line := self.line(MAX_HEAD):
            yield line.decode("latin-1")

    def block(self, size: int) -> bytes:
        if size > MAX_BODY:
            raise OverflowError
        while len(self.buffer) < size:
            if not self.receive():
                raise _BrokenError
        block = bytes(self.buffer[:size])
        del self.buffer[:size]
        return block

    def rest(self) -> bytes:
        while self.receive():
            if len(self.buffer) > MAX_BODY:
                raise OverflowError
        return self.block(len(self.buffer))


def _head(stream: _Stream) -> tuple[int, str, dict[str, str]]:
    """Return status, version and fields of the next head; repeated fields are joined with a comma."""
    lines = stream.head()
    first = next(lines, "")
    found = _STATUS.fullmatch(first)
    if not found:
        raise _BrokenError
    fields: list[str] = []
    for line in lines:
        if line[0] in " \t" and fields:
            fields[-1] += f" {line.strip()}"
        else:
            fields.append(line)
    headers: dict[str, str] = {}
    for field in fields:
        name, colon, value = field.partition(":")
        name, value = name.strip().lower(), value.strip()
        if colon:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return int(found[1]), first[:8], headers


def _stays_open(version: str, headers: Mapping[str, str]) -> bool:
    options = _listed(headers.get("connection", ""))
    return "close" not in options and (version == "HTTP/1.1" or "keep-alive" in options)


def _body(stream: _Stream, status: int, headers: Mapping[str, str]) -> tuple[bool, bytes]:
    """Return whether the body ends before the connection does, and the body. RFC 9112, 6.3."""
    if status in {204, 304}:
        return True, b""
    codings = [coding for coding in _listed(headers.get("transfer-encoding", "")) if coding != "identity"]
    lengths = set(_listed(headers.get("content-length", "")))
    if codings and codings[-1] == "chunked":
        return not lengths, b"".join(_chunks(stream))  # with a length, too, a proxy may be misled
    if codings or not lengths:
        return False, stream.rest()
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        raise _BrokenError
    return True, stream.block(int(length))


def _chunks(stream: _Stream) -> Iterator[bytes]:
    stream.said, heads = 0, stream.said
    size = 0
    while True:
        found = _SIZE.fullmatch(stream.line(MAX_FRAMES).strip(b" \t"))
        length = int(found[1], 16) if found else -1
        if length < 0:
            raise _BrokenError
        if length == 0:
            break
        size += length
        if size > MAX_BODY:
            raise OverflowError
        yield stream.block(length)
        if stream.line(MAX_FRAMES):
            raise _BrokenError
    stream.said = heads
    while stream.line(MAX_HEAD):
        pass  # trailers are ignored


def _plain(body: bytes, headers: Mapping[str, str], deadline: float) -> bytes:
    """Undo the codings, the last one first. Raises zlib.error, OverflowError, TimeoutError, _BrokenError."""
    codings = _listed(headers.get("content-encoding", "")) + _listed(headers.get("transfer-encoding", ""))
    for coding in reversed([coding for coding in codings if coding not in _PLAIN | {"chunked"}] if body else []):
        if coding not in _ENVELOPES:
            raise _BrokenError
        body = b"".join(_decoded(body, _ENVELOPES[coding], deadline))
    return body


def _decoded(body: bytes, wbits: int, deadline: float) -> Iterator[bytes]:
    """Decode one stream, or several in a row."""
    if wbits == _ENVELOPES["deflate"] and body[0] & 15 != 8:
        wbits = -15  # many servers leave out the zlib envelope
    stream = zlib.decompressobj(wbits)
    size, members = 0, 1
    for at in range(0, len(body), _SLICE):
        part = body[at : at + _SLICE]
        while part:
            if time.monotonic() > deadline:
                raise TimeoutError
            if stream.eof:
                stream, members = zlib.decompressobj(wbits), members + 1
            decoded = stream.decompress(part, _DECODED)
            size += len(decoded)
            if size > MAX_BODY or members > MAX_MEMBERS:
                raise OverflowError
            yield decoded
            part = stream.unconsumed_tail or stream.unused_data
    yield stream.flush()
    if not stream.eof:
        raise _BrokenError


def _listed(field: str) -> list[str]:
    return [part.strip().lower() for part in field.split(",") if part.strip()]
