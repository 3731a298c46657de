"""Each kind of fault does what it says, to the requests it is meant for, as often as it was asked to."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
import urllib3

from tests.support.sandbox_client import client_of
from tests.support.waiting import arrived, until

LOST = (urllib3.exceptions.ProtocolError, urllib3.exceptions.TimeoutError)


@pytest.fixture
def server(sandbox):
    return sandbox(enrollments=30)


@pytest.fixture
def client(server):
    with client_of(server) as client:
        yield client


def count(server):
    return len(server.truth())


def fault(server, kind, **more):
    server.control("POST", "faults", {"kind": kind, "times": 1} | more)


def enroll(client, **given):
    old = client.page()["data"][0]
    return client.enroll(old["contact_id"], old["sequence_id"], **given)


def test_a_status_comes_with_errors_html_or_nothing(server, client):
    for body, kind in (("errors", "application/json"), ("html", "text/html"), ("none", None)):
        fault(server, "status", status=503, body=body)
        answer = client.ask("GET", "contacts")
        assert answer.status == 503
        assert bool(answer.data) == (body != "none")
        assert kind is None or answer.headers["Content-Type"].startswith(kind)
    assert client.ask("GET", "contacts").status == 200


def test_retry_after_is_seconds_or_a_date(server, client):
    fault(server, "status", status=429, retry_after=3)
    assert client.ask("GET", "contacts").headers["Retry-After"] == "3"
    fault(server, "status", status=429, retry_after="date:60")
    moment = parsedate_to_datetime(client.ask("GET", "contacts").headers["Retry-After"])
    assert 50 < moment.timestamp() - time.time() <= 61


@pytest.mark.parametrize(("kind", "acts"), [("error_before_write", 0), ("error_after_write", 1)])
def test_an_error_comes_before_or_after_the_write(server, client, kind, acts):
    fault(server, kind, method="POST")
    assert enroll(client).status == 500
    assert count(server) == 30 + acts


@pytest.mark.parametrize(("kind", "acts"), [("drop", 0), ("hold", 0), ("drop_after_write", 1)])
def test_a_dropped_connection_gives_no_answer_whether_or_not_the_write_happened(server, client, kind, acts):
    fault(server, kind, method="POST", seconds=0.02)
    with pytest.raises(LOST):
        enroll(client)
    assert count(server) == 30 + acts


def test_a_held_request_acts_although_its_client_has_gone(server, client):
    fault(server, "hold_then_act", method="POST", seconds=3600)
    old = client.page()["data"][0]
    body = {"contact_id": old["contact_id"], "sequence_id": old["sequence_id"]}
    server.control("DELETE", "counters")
    address = urlsplit(client.info["base_url"])
    path = f"{address.path}/accounts/{client.account}/sequence_enrollments"
    with closing(HTTPConnection(address.hostname, address.port)) as connection:
        connection.request("POST", path, json.dumps(body), client.json_headers())
        arrived(server, "POST sequence_enrollments")
    assert count(server) == 30
    server.control("DELETE", "faults")
    until(lambda: count(server) == 31)


def test_a_cut_body_is_shorter_than_it_says(server, client):
    fault(server, "cut_body")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        client.ask("GET", "contacts")


def test_answers_may_be_html_or_of_the_wrong_shape(server, client):
    fault(server, "not_json")
    answer = client.ask("GET", "contacts")
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (200, "text/html")
    fault(server, "wrong_shape", data={"not": "a list"})
    assert client.ask("GET", "contacts").json()["data"] == {"not": "a list"}


def test_latency_delays_and_then_answers(server, client):
    fault(server, "latency", seconds=0.05)
    start = time.monotonic()
    assert client.ask("GET", "contacts").status == 200
    assert time.monotonic() - start >= 0.05


def test_tokens_are_revoked_in_the_middle(server, client):
    new = client.refresh(client.info["refresh_token"]).json()
    fault(server, "token_revoked", after=1)
    assert [client.status(new["access_token"]) for _ in range(2)] == [200, 401]
    assert client.refresh(new["refresh_token"]).status == 200


def test_a_rate_limit_refuses_what_is_too_much(server, client):
    fault(server, "rate_limit", times=None, per_second=5, retry_after=1)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.ask("GET", "contacts"), range(8)))
    assert sorted({answer.status for answer in answers}) == [200, 429]
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status == 429)


def test_a_rule_meets_only_its_method_and_path(server, client):
    fault(server, "status", status=500, method="GET", path="forms$", times=None)
    assert client.ask("GET", "forms").status == 500
    assert client.ask("GET", "contacts").status == 200
    assert enroll(client).status == 201


def test_after_every_and_times_choose_the_requests(server, client):
    fault(server, "status", status=500, path="contacts", after=2, every=2, times=2)
    statuses = [client.ask("GET", "contacts").status for _ in range(9)]
    assert statuses == [200, 200, 200, 500, 200, 500, 200, 200, 200]


def test_a_probability_is_seeded(sandbox):
    def statuses():
        server = sandbox(enrollments=5, seed=9)
        fault(server, "status", status=500, probability=0.5, times=None)
        with client_of(server) as client:
            return [client.ask("GET", "forms").status for _ in range(20)]

    seen = statuses()
    assert seen == statuses()
    assert set(seen) == {200, 500}


def test_faults_are_cleared_and_unknown_kinds_refused(server, client):
    fault(server, "status", status=500, times=None)
    assert server.control("DELETE", "faults") == {"rules": 0}
    assert client.ask("GET", "contacts").status == 200
    with pytest.raises(HTTPError) as refused:
        fault(server, "nonsense")
    refused.value.close()
    assert refused.value.code == 400
