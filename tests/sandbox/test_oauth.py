"""Tokens renew themselves in one process: across threads, lost answers, refusals, and what the store holds."""

import json
import stat
import threading
import time

import pytest

from boast_source.api import BoastClient, OAuthCredentials
from boast_source.api.oauth import OAuth
from boast_source.errors import AuthenticationError, ConfigurationError, UnavailableError
from tests.support.http_server import DROP, reply
from tests.support.oauth_client import MODES, QUICK, client, stored
from tests.support.oauth_server import oauth_server, settings
from tests.support.waiting import until


@MODES
def test_the_seed_is_spent_once_and_the_store_takes_over(tmp_path, at_once):
    store = tmp_path / "deep" / "tokens.json"
    with oauth_server(at_once=at_once) as oauth:
        for _ in range(3):
            with client(oauth, store) as boast:
                boast.page("/accounts")
        assert [form["refresh_token"] for form in oauth.asked] == ["seed-refresh-token"]
        assert stored(store)["refresh_token"] == "refresh-token-1"
        assert stat.S_IMODE(store.stat().st_mode) == 0o600
        assert stat.S_IMODE(store.parent.stat().st_mode) == 0o700
        assert oauth.server.requests[0].headers["content-type"] == "application/x-www-form-urlencoded"


def test_the_new_pair_is_stored_before_its_first_use(tmp_path):
    store = tmp_path / "tokens.json"
    with oauth_server() as oauth:
        inner, seen = oauth.__call__, []

        def answers(request):
            if request.target != "/oauth/token":
                seen.append(store.exists() and stored(store)["access_token"] == request.token)
            return inner(request)

        oauth.server.answers = answers
        with client(oauth, store) as boast:
            boast.page("/accounts")
            oauth.revoke_access()
            boast.page("/accounts")
    assert seen == [True, True, True]


