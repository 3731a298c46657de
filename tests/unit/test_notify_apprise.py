"""The same news by Apprise: e-mail, Teams, Discord, ntfy and what else it knows, tried against a loopback server."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from boast_source.errors import BoastError, ConfigurationError
from boast_source.runs import notify
from tests.support.mail_server import mail_server

pytest.importorskip("apprise", reason="apprise is in the dev group")
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise imports it
TEXT = "boast nightly on db1: failed: a < b & c"


@pytest.fixture
def service():
    """A server that keeps what is posted; `status`: how it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.server.got.append((self.path, body))
            self.send_response(self.server.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.got, server.status, server.daemon_threads = [], 200, True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def given(monkeypatch, url: str) -> str | None:
    monkeypatch.setenv("SOURCES__BOAST__WEBHOOK_URL", url)
    return notify.address()


@pytest.mark.parametrize(
    ("form", "key"), [("ntfy://127.0.0.1:{}/night?image=no", "message"), ("json://127.0.0.1:{}/x", "message")]
)
def test_the_text_arrives_as_it_is(service, monkeypatch, form, key):
    url = given(monkeypatch, form.format(service.server_port))
    notify.send(url, TEXT)
    ((_, body),) = service.got
    assert json.loads(body)["message"] == TEXT


def test_an_e_mail_arrives(monkeypatch):
    with mail_server() as server:
        port = server.server_address[1]
        url = given(monkeypatch, f"mailto://127.0.0.1:{port}?mode=insecure&to=ops@example.com&from=boast@example.com")
        notify.send(url, TEXT)
    (message,) = server.got
    assert (message["To"], "boast@example.com" in message["From"]) == ("ops@example.com", True)
    assert message.get_body(("plain",)).get_content().strip() == TEXT


def test_a_workflow_of_teams_is_told(service, monkeypatch, tmp_path):
    context, authority = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    service.socket = context.wrap_socket(service.socket, server_side=True)
    url = given(monkeypatch, f"workflow://127.0.0.1:{service.server_port}/flow/signature")
    notify.send(url, TEXT)
    ((path, body),) = service.got
    assert path.startswith("/workflows/flow/triggers/manual/paths/invoke?")
    assert TEXT in str(json.loads(body))


def test_a_service_that_refuses_is_told_again_and_no_log_has_the_address(service, monkeypatch, caplog, capfd):
    url = given(monkeypatch, f"json://user:very-secret@127.0.0.1:{service.server_port}/secret-path")
    service.status = 500
    with pytest.raises(BoastError, match="could not deliver") as failed:
        notify.send(url, TEXT)
    out, err = capfd.readouterr()
    assert "secret" not in caplog.text + out + err + str(failed.value)


@pytest.mark.parametrize("url", ["gopher://example.com/secret", "http://example.com/secret", "secret"])
def test_an_address_that_nobody_knows_is_a_wrong_configuration_that_does_not_show_it(monkeypatch, url):
    with pytest.raises(ConfigurationError) as failed:
        given(monkeypatch, url)
    assert "secret" not in str(failed.value)
