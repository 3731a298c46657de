"""A write reaches the server once, whatever happens, unless it is known that the server did not act."""

import json
import time

import pytest

from boast_source.api import BoastClient, RetryPolicy
from boast_source.errors import (
    AuthenticationError,
    ConfigurationError,
    ForbiddenError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    UnreadableError,
)
from tests.support.http_server import DROP, RESET, Reply, errors, page, reply, serving

QUICK = RetryPolicy(attempts=4, first_wait=0.001, longest_wait=0.002)
RECORD = {"id": "e1", "contact_id": "C1", "sequence_id": "s1", "response_id": None, "status": "active"}
DONE = reply(200, {"data": RECORD})


def client(server, **how):
    return BoastClient("t", base_url=server.url + "/v1", **{"retries": QUICK, "request_timeout": 0.5, **how})


def post(boast, **how):
    return boast.create_sequence_enrollment("A", contact_id="c1", sequence_id="s1", **how)


def delete(boast, **how):
    return boast.remove_sequence_enrollment("A", "e1", **how)


def test_an_enrollment_is_posted_as_documented():
    with serving(reply(201, {"data": RECORD})) as server, client(server) as boast:
        assert post(boast) == RECORD
        (request,) = server.requests
        assert (request.method, request.target) == ("POST", "/v1/accounts/A/sequence_enrollments")
        assert request.headers["content-type"] == "application/json"
        assert json.loads(request.body) == {"contact_id": "c1", "sequence_id": "s1"}


def test_an_enrollment_is_removed_as_documented():
    with serving(DONE) as server, client(server) as boast:
        assert delete(boast) == RECORD
        (request,) = server.requests
        assert (request.method, request.target) == ("DELETE", "/v1/accounts/A/sequence_enrollments/e1")
        assert request.body == b""


