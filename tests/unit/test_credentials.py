"""Credentials come from dlt's own providers, or as objects; what is missing is named."""

import os
import subprocess
import sys
from pathlib import Path

import dlt
import pytest
from dlt.common.configuration.exceptions import ConfigFieldMissingException

from boast_source.api import (
    AccessTokenCredentials,
    BoastClient,
    BoastCredentials,
    OAuthCredentials,
    resolve_credentials,
)
from boast_source.errors import ConfigurationError
from tests.support.http_server import page, serving

PREFIX = "SOURCES__BOAST__CREDENTIALS__"
OAUTH = {"CLIENT_ID": "an-id", "CLIENT_SECRET": "hunter2-secret", "REFRESH_TOKEN": "hunter2-refresh"}


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("SOURCES__") or "CREDENTIALS" in name:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def given(monkeypatch, **values):
    for name, value in values.items():
        monkeypatch.setenv(PREFIX + name, value)


def through_a_source(**how):
    seen = []

    @dlt.source(name="boast", section="boast")
    def boast_source(credentials: BoastCredentials = dlt.secrets.value):
        seen.append(credentials)
        return dlt.resource([{"id": 1}], name="x")

    boast_source(**how)
    return seen[0]


WAYS = pytest.mark.parametrize("resolve", [resolve_credentials, through_a_source])


@WAYS
def test_an_access_token_is_a_fixed_token(monkeypatch, resolve):
    given(monkeypatch, ACCESS_TOKEN="hunter2-token")
    found = resolve()
    assert isinstance(found, AccessTokenCredentials)
    assert found.access_token == "hunter2-token"


@WAYS
@pytest.mark.parametrize("without", ["", "REFRESH_TOKEN"])
def test_a_client_is_oauth_and_the_refresh_token_optional(monkeypatch, resolve, without):
    given(monkeypatch, **{name: value for name, value in OAUTH.items() if name != without})
    found = resolve()
    assert isinstance(found, OAuthCredentials)
    assert (found.client_id, found.client_secret) == ("an-id", "hunter2-secret")
    assert found.refresh_token == (None if without else "hunter2-refresh")
    assert found.token_url == "https://app.boast.io/oauth/token"
    assert found.token_store is None


@WAYS
def test_empty_variables_count_as_absent(monkeypatch, resolve):
    given(monkeypatch, ACCESS_TOKEN="", **OAUTH)
    assert isinstance(resolve(), OAuthCredentials)


@WAYS
def test_all_keys_are_read(monkeypatch, resolve):
    given(monkeypatch, TOKEN_URL="https://x.test/oauth/token", TOKEN_STORE="memory://t", **OAUTH)
    found = resolve()
    assert (found.token_url, found.token_store) == ("https://x.test/oauth/token", "memory://t")


@pytest.mark.parametrize("how", ["object", "dict"])
def test_credentials_may_be_given_explicitly(how):
    both = (
        (AccessTokenCredentials(access_token="hunter2-token"), {"access_token": "hunter2-token"}),
        (
            OAuthCredentials(client_id="an-id", client_secret="hunter2-secret"),
            {"client_id": "an-id", "client_secret": "hunter2-secret"},
        ),
    )
    for instance, mapping in both:
        found = through_a_source(credentials=instance if how == "object" else mapping)
        assert type(found) is type(instance)
        assert dict(found) == dict(instance)


def test_nothing_given_says_which_keys_and_where():
    with pytest.raises(ConfigurationError) as caught:
        resolve_credentials()
    for part in ("access_token", "client_id", "secrets.toml", "SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN", "login"):
        assert part in str(caught.value)
    with pytest.raises(ConfigFieldMissingException):
        through_a_source()


@pytest.mark.parametrize(("name", "absent"), [("CLIENT_ID", "client_secret"), ("CLIENT_SECRET", "client_id")])
def test_half_given_says_which_half_is_missing(monkeypatch, name, absent):
    given(monkeypatch, **{name: OAUTH[name], "REFRESH_TOKEN": OAUTH["REFRESH_TOKEN"]})
    with pytest.raises(ConfigurationError, match=f"{absent} in sources.boast.credentials") as caught:
        resolve_credentials()
    assert "hunter2" not in str(caught.value)
    assert PREFIX + absent.upper() in str(caught.value)


def test_secrets_toml_is_read(tmp_path):
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "secrets.toml").write_text('[sources.boast.credentials]\naccess_token = "from-the-file"\n')
    code = "from boast_source.api import resolve_credentials as r; print(r().access_token, r())"
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=tmp_path, env=home, capture_output=True, text=True
    )
    assert done.stdout.split()[0] == "from-the-file", done.stderr
    assert done.stdout.count("from-the-file") == 1


def test_credentials_do_not_show():
    for each in (
        AccessTokenCredentials(access_token="hunter2"),
        OAuthCredentials(client_id="an-id", client_secret="hunter2", refresh_token="hunter2"),
    ):
        assert "hunter2" not in f"{each!r} {each} {[each]}"


@pytest.mark.parametrize("token", ["", "  ", "a b", "a\nb", "ä"])
def test_a_token_that_no_header_can_hold_is_a_configuration_error(token):
    for credentials in (token, AccessTokenCredentials(access_token=token)):
        with pytest.raises(ConfigurationError, match="access_token"):
            BoastClient(credentials)


@pytest.mark.parametrize("missing", ["client_id", "client_secret"])
def test_explicit_credentials_are_checked_too(missing):
    whole = {"client_id": "an-id", "client_secret": "hunter2"}
    with pytest.raises(ConfigurationError, match=missing):
        BoastClient(OAuthCredentials(**{**whole, missing: None}))


def test_the_token_url_must_be_safe_too():
    with pytest.raises(ConfigurationError, match="token_url"):
        BoastClient(OAuthCredentials(client_id="i", client_secret="s", token_url="http://app.boast.io/oauth/token"))


def test_a_client_for_anybodys_script_comes_from_the_configuration(monkeypatch):
    with serving(page({"id": "1"})) as server:
        given(monkeypatch, ACCESS_TOKEN="hunter2-token")
        monkeypatch.setenv("SOURCES__BOAST__BASE_URL", server.url + "/v1")
        monkeypatch.setenv("SOURCES__BOAST__MAX_CONCURRENCY", "3")
        monkeypatch.setenv("SOURCES__BOAST__MAX_REQUESTS_PER_SECOND", "50.5")
        with BoastClient.from_config() as boast:
            assert list(boast.accounts()) == [{"id": "1"}]
            assert boast._exchange.pace.concurrency == 3


def test_a_setting_of_the_wrong_type_is_a_configuration_error(monkeypatch):
    given(monkeypatch, ACCESS_TOKEN="hunter2-token")
    monkeypatch.setenv("SOURCES__BOAST__MAX_CONCURRENCY", "many")
    with pytest.raises(ConfigurationError, match=r"sources\.boast"):
        BoastClient.from_config()
