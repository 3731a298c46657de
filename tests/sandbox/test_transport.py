"""The transport sends a request once, in bounded time, to nobody else, and says what is known when it fails."""

import gc
import os
import socket
import time

import pytest

from boast_source.api import BoastClient, RetryPolicy
from boast_source.api.address import checked_url, path_of
from boast_source.api.transport import Transport
from boast_source.errors import ConfigurationError, UnavailableError
from tests.support.http_server import DROP, RESET, Reply, page, reply, serving
from tests.support.sending import LONG, fails, send

ONCE = RetryPolicy(attempts=1, first_wait=0)
MANY = 20_000  # pieces: they last as LONG does


def trickle(pieces):
    return Reply(pieces, gap=0.05)


def test_a_whole_answer_comes_back_with_lower_case_headers():
    with serving(reply(201, b"abc", {"X-Thing": "1"})) as server:
        answer = send(server.url)
    assert (answer.status, answer.body, answer.headers["x-thing"]) == (201, b"abc", "1")


@pytest.mark.parametrize("answer", [DROP, RESET, Reply((b"HTTP/1.1 2",), close=True)], ids=["drop", "reset", "half"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_broken_connection_may_have_delivered_the_request(answer, method):
    with serving(answer) as server:
        failure = fails(server.url, method=method)
        assert (failure.kind, failure.sent) == ("reset", True)
        assert len(server.requests) == 1


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
    "proxy",
    [
        "http://proxy:port",
        "http://proxy:99999",
        "http://",
        "socks5://proxy:1",
        f"http://{'a' * 64}.test:1",
        "http://a b:1",
    ],
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
    os.mkfifo(tmp_path / "pipe.pem")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    for name in ("none.pem", "pipe.pem"):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
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