UNKNOWN = {
    "500": (errors(500), UnavailableError, 500),
    "502 page": (reply(502, "<html>"), UnavailableError, 502),
    "503": (reply(503, b"", {"Retry-After": "0.01"}), UnavailableError, 503),
    "408": (errors(408), UnavailableError, 408),
    "409": (errors(409), UnavailableError, 409),
    "425": (errors(425), UnavailableError, 425),
    "4xx of a proxy": (reply(404, "<html>"), UnavailableError, 404),
    "403 of a proxy": (reply(403, "{}"), UnavailableError, 403),
    "422 without errors": (reply(422, {"errors": []}), UnavailableError, 422),
    "redirect": (reply(307, b"", {"Location": "https://elsewhere.test/"}), UnavailableError, 307),
    "dropped": (DROP, UnavailableError, None),
    "reset": (RESET, UnavailableError, None),
    "timeout": (Reply(delay=3600), UnavailableError, None),
    "cut": (Reply((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",), close=True), UnreadableError, 200),
    "cut 422": (Reply((b"HTTP/1.1 422 No\r\nContent-Length: 9\r\n\r\n{",), close=True), UnavailableError, 422),
    "not JSON": (reply(200, "ok"), UnreadableError, 200),
    "empty": (reply(201, b""), UnreadableError, 201),
    "204": (reply(204, b"", {"Content-Length": None}), UnreadableError, 204),
    "a list": (page(RECORD), UnreadableError, 200),
    "no id": (reply(200, {"data": {**RECORD, "id": None}}), UnreadableError, 200),
}


@pytest.mark.parametrize("call", [post, delete])
@pytest.mark.parametrize(("answer", "kind", "status"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unclear_answer_is_reached_once_and_may_have_acted(call, answer, kind, status):
    with serving(answer) as server, client(server) as boast:
        with pytest.raises(kind) as caught:
            call(boast)
        time.sleep(0.01)  # nothing follows
        assert len(server.requests) == 1
        error = caught.value
        assert (error.may_have_acted, error.status, error.attempts) == (True, status, 1)
        assert type(error) is kind


@pytest.mark.parametrize("field", ["contact_id", "sequence_id"])
@pytest.mark.parametrize("value", ["other", None, 7])
def test_a_record_of_somebody_else_may_have_acted(field, value):
    with serving(reply(200, {"data": {**RECORD, field: value}})) as server, client(server) as boast:
        with pytest.raises(UnreadableError, match=field) as caught:
            post(boast)
        assert (len(server.requests), caught.value.may_have_acted) == (1, True)


def test_a_removal_answered_with_another_record_may_have_acted():
    with serving(reply(200, {"data": {**RECORD, "id": "e2"}})) as server, client(server) as boast:
        with pytest.raises(UnreadableError) as caught:
            delete(boast)
        assert caught.value.may_have_acted is True


@pytest.mark.parametrize("call", [post, delete])
@pytest.mark.parametrize(
    ("status", "kind"), [(400, RefusedError), (403, ForbiddenError), (404, NotFoundError), (422, RefusedError)]
)
def test_a_4xx_with_an_errors_body_is_a_clear_no(call, status, kind):
    with serving(errors(status, "taken", "is taken by ann@example.com")) as server, client(server) as boast:
        with pytest.raises(kind) as caught:
            call(boast)
        error = caught.value
        assert (len(server.requests), error.may_have_acted, error.code, error.detail) == (
            1,
            False,
            "taken",
            "is taken by [e-mail]",
        )


@pytest.mark.parametrize("call", [post, delete])
def test_429_is_waited_out_because_the_server_did_not_act(call):
    with serving(errors(429, headers={"Retry-After": "0.2"}), errors(429), DONE) as server, client(server) as boast:
        assert call(boast) == RECORD
        assert len(server.requests) == 3
        assert server.requests[1].at - server.requests[0].at >= 0.19


def test_429_for_ever_ends_and_nothing_was_done():
    with serving(errors(429)) as server, client(server) as boast:
        with pytest.raises(UnavailableError) as caught:
            post(boast)
        assert (len(server.requests), caught.value.may_have_acted, caught.value.status) == (4, False, 429)


def test_a_refused_connection_is_tried_again_and_nothing_was_done():
    with serving(DONE) as server:
        url = server.url
    with BoastClient("t", base_url=url, retries=QUICK) as boast, pytest.raises(UnavailableError) as caught:
        post(boast)
    assert (caught.value.may_have_acted, caught.value.attempts) == (False, 4)


def test_a_write_after_a_429_that_ends_unclear_is_not_repeated():
    with serving(errors(429), DROP, DONE) as server, client(server) as boast:
        with pytest.raises(UnavailableError) as caught:
            post(boast)
        assert (len(server.requests), caught.value.may_have_acted, caught.value.attempts) == (2, True, 2)


def test_a_fixed_token_that_is_not_accepted_did_nothing():
    with serving(reply(401, b"")) as server, client(server) as boast:
        with pytest.raises(AuthenticationError) as caught:
            post(boast)
        assert (len(server.requests), caught.value.may_have_acted) == (1, False)


def test_a_write_that_would_come_too_late_is_not_sent():
    with serving(errors(429, headers={"Retry-After": "100"}), DONE) as server, client(server) as boast:
        with pytest.raises(UnavailableError, match="too late") as caught:
            post(boast, within=50)
        assert (len(server.requests), caught.value.may_have_acted, caught.value.status) == (1, False, 429)


def test_after_a_429_that_outlasted_all_attempts_the_next_write_is_sent_once_until_one_passes():
    with serving(*[errors(429)] * 6, DONE, errors(429), DONE) as server, client(server) as boast:
        for sent in (4, 5, 6):
            with pytest.raises(UnavailableError):
                post(boast)
            assert len(server.requests) == sent
        assert post(boast) == RECORD
        assert post(boast) == RECORD
        assert len(server.requests) == 9


def test_a_closed_client_sends_nothing():
    with serving(DONE) as server:
        boast = client(server)
        boast.close()
        with pytest.raises(UnavailableError) as caught:
            post(boast)
        assert (server.requests, caught.value.may_have_acted) == ([], False)


@pytest.mark.parametrize("ids", [("", "s"), ("c", " "), ("c", "")])
def test_empty_ids_are_never_sent(ids):
    with serving(DONE) as server, client(server) as boast:
        with pytest.raises(ConfigurationError):
            boast.create_sequence_enrollment("A", contact_id=ids[0], sequence_id=ids[1])
        with pytest.raises(ConfigurationError):
            boast.remove_sequence_enrollment("A", "")
        assert server.requests == []
