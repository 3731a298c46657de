"""The transport sends a request once, in bounded time, to nobody else, and says what is known when it fails."""

import gc
import gzip
import os
import socket
import threading
import time
import warnings
import zlib
from contextlib import suppress

import pytest

from boast_source.api import BoastClient, RetryPolicy, reader
from boast_source.api.address import checked_url, path_of
from boast_source.api.reader import TransportFailure, read_answer
from boast_source.api.transport import Route, Transport, _Line
from boast_source.errors import ConfigurationError, UnavailableError
from tests.support.http_server import DROP, RESET, Reply, page, reply, serving
from tests.support.waiting import until

ONCE = RetryPolicy(attempts=1, first_wait=0)


def send(url, method="GET", timeout=5.0, body=None, path="/v1/x"):
    transport = Transport(url, timeout=timeout)
    try:
        return transport.send(method, url + path, headers={"Authorization": "Bearer secret-token"}, body=body)
    finally:
        transport.close()


def exchange(transport, server, target, method="GET"):
    """Send on a kept connection where there is one; `compare` believes every answer."""
    return transport.send(method, server.url + target, headers={}, lane="list", compare=bool)


def fails(url, **how):
    with pytest.raises(TransportFailure) as caught:
        send(url, **how)
    assert "secret-token" not in repr(caught.value) + str(caught.value)
    return caught.value


def test_a_whole_answer_comes_back_with_lower_case_headers():
    with serving(reply(201, b"abc", {"X-Thing": "1"})) as server:
        answer = send(server.url)
    assert (answer.status, answer.body, answer.headers["x-thing"]) == (201, b"abc", "1")


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


