"""`boast login`: the authorization-code flow, with a browser that is a few lines of HTTP."""

import base64
import hashlib
import json
import socket
import threading
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from boast_source.api import BoastClient, OAuthCredentials
from boast_source.api.login import login
from boast_source.errors import AuthenticationError, ConfigurationError
from tests.support.http_server import reply
from tests.support.oauth_server import oauth_server, settings


def browser(seen=None, **answer):
    """Agrees as soon as it is opened, with `answer` instead of the code and the state that were asked for."""

    def open_browser(address):
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        if seen is not None:
            seen.append((address, asked))
        back = {"code": "the-code", "state": asked["state"], **answer}
        back = {name: value for name, value in back.items() if value is not None}

        def come_back():
            favicon = asked["redirect_uri"].replace("/callback", "/favicon.ico")
            with pytest.raises(urllib.error.HTTPError) as missing:
                urllib.request.urlopen(favicon)
            missing.value.close()
            with urllib.request.urlopen(f"{asked['redirect_uri']}?{urlencode(back)}") as page:
                assert b"the-code" not in page.read()

        thread = threading.Thread(target=come_back)
        thread.start()
        threads.append(thread)

    threads = []
    open_browser.threads = threads
    return open_browser


def log_in(oauth, store, open_browser, **how):
    try:
        return login(OAuthCredentials(**settings(oauth, store, seed=None)), open_browser=open_browser, **how)
    finally:
        for thread in getattr(open_browser, "threads", []):
            thread.join()


def test_the_first_tokens_are_kept_and_work(tmp_path):
    seen, store = [], tmp_path / "tokens.json"
    with oauth_server() as oauth:
        assert log_in(oauth, store, browser(seen)) == str(store)
        (form,) = oauth.asked
        ((address, asked),) = seen
        assert address.startswith(f"{oauth.url}/oauth/authorize?")
        assert "scope=read%20write" in address
        assert (asked["client_id"], asked["response_type"]) == ("the-client", "code")
        assert (form["grant_type"], form["code"]) == ("authorization_code", "the-code")
        assert form["redirect_uri"] == asked["redirect_uri"]
        assert "client_secret" not in address
        credentials = OAuthCredentials(**settings(oauth, store, seed=None))
        with BoastClient(credentials, base_url=oauth.url) as boast:
            boast.page("/accounts")
            oauth.revoke_access()
            boast.page("/accounts")
        assert json.loads(store.read_bytes())["refresh_token"] == "refresh-token-2"


def test_the_port_can_be_chosen(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    seen = []
    with oauth_server() as oauth:
        log_in(oauth, tmp_path / "t", browser(seen), port=port)
    assert seen[0][1]["redirect_uri"] == f"http://127.0.0.1:{port}/callback"


def test_a_taken_port_is_a_configuration_error(tmp_path):
    with socket.socket() as taken, oauth_server() as oauth:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="Port"):
            log_in(oauth, tmp_path / "t", browser(), port=taken.getsockname()[1])


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"error": "access_denied", "code": None}, "denied"),
        ({"error": "server_error", "code": None}, "server_error"),
        ({"code": None}, "without a code"),
        ({"code": "another-code"}, r"invalid_grant.*registered"),
    ],
)
def test_what_goes_wrong_is_said_and_nothing_is_kept(tmp_path, answer, says):
    with oauth_server() as oauth, pytest.raises(AuthenticationError, match=says) as caught:
        log_in(oauth, tmp_path / "t", browser(**answer))
    assert not (tmp_path / "t").exists()
    assert "another-code" not in str(caught.value)


def test_a_strangers_callback_is_ignored_and_the_login_goes_on(tmp_path, capsys):
    def open_browser(address):
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        strangers = ({"code": "theirs", "state": "forged"}, {"error": "access_denied"}, {"state": asked["state"] + "x"})
        for back in strangers:
            with pytest.raises(urllib.error.HTTPError) as told:
                urllib.request.urlopen(f"{asked['redirect_uri']}?{urlencode(back)}")
            told.value.close()
        back = urlsplit(asked["redirect_uri"])
        with socket.create_connection((back.hostname, back.port)) as stranger:
            stranger.sendall(b"GET http://[ HTTP/1.1\r\n\r\n")
            assert stranger.recv(100) == b""
        agree(address)

    agree = browser()
    with oauth_server() as oauth:
        assert log_in(oauth, tmp_path / "t", open_browser) == str(tmp_path / "t")
        assert capsys.readouterr().err == ""
        assert [form["code"] for form in oauth.asked] == ["the-code"]
    for thread in agree.threads:
        thread.join()


def test_the_code_is_bound_to_this_login_by_pkce(tmp_path):
    seen = []
    with oauth_server() as oauth:
        log_in(oauth, tmp_path / "t", browser(seen))
        ((_, asked),), (form,) = seen, oauth.asked
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert asked["code_challenge_method"] == "S256"
    assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert 43 <= len(form["code_verifier"]) <= 128


def test_nobody_agrees_in_time(tmp_path):
    opened = []
    with oauth_server() as oauth, pytest.raises(AuthenticationError, match="Nobody agreed"):
        log_in(oauth, tmp_path / "t", opened.append, timeout=0.1)
    assert len(opened) == 1


def test_a_connection_that_says_nothing_does_not_hold_the_login(tmp_path):
    agree = browser()
    idle = []

    def open_browser(address):
        port = int(parse_qs(urlsplit(address).query)["redirect_uri"][0].rpartition(":")[2].partition("/")[0])
        idle.append(socket.create_connection(("127.0.0.1", port)))
        agree(address)

    with oauth_server() as oauth:
        log_in(oauth, tmp_path / "t", open_browser)
    idle[0].close()
    for thread in agree.threads:
        thread.join()


def test_an_exchange_that_fails_is_not_repeated(tmp_path):
    with oauth_server(on_token=lambda *_: reply(500)) as oauth:
        with pytest.raises(Exception, match="HTTP 500"):
            log_in(oauth, tmp_path / "t", browser())
        assert len(oauth.asked) == 1


def test_a_token_url_that_does_not_tell_where_to_log_in(tmp_path):
    given = OAuthCredentials(client_id="i", client_secret="s", token_url="https://x.test/grant")
    with pytest.raises(ConfigurationError, match="/token"):
        login(given, open_browser=lambda _: None)
