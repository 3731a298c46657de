"""Answers are read whole or not believed: encodings, chunks, odd words, and bounds to their size and time."""

import gzip
import threading
import time
import zlib

import pytest

from boast_source.api import reader
from boast_source.api.reader import TransportFailure, read_answer
from boast_source.api.transport import Transport
from tests.support.http_server import Reply, page, reply, serving
from tests.support.sending import exchange, fails, send


def test_gzip_and_chunks_are_undone():
    body = b'{"data": []}' * 1000
    packed = gzip.compress(body[:100]) + gzip.compress(body[100:])  # two members are one stream
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (packed[:50], packed[50:])) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
    with serving(Reply((head, chunked))) as server:
        assert send(server.url).body == body
        assert server.requests[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    "answer",
    [
        Reply((b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",), close=True),
        Reply((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",), close=True),
        Reply((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",), close=True),
        Reply((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",), close=True),
        reply(200, gzip.compress(b"abc" * 1000)[:-9], {"Content-Encoding": "gzip"}),
        reply(200, b"no gzip at all", {"Content-Encoding": "gzip"}),
        reply(200, b"???", {"Content-Encoding": "br"}),
    ],
    ids=["length", "inside a chunk", "no last chunk", "bad chunk", "gzip cut", "no gzip", "unknown encoding"],
)
def test_a_cut_body_is_noticed(answer):
    with serving(answer) as server:
        failure = fails(server.url)
        assert (failure.kind, failure.sent, failure.status) == ("cut", True, 200)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ((b"HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"), b"ab"),
        ((b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",), b"ab"),
        ((b"HTTP/1.0 200 OK\r\n\r\n", b"until ", b"the end"), b"until the end"),
        ((b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 1\r\n\r\na",), b"a"),
        ((b"HTTP/1.1 200\r\nContent-Length: 1\r\nX-A: 1\r\nX-A: 2\r\n\r\na",), b"a"),
    ],
    ids=["continue", "early hints", "until the end", "upgrade offered", "no reason"],
)
def test_answers_that_are_unusual_but_right(pieces, body):
    with serving(Reply(pieces, close=True, gap=0.01)) as server:
        answer = send(server.url)
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers.get("x-a") in {None, "1, 2"}


BODY = b'{"data": 1}'
DEFLATED = zlib.compress(BODY)
LENIENT = {
    "equal lengths": b"Content-Length: 11\r\nContent-Length: 11\r\n\r\n" + BODY,
    "a list of equal lengths": b"Content-Length: 11, 11\r\n\r\n" + BODY,
    "a length beside chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a folded field": b"X-Long: a\r\n  b\r\nContent-Length:\r\n\t11\r\n\r\n" + BODY,
    "bare line feeds": b"X-A: b\nContent-Length: 11\n\n" + BODY,
    "bare line feeds in chunks": b"Transfer-Encoding: chunked\n\nb ;x=y\n" + BODY + b"\n0\nTrailer: x\n\n",
    "space before a colon": b"Content-Length : 11\r\n\r\n" + BODY,
    "a field without a colon": b"nonsense\r\nContent-Length: 11\r\n\r\n" + BODY,
    "encoding none": b"Content-Encoding: none\r\nContent-Length: 11\r\n\r\n" + BODY,
    "encoding identity": b"Content-Encoding: identity\r\nContent-Length: 11\r\n\r\n" + BODY,
    "deflate": b"Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(DEFLATED) + DEFLATED,
    "deflate without its envelope": b"Content-Encoding: Deflate\r\n\r\n" + DEFLATED[2:-4],
    "gzip as transfer coding": b"Transfer-Encoding: gzip\r\n\r\n" + gzip.compress(BODY),
    "until the end": b"\r\n" + BODY,
    "identity as transfer coding": b"Transfer-Encoding: identity\r\nContent-Length: 11\r\n\r\n" + BODY,
}


@pytest.mark.parametrize("rest", LENIENT.values(), ids=LENIENT)
@pytest.mark.parametrize("start", [b"HTTP/1.1 201 Created\r\n", b"HTTP/1.0 201\r\n"], ids=["1.1", "1.0"])
def test_an_answer_in_odd_words_is_believed_also_to_a_write(start, rest):
    with serving(Reply((start + rest,), close=True)) as server:
        answer = send(server.url, method="POST", body=b"{}")
        assert (answer.status, answer.body) == (201, BODY)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 11\r\nContent-Length: 12\r\n\r\n",
        b"Content-Length: -11\r\n\r\n",
        b"Content-Length: 1_1\r\n\r\n",
        b"Content-Length: 99\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n",
    ],
)
def test_an_answer_whose_end_cannot_be_told_is_not_believed(fields):
    with serving(Reply((b"HTTP/1.1 201 Created\r\n" + fields + BODY,), close=True)) as server:
        assert fails(server.url, method="POST").kind == "cut"


@pytest.mark.parametrize(
    "answer",
    [
        Reply((b"HTTP/1.1 200 OK\r\n", *[b"X-A: " + b"b" * 60_000 + b"\r\n"] * 5)),
        Reply(
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", *[b"X-A: " + b"b" * 60_000 + b"\r\n"] * 5)
        ),
        Reply((b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20_000,)),
        Reply((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * reader.MAX_FRAMES,)),
        Reply((b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",)),
        reply(200, gzip.compress(b"") * 1001, {"Content-Encoding": "gzip"}),
        reply(200, gzip.compress(b"a" * (reader.MAX_BODY + 1), 1), {"Content-Encoding": "gzip"}),
    ],
    ids=["fields", "trailers", "interim answers", "chunk sizes", "length", "empty gzip members", "decoded"],
)
def test_an_answer_without_bounds_ends_at_the_bounds_that_are_said(answer):
    with serving(answer) as server:
        assert fails(server.url, timeout=60).kind == "too large"


def test_trailers_and_chunk_extensions_within_the_bounds_are_left_out():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(Reply((head + b"3;a=b\r\nabc\r\n0;c\r\nX-Sum: 1\r\n\r\n",)), page()) as server:
        transport = Transport(server.url, timeout=5)
        assert exchange(transport, server, "/1").body == b"abc"
        exchange(transport, server, "/2")
        transport.close()
        assert [request.connection for request in server.requests] == [1, 1]


def test_decoding_ends_at_the_deadline_of_the_request():
    packed = gzip.compress(b"a" * 30_000_000, 1)
    with pytest.raises(TransportFailure) as caught:
        read_answer(Canned(packed, after=0.2), time.monotonic() + 0.1)
    assert (caught.value.kind, caught.value.status) == ("timeout", 200)


class Canned:
    """A socket that hands out a whole gzip answer at once, `after` seconds of the clock."""

    def __init__(self, packed, after):
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
        self.data, self.after = head % len(packed) + packed, after

    def settimeout(self, seconds):
        pass

    def recv(self, size):
        threading.Event().wait(self.after)
        data, self.data = self.data, b""
        return data


def test_headers_that_never_end_are_too_large():
    with serving(Reply((b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"b" * 1_000_000))) as server:
        assert fails(server.url).kind in {"too large", "reset"}


def test_a_body_that_is_too_large_is_not_kept_in_memory(monkeypatch):
    monkeypatch.setattr(reader, "MAX_BODY", 1000)
    packed = reply(200, gzip.compress(b"a" * 100_000), {"Content-Encoding": "gzip"})
    for answer in (reply(200, b"a" * 1001), packed):
        with serving(answer) as server:
            failure = fails(server.url)
            assert (failure.kind, failure.status) == ("too large", 200)