@pytest.mark.parametrize("answer", [DROP, RESET, Reply((b"HTTP/1.1 2",), close=True)], ids=["drop", "reset", "half"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_broken_connection_may_have_delivered_the_request(answer, method):
    with serving(answer) as server:
        failure = fails(server.url, method=method)
        assert (failure.kind, failure.sent) == ("reset", True)
        assert len(server.requests) == 1


LONG, MANY = 3600.0, 20_000  # seconds, pieces: whoever waits for the end of these fails by the test's own bound


def trickle(pieces):
    return Reply(pieces, gap=0.05)


@pytest.mark.parametrize(
    "answer",
    [
        Reply(delay=LONG),
        trickle((b"HTTP/1.1 200 OK\r\n", *[b"X-A: b\r\n"] * MANY)),
        trickle((b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MANY, *[b"a"] * MANY)),
        trickle((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\na\r\n"] * MANY)),
        trickle(tuple(bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0" + b" " * MANY)),
    ],
    ids=["silent", "headers", "body", "chunks", "status line"],
)
def test_a_server_that_trickles_holds_nobody_beyond_the_timeout(answer):
    with serving(answer) as server:
        start = time.monotonic()
        failure = fails(server.url, timeout=0.4)
        assert (failure.kind, failure.sent) == ("timeout", True)
        assert time.monotonic() - start > 0.35


def test_refused_and_unknown_hosts_are_known_not_to_have_got_the_request():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        failure = fails(f"http://127.0.0.1:{port}", method="POST")
        assert (failure.kind, failure.sent) == ("connect", False)
    failure = fails("https://no-such-host.invalid", method="POST")
    assert failure.sent is False


def test_a_failed_tls_handshake_is_known_not_to_have_sent_the_request():
    with serving(page()) as server:
        failure = fails(server.url.replace("http:", "https:"), method="POST", body=b"{}")
        assert (failure.kind, failure.sent) == ("tls", False)
        assert server.requests == []


def test_a_connect_timeout_is_known_not_to_have_sent_the_request():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        failure = fails(f"http://127.0.0.1:{full.getsockname()[1]}", method="POST", timeout=0.3)
        for filler in fillers:
            filler.close()
    assert (failure.kind, failure.sent) == ("connect timeout", False)


def test_reads_share_a_kept_connection_and_survive_that_the_server_closes_it():
    with serving(page(), page(), Reply(page().pieces, close=True), page()) as server:
        transport = Transport(server.url, timeout=5)
        for at in range(4):
            exchange(transport, server, f"/{at}")
            time.sleep(0.02)
        transport.close()
        assert [request.connection for request in server.requests] == [1, 1, 1, 2]


def test_a_connection_serves_one_list_no_page_of_it_twice_and_only_after_compared_answers():
    lists = ["a", "a", "b", "a", "a", "a", None, None]
    targets = ["/1", "/2", "/3", "/1", "/7", "/4", "/5", "/6"]
    compared = [True, True, True, True, False, True, True, True]
    with serving(page()) as server:
        transport = Transport(server.url, timeout=5)
        fresh = [
            transport.send("GET", server.url + target, headers={}, lane=lane, compare=lambda _, it=it: it).fresh
            for lane, target, it in zip(lists, targets, compared, strict=True)
        ]
        transport.close()
        assert fresh == [True, False, True, True, False, False, True, True]
        assert [request.connection for request in server.requests] == [1, 1, 2, 3, 3, 1, 4, 5]


def test_a_write_never_uses_a_kept_connection():
    with serving(page()) as server:
        transport = Transport(server.url, timeout=5)
        for at, method in enumerate(("GET", "POST", "GET", "DELETE", "POST")):
            exchange(transport, server, f"/{at}", method)
        transport.close()
        assert [request.connection for request in server.requests] == [1, 2, 1, 3, 4]
        assert server.requests[1].headers["connection"] == "close"


def test_a_kept_connection_that_dies_under_a_request_does_not_repeat_it():
    """Nothing below the client may resend by itself: the server counts."""
    with serving(page(), DROP, page()) as server:
        transport = Transport(server.url, timeout=5)
        exchange(transport, server, "/1")
        with pytest.raises(TransportFailure):
            exchange(transport, server, "/2")
        assert [request.target for request in server.requests] == ["/1", "/2"]
        transport.close()


def test_redirects_are_not_followed_and_the_token_goes_nowhere_else():
    with serving(page()) as other, serving(reply(302, b"", {"Location": other.url + "/?token=1"})) as server:
        assert send(server.url).status == 302
        with BoastClient("secret-token", base_url=server.url, retries=ONCE) as client:
            with pytest.raises(UnavailableError, match=r"base_url") as caught:
                client.page("/accounts")
            assert "token=1" not in str(caught.value)
        assert other.requests == []


@pytest.mark.parametrize("path", ["http_proxy", "https_proxy", "all_proxy"])
def test_a_loopback_address_is_never_reached_through_a_proxy(monkeypatch, path):
    with serving(page()) as proxy, serving(page()) as server:
        monkeypatch.setenv(path, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert send(server.url).status == 200
        assert (proxy.connections, len(server.requests)) == (0, 1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_proxy_of_the_environment_is_asked_for_a_tunnel_and_never_sees_the_token(monkeypatch):
    with serving(reply(403, b"")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//user:pass@"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        failure = fails("https://api.boast.test", method="POST", body=b"{}")
        assert (failure.kind, failure.sent) == ("proxy", False)
        (asked,) = proxy.requests
        assert (asked.method, asked.target) == ("CONNECT", "api.boast.test:443")
        assert asked.headers["proxy-authorization"].startswith("Basic ")
        assert "secret-token" not in str(asked)
    del failure
    gc.collect()  # http.client of Python 3.10 leaves the answer of a refused tunnel open


@pytest.mark.parametrize(
    "proxy", ["http://proxy:port", "http://proxy:99999", "http://", "socks5://proxy:1", f"http://{'a' * 64}.test:1"]
)
def test_a_proxy_that_cannot_be_used_is_a_configuration_error(monkeypatch, proxy):
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(ConfigurationError, match="proxy"):
        Transport("https://api.boast.test", timeout=1)


def test_no_proxy_is_honoured(monkeypatch):
    with serving(reply(403, b"")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", ".invalid")
        assert fails("https://api.invalid").sent is False
        assert proxy.requests == []


def test_certificates_that_cannot_be_read_are_a_configuration_error(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        Transport("https://api.boast.test", timeout=1)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.boast.io/v1",
        "http://127.0.0.1.evil.test/",
        "http://localhost.evil.test/",
        "http://10.0.0.1/v1",
        "http://0.0.0.0/v1",
        "ftp://api.boast.io",
        "api.boast.io/v1",
        "https://",
        "https://user:pass@api.boast.io",
        "https://api.boast.io/v1?x=1",
        "https://api.boast.io:99999/v1",
        "https://[::1",
        "https://a b/",
        f"https://{'a' * 64}.test/v1",
        "https://api..boast.test/v1",
        "",
    ],
)
def test_the_token_travels_over_https_or_loopback_only(url):
    with pytest.raises(ConfigurationError, match="base_url"):
        checked_url(url, "sources.boast.base_url")
    with pytest.raises(ConfigurationError):
        BoastClient("t", base_url=url)


@pytest.mark.parametrize(
    "url", ["https://api.boast.io/v1/", "http://localhost:1/v1", "http://127.9.9.9/v1", "http://[::1]:80/v1"]
)
def test_https_and_loopback_are_fine(url):
    assert checked_url(url, "k") == url.rstrip("/")


def test_ids_cannot_escape_their_segment():
    assert path_of("accounts", "../a/b?c#d", "forms") == "/accounts/..%2Fa%2Fb%3Fc%23d/forms"
    for bad in ("", "  ", ".", ".."):
        with pytest.raises(ConfigurationError):
            path_of("accounts", bad)


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


def test_a_connection_that_says_more_than_it_was_asked_is_not_used_again():
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
    with serving(Reply((smuggled + b"a" + smuggled + b"b",)), reply(200, b"c")) as server:
        transport = Transport(server.url, timeout=5)
        bodies = [exchange(transport, server, f"/{at}").body for at in range(2)]
        transport.close()
        assert bodies == [b"a", b"c"]
        assert [request.connection for request in server.requests] == [1, 2]


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


def test_an_answer_before_the_question_closes_the_connection_and_nothing_is_sent_on_it():
    created = reply(201, {"data": {"id": "e1"}}).pieces[0]
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = []

        def answer_unasked():
            connection, _ = server.accept()
            connection.sendall(created)
            connection.settimeout(5)
            with suppress(ConnectionResetError):  # it is closed with our bytes unread
                taken.append(connection.recv(1000))
            connection.close()

        thread = threading.Thread(target=answer_unasked)
        thread.start()
        line = _Line(None)
        line.open(Route(f"http://127.0.0.1:{server.getsockname()[1]}"), 5)
        until(lambda: not line.is_silent())
        with pytest.raises(TransportFailure) as caught:
            line.send(b"POST / HTTP/1.1\r\n\r\n", time.monotonic() + 5)
        line.close()
        thread.join()
    assert (caught.value.sent, b"".join(taken)) == (False, b"")


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


def test_closing_ends_a_read_that_is_under_way_at_once_and_leaves_a_write_alone():
    with serving(lambda request: Reply(page().pieces, delay=LONG if request.method == "GET" else 0.5)) as server:
        transport = Transport(server.url, timeout=LONG)
        ended = {}

        def work(method):
            try:
                ended[method] = transport.send(method, server.url + "/", headers={}).status
            except TransportFailure as failure:
                ended[method] = failure.kind

        threads = [threading.Thread(target=work, args=(method,)) for method in ("GET", "POST")]
        for thread in threads:
            thread.start()
        until(lambda: len(server.requests) == 2)
        transport.close()
        for thread in threads:
            thread.join()
        assert ended == {"GET": "reset", "POST": 200}


def test_a_closed_client_says_so_to_a_read_that_was_under_way():
    with serving(Reply(delay=LONG)) as server:
        client = BoastClient("secret-token", base_url=server.url, request_timeout=LONG)
        closing = threading.Thread(target=lambda: until(lambda: server.requests) and client.close())
        closing.start()
        with pytest.raises(UnavailableError, match="closed"):
            client.page("/accounts")
        closing.join()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python says that forking with threads is risky
def test_a_forked_child_leaves_its_parents_connections_alone():
    with serving(page()) as server:
        transport = Transport(server.url, timeout=5)
        exchange(transport, server, "/1")
        child = os.fork()
        if child == 0:
            status = exchange(transport, server, "/child").status
            os._exit(0 if status == 200 else 1)
        assert os.waitpid(child, 0)[1] == 0
        exchange(transport, server, "/2")
        transport.close()
        assert [(r.target, r.connection) for r in server.requests] == [("/1", 1), ("/child", 2), ("/2", 1)]


def test_a_transport_that_nobody_closes_leaves_no_open_socket_behind():
    with serving(page()) as server:
        transport = Transport(server.url, timeout=5)
        exchange(transport, server, "/")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            gc.collect()
            caught.clear()  # what others left behind
            del transport
            gc.collect()
        assert [str(warning.message) for warning in caught] == []


def test_many_threads_share_one_transport():
    with serving(page({"id": "1"})) as server:
        transport = Transport(server.url, timeout=5, connections=4)
        done = []

        def work():
            done.extend(exchange(transport, server, f"/{at}").status for at in range(20))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        transport.close()
        assert done == [200] * 160
        assert len(server.requests) == 160
