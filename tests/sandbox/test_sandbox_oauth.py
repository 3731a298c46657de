"""Tokens behave as on a server of the vendor's evident kind, in both of its modes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.sandbox_client import client_of

BACK = "http://127.0.0.1:9/callback"


@pytest.fixture(params=["on_use", "at_once"])
def mode(request):
    return request.param


@pytest.fixture
def client(sandbox, mode):
    with client_of(sandbox(enrollments=5, revoke=mode)) as client:
        yield client


def pair(client, refresh=None):
    answer = client.refresh(refresh or client.info["refresh_token"])
    assert answer.status == 200
    return answer.json()


def test_missing_and_unknown_tokens_are_401_with_or_without_a_body(sandbox):
    for bare in (False, True):
        with client_of(sandbox(enrollments=5, bare_401=bare)) as client:
            for headers in ({}, {"Authorization": "Bearer wrong"}):
                answer = client.raw("GET", "/accounts", headers=headers)
                assert answer.status == 401
                assert (not answer.data) if bare else answer.json()["errors"]


def test_a_refresh_answers_as_documented(client):
    new = pair(client)
    assert set(new) == {"access_token", "token_type", "expires_in", "refresh_token", "scope", "created_at"}
    assert (new["token_type"], new["expires_in"], new["scope"]) == ("Bearer", 7200, "read write")
    assert new["refresh_token"] != client.info["refresh_token"]
    assert client.status(new["access_token"]) == 200


def test_the_old_access_token_dies_at_first_use_of_the_new_one_or_at_once(client, mode):
    first = pair(client)
    assert client.status(first["access_token"]) == 200
    second = pair(client, first["refresh_token"])
    assert client.status(first["access_token"]) == (200 if mode == "on_use" else 401)
    assert client.status(second["access_token"]) == 200
    assert client.status(first["access_token"]) == 401


def test_the_old_refresh_token_works_again_only_in_mode_on_use_and_only_until_then(client, mode):
    first = pair(client)
    again = client.refresh(client.info["refresh_token"])
    assert again.status == (200 if mode == "on_use" else 400)
    if mode == "at_once":
        assert set(again.json()) == {"error", "error_description"}
        assert again.json()["error"] == "invalid_grant"
    assert client.status(first["access_token"]) == 200
    assert client.refresh(client.info["refresh_token"]).status == 400


def test_eight_refreshes_at_once_end_as_measured(client, mode):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(client.refresh, [client.info["refresh_token"]] * 8))
    good = [answer.json() for answer in answers if answer.status == 200]
    assert len(good) == (8 if mode == "on_use" else 1)
    assert {answer.status for answer in answers} <= {200, 400}
    assert all(client.status(new["access_token"]) == 200 for new in good)


def test_access_tokens_expire_after_their_lifetime_and_refresh_tokens_live_on(sandbox):
    with client_of(sandbox(enrollments=5, token_lifetime=0.0)) as client:
        new = pair(client)
        assert client.status(new["access_token"]) == 401
        assert client.refresh(new["refresh_token"]).status == 200


def test_control_expires_and_revokes(sandbox):
    server = sandbox(enrollments=5)
    with client_of(server) as client:
        new = pair(client)
        server.control("POST", "tokens", {"expire": True})
        assert client.status(new["access_token"]) == 401
        assert client.status(client.token) == 200
        newer = pair(client, new["refresh_token"])
        server.control("POST", "tokens", {"revoke": "refresh too"})
        assert client.refresh(newer["refresh_token"]).status == 400
        assert client.status(client.token) == 401


def test_a_code_is_given_with_the_state_and_works_once(client):
    fields = {"client_id": client.info["client_id"], "redirect_uri": BACK, "response_type": "code", "state": "s1"}
    sent = client.pool.request("GET", client.info["authorize_url"], fields=fields, redirect=False, retries=False)
    back = urlsplit(sent.headers["Location"])
    given = {key: values[0] for key, values in parse_qs(back.query).items()}
    assert sent.status == 302
    assert sent.headers["Location"].startswith(BACK)
    assert given["state"] == "s1"
    form = {"grant_type": "authorization_code", "code": given["code"], "redirect_uri": BACK}
    answer = client.oauth(**form)
    assert answer.status == 200
    assert client.status(answer.json()["access_token"]) == 200
    assert client.oauth(**form).json()["error"] == "invalid_grant"


def test_a_wrong_secret_and_an_unknown_grant_are_told_apart(client):
    wrong = client.oauth(grant_type="refresh_token", refresh_token="x", client_secret="wrong")
    assert (wrong.status, wrong.json()["error"]) == (401, "invalid_client")
    assert client.oauth(grant_type="password").json()["error"] == "unsupported_grant_type"


def test_a_token_may_be_limited_to_some_accounts(sandbox):
    with client_of(sandbox(enrollments=20, accounts=2)) as client:
        limited = client.info["limited_token"]
        assert len(client.raw("GET", "/accounts", token=limited).json()["data"]) == 1
        other = client.info["account_ids"][1]
        assert client.ask("GET", "contacts", account=other, token=limited).status == 403
        assert client.ask("GET", "contacts", account=other).status == 200
