"""The token travels to a verified host only, also through a proxy."""

import pytest

from boast_source.api.reader import TransportFailure
from boast_source.api.transport import Transport
from tests.support.http_server import Reply, page, serving
from tests.support.tls import serving_tls, tunnelling_to

HEADERS = {"Authorization": "Bearer secret-token"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "no_proxy", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


def failure_of(transport, url):
    with pytest.raises(TransportFailure) as caught:
        transport.send("GET", url, headers=HEADERS)
    transport.close()
    return caught.value.kind, caught.value.sent


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_certificate_is_verified_against_the_environments_bundle_and_the_connection_is_kept(
    variable, monkeypatch, tmp_path
):
    with serving_tls(tmp_path, page({"id": "x" * 300_000})) as server:
        monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
        transport = Transport(server.address, timeout=5)
        for at, method in enumerate(("GET", "GET", "POST", "GET")):
            answer = transport.send(method, f"{server.address}/v1/{at}", headers=HEADERS, lane="v1", compare=bool)
            assert len(answer.body) > 300_000
        transport.close()
        assert [request.connection for request in server.requests] == [1, 1, 2, 1]
        assert server.requests[0].headers["host"] == server.address.removeprefix("https://")


def test_an_unknown_authority_gets_nothing(tmp_path):
    with serving_tls(tmp_path, page()) as server:
        assert failure_of(Transport(server.address, timeout=5), server.address + "/") == ("tls", False)
        assert server.requests == []


def test_a_certificate_for_another_name_gets_nothing(monkeypatch, tmp_path):
    with serving_tls(tmp_path, page(), name="other.test") as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert failure_of(Transport(server.address, timeout=5), server.address + "/") == ("tls", False)
        assert server.requests == []


def test_through_a_proxy_the_host_is_verified_and_the_proxy_sees_no_token(monkeypatch, tmp_path):
    with serving_tls(tmp_path, page(), name="api.boast.test") as server:
        with tunnelling_to(server.server_address[1]) as proxy:
            monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//us%40er:pass@"))
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
            transport = Transport("https://api.boast.test/v1", timeout=5)
            for at in range(3):
                url = f"https://api.boast.test/v1/{at}"
                assert transport.send("GET", url, headers=HEADERS, lane="v1", compare=bool).status == 200
            transport.close()
            assert len(proxy.heads) == 1
            assert proxy.heads[0].startswith("CONNECT api.boast.test:443 HTTP/1.")
            assert "Basic dXNAZXI6cGFzcw==" in proxy.heads[0]
            assert b"secret-token" not in proxy.seen
            assert server.requests[0].headers["host"] == "api.boast.test"
            assert "proxy-authorization" not in server.requests[0].headers
            other = Transport("https://other.test/v1", timeout=5)
            assert failure_of(other, "https://other.test/v1/x") == ("tls", False)
        assert len(server.requests) == 3


def test_a_proxy_that_trickles_holds_nobody_beyond_the_timeout(monkeypatch):
    drip = Reply((b"HTTP/1.1 200 OK\r\n", *[b"X-A: b\r\n"] * 100_000), gap=0.05)
    with serving(drip) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        transport = Transport("https://api.boast.test", timeout=0.4)
        kind, sent = failure_of(transport, "https://api.boast.test/")
        assert (kind, sent) == ("proxy", False)