@MODES
def test_401_in_the_middle_refreshes_once_and_goes_on(tmp_path, at_once):
    with oauth_server(at_once=at_once) as oauth, client(oauth, tmp_path / "t") as boast:
        boast.page("/accounts")
        oauth.revoke_access()
        threads = [threading.Thread(target=boast.page, args=("/accounts",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(oauth.asked) == 2


def test_a_write_answered_401_is_sent_again_with_another_token(tmp_path):
    with oauth_server() as oauth, client(oauth, tmp_path / "t") as boast:
        boast.page("/accounts")
        oauth.revoke_access()
        inner = oauth.__call__
        record = {"id": "e", "contact_id": "c", "sequence_id": "s"}

        def answers(request):
            answer = inner(request)
            good = request.method == "POST" and request.target != "/oauth/token" and b" 200 " in answer.pieces[0]
            return reply(201, {"data": record}) if good else answer

        oauth.server.answers = answers
        assert boast.create_sequence_enrollment("A", contact_id="c", sequence_id="s") == record


def test_a_fresh_token_that_fails_again_ends_with_log_in(tmp_path):
    with oauth_server() as oauth, client(oauth, tmp_path / "t") as boast:
        inner = oauth.__call__
        oauth.server.answers = lambda request: inner(request) if request.target == "/oauth/token" else reply(401)
        with pytest.raises(AuthenticationError, match="boast login") as caught:
            boast.page("/accounts")
        assert (len(oauth.asked), caught.value.status, caught.value.attempts) == (2, 401, 2)


def test_a_token_is_renewed_shortly_before_its_end_without_a_401(tmp_path):
    store = tmp_path / "t"
    with oauth_server(lifetime=300.0) as oauth:
        for _ in range(4):
            with client(oauth, store) as boast:
                boast.page("/accounts")
            store.write_text(json.dumps(stored(store) | {"expires_at": time.time() + 30}))  # of 300 s
        pages = [r.token for r in oauth.server.requests if r.target != "/oauth/token"]
        assert pages == [f"access-token-{n}" for n in range(1, 5)]


def test_a_client_that_goes_on_renews_its_token_whenever_it_ends(tmp_path):
    with oauth_server(lifetime=0.5) as oauth, client(oauth, tmp_path / "t") as boast:
        until(lambda: boast.page("/accounts") and len(oauth.asked) == 3)
        pages = [r for r in oauth.server.requests if r.target != "/oauth/token"]
        assert len({r.token for r in pages}) == 3


def test_a_renewal_ahead_of_time_that_fails_does_no_harm(tmp_path):
    with oauth_server(lifetime=100.0) as oauth, client(oauth, tmp_path / "t") as boast:
        boast.page("/accounts")
        document = stored(tmp_path / "t")
        document["expires_at"] = time.time() + 10
        (tmp_path / "t").write_text(json.dumps(document))
        oauth.on_token = lambda *_: reply(500)
        with client(oauth, tmp_path / "t") as other:
            other.page("/accounts")
            count = len(oauth.asked)
            other.page("/accounts")
            assert len(oauth.asked) == count


@pytest.mark.parametrize(
    "lost",
    [DROP, reply(500, "<html>"), reply(200, "<html>"), reply(200, {"token_type": "Bearer"}), reply(429, b"")],
    ids=["dropped", "500", "html", "no token", "429"],
)
def test_a_refresh_whose_answer_is_lost_is_asked_again(tmp_path, lost):
    losses = [lost, lost]
    with (
        oauth_server(on_token=lambda *_: losses.pop() if losses else None) as oauth,
        client(oauth, tmp_path / "t") as boast,
    ):
        boast.page("/accounts")
        assert [form["refresh_token"] for form in oauth.asked] == ["seed-refresh-token"] * 3


def test_a_lost_answer_of_a_server_that_revokes_at_once_says_so(tmp_path):
    with oauth_server(at_once=True, on_token=lambda *_: DROP) as oauth, client(oauth, tmp_path / "t") as boast:
        with pytest.raises(AuthenticationError, match=r"lost.*boast login"):
            boast.page("/accounts")
        assert len(oauth.asked) == 2


def test_a_token_endpoint_that_is_down_is_no_reason_to_log_in(tmp_path):
    with oauth_server(on_token=lambda *_: reply(503)) as oauth, client(oauth, tmp_path / "t") as boast:
        with pytest.raises(UnavailableError) as caught:
            boast.page("/accounts")
        assert (caught.value.path, caught.value.method) == ("/oauth/token", "POST")
        assert len(oauth.asked) == 4


def test_invalid_grant_with_an_unchanged_store_fails_at_once_and_asks_no_more(tmp_path):
    with oauth_server() as oauth, client(oauth, tmp_path / "t", seed="a-spent-token") as boast:
        for _ in range(3):
            with pytest.raises(AuthenticationError, match="boast login") as caught:
                boast.page("/accounts")
            assert "a-spent-token" not in str(caught.value)
        assert len(oauth.asked) == 1


def test_invalid_grant_goes_on_with_what_another_machine_stored_meanwhile(tmp_path):
    """A machine that shares the store but not the lock was faster."""
    store = tmp_path / "t"
    with oauth_server(at_once=True) as oauth, client(oauth, store) as boast:
        boast.page("/accounts")
        document = stored(store)

        def faster(form):
            oauth.before_token = lambda _: None
            with oauth.lock:
                new = oauth._issue(form["refresh_token"])
            changed = {**document, "access_token": new["access_token"], "refresh_token": new["refresh_token"]}
            store.write_text(json.dumps(changed))

        oauth.revoke_access()
        oauth.before_token = faster
        boast.page("/accounts")
        assert stored(store)["access_token"] == "access-token-2"


def test_a_new_seed_is_tried_when_the_store_is_locked_out(tmp_path):
    store = tmp_path / "t"
    with oauth_server() as oauth:
        with client(oauth, store) as boast:
            boast.page("/accounts")
        oauth.revoke_access()
        oauth.refresh.clear()
        with client(oauth, store) as boast, pytest.raises(AuthenticationError):
            boast.page("/accounts")
        oauth.refresh["a-new-seed"] = None
        with client(oauth, store, seed="a-new-seed") as boast:
            boast.page("/accounts")
        assert [form["refresh_token"] for form in oauth.asked[-2:]] == ["refresh-token-1", "a-new-seed"]
        with client(oauth, store, seed="a-new-seed") as boast:
            boast.page("/accounts")


def test_a_wrong_client_secret_is_not_a_reason_to_log_in(tmp_path):
    with oauth_server() as oauth:
        given = {**settings(oauth, tmp_path / "t"), "client_secret": "wrong-secret"}
        boast = BoastClient(OAuthCredentials(**given), base_url=oauth.url, retries=QUICK)
        with boast, pytest.raises(AuthenticationError, match="client_secret") as caught:
            boast.page("/accounts")
        assert caught.value.code == "invalid_client"
        assert len(oauth.asked) == 1


def test_no_refresh_token_at_all_says_log_in(tmp_path):
    with oauth_server() as oauth, client(oauth, tmp_path / "t", seed=None) as boast:
        with pytest.raises(ConfigurationError, match="boast login"):
            boast.page("/accounts")
        assert oauth.server.requests == []


def test_a_store_of_another_client_is_not_overwritten(tmp_path):
    store = tmp_path / "t"
    with oauth_server() as oauth:
        with client(oauth, store) as boast:
            boast.page("/accounts")
        before = store.read_bytes()
        other = {**settings(oauth, store), "client_id": "another-client"}
        boast = BoastClient(OAuthCredentials(**other), base_url=oauth.url)
        with boast, pytest.raises(ConfigurationError, match="another OAuth client"):
            boast.page("/accounts")
        assert store.read_bytes() == before


def test_a_store_that_cannot_be_written_is_noticed_before_the_token_is_spent(tmp_path):
    (tmp_path / "file").write_text("")
    with oauth_server() as oauth, client(oauth, tmp_path / "file" / "tokens.json") as boast:
        with pytest.raises(ConfigurationError, match="token_store"):
            boast.page("/accounts")
        assert oauth.asked == []


def test_a_removed_store_is_written_again(tmp_path):
    store = tmp_path / "t"
    with oauth_server() as oauth, client(oauth, store) as boast:
        boast.page("/accounts")
        store.unlink()
        oauth.revoke_access()
        boast.page("/accounts")
        assert stored(store)["refresh_token"] == "refresh-token-2"


def test_nothing_shows_a_secret(tmp_path):
    with oauth_server() as oauth:
        auth = OAuth(OAuthCredentials(**settings(oauth, tmp_path / "t")))
        token = auth.token()
        shown = repr(auth) + repr(auth._endpoint) + repr(auth._store) + repr(auth._tokens)
        auth.close()
        assert not any(secret in shown for secret in (token, "the-client-secret", "refresh-token"))
