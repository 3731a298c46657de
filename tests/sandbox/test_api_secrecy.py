"""No token, secret or personal data shows: not in logs at any level, not in errors, not in any repr."""

import logging

import pytest

from boast_source.api import AccessTokenCredentials, BoastClient, OAuthCredentials, RetryPolicy
from boast_source.errors import BoastError
from tests.support.http_server import DROP, errors, page, reply, serving
from tests.support.oauth_server import oauth_server, settings

QUICK = RetryPolicy(attempts=2, first_wait=0.001)
HIDDEN = ("hunter2", "ann@example.com", "seed-refresh-token", "access-token-", "refresh-token-", "the-client-secret")


def chain(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def outcome(call):
    try:
        call()
    except BoastError as error:
        return [f"{each} {each!r} {vars(each)}" for each in chain(error)]
    return []


def nothing_shows(*texts):
    for text in texts:
        assert not any(hidden in text for hidden in HIDDEN), text


@pytest.mark.parametrize(
    "answer",
    [
        page({"id": "1", "email": "ann@example.com"}),
        errors(422, detail="hunter2-token of ann@example.com"),
        reply(401, "hunter2-token ann@example.com"),
        reply(500, "ann@example.com"),
        reply(302, b"", {"Location": "https://x.test/?token=hunter2-token"}),
        reply(200, '{"data": "ann@example.com"}'),
        errors(429, code="ann@example.com"),
        DROP,
    ],
)
def test_with_a_fixed_token_nothing_shows(answer, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    credentials = AccessTokenCredentials(access_token="hunter2-token")
    with serving(answer) as server, BoastClient(credentials, base_url=server.url, retries=QUICK) as boast:
        for call in (
            lambda: boast.page("/accounts"),
            lambda: boast.create_sequence_enrollment("A", contact_id="c", sequence_id="s"),
        ):
            nothing_shows(*outcome(call))
        nothing_shows(
            repr(boast),
            repr(boast._exchange._auth),
            repr(boast._exchange._transport),
            repr(boast._exchange.pace),
            str(boast),
        )
    assert len(caplog.records) > 2
    nothing_shows(caplog.text, *(str(vars(record)) for record in caplog.records))


def test_with_oauth_nothing_shows(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    with oauth_server() as oauth:
        credentials = OAuthCredentials(**settings(oauth, tmp_path / "t"))
        with BoastClient(credentials, base_url=oauth.url, retries=QUICK) as boast:
            boast.page("/accounts")
            oauth.revoke_access()
            boast.page("/accounts")
            oauth.revoke_access()
            oauth.refresh.clear()
            with pytest.raises(BoastError) as caught:
                boast.page("/accounts")
            nothing_shows(*(f"{each} {each!r} {vars(each)}" for each in chain(caught.value)))
            nothing_shows(repr(boast), repr(boast._exchange._auth), repr(credentials))
    assert len(caplog.records) > 2
    nothing_shows(caplog.text, *(str(vars(record)) for record in caplog.records))
