"""Reads are repeated until they succeed, within bounds, and fail with what to do next."""

import json

import pytest

from boast_source.api import BoastClient, RetryPolicy, Tally
from boast_source.errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    ForbiddenError,
    NotFoundError,
    PagingError,
    RefusedError,
    UnavailableError,
    UnreadableError,
)
from tests.support.http_server import DROP, RESET, Reply, errors, page, reply, serving

QUICK = RetryPolicy(attempts=3, first_wait=0.001, longest_wait=0.002)
CUT = Reply((b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",), close=True)


def client(server, **how):
    return BoastClient("secret-token", base_url=server.url + "/v1/", **{"retries": QUICK, **how})


def test_a_page_tells_its_records_and_its_numbers():
    numbers = {"count": 103, "items": 3, "pages": 35}
    answers = [page({"id": "1"}, page=number, **numbers) for number in (1, 3)]
    with serving(*answers) as server, client(server) as boast:
        tally = Tally()
        first, third = boast.page("/accounts/a/forms", tally=tally), boast.page("accounts/a/forms", 3, tally)
        assert (first.number, first.records, first.count, first.items, first.pages) == (1, [{"id": "1"}], 103, 3, 35)
        assert third.number == 3
        assert [r.target for r in server.requests] == ["/v1/accounts/a/forms", "/v1/accounts/a/forms?page=3"]
        assert server.requests[0].token == "secret-token"
        assert server.requests[0].headers["content-type"] == "application/json"
        assert (tally.requests, tally.retries, tally.pages) == (2, 0, 2)


@pytest.mark.parametrize(
    "bad",
    [
        *(reply(status, b"<html>busy</html>") for status in (408, 425, 429, 500, 502, 503, 504)),
        errors(500),
        DROP,
        RESET,
        CUT,
        reply(200, b"<html>"),
        reply(200, b""),
        reply(204, b"", {"Content-Length": None}),
        reply(200, {"data": {}}),
        reply(200, {"data": [1]}),
        reply(200, {"data": [], "meta": {"pagination": {"pages": "x"}}}),
    ],
)
def test_a_read_is_repeated_until_it_succeeds(bad):
    with serving(bad, bad, page({"id": "1"})) as server, client(server) as boast:
        tally = Tally()
        assert boast.page("/accounts", tally=tally).records == [{"id": "1"}]
        assert (tally.requests, tally.retries, tally.pages, len(server.requests)) == (3, 2, 1, 3)


@pytest.mark.parametrize(
    ("bad", "kind", "status"),
    [
        (reply(500, b""), UnavailableError, 500),
        (DROP, UnavailableError, None),
        (CUT, UnreadableError, 200),
        (reply(200, b"<html>"), UnreadableError, 200),
    ],
)
def test_after_the_attempts_the_error_names_the_request(bad, kind, status):
    with serving(bad) as server, client(server) as boast:
        with pytest.raises(kind) as caught:
            boast.page("/accounts/a/forms", 2)
        error = caught.value
        assert len(server.requests) == 3
        assert (error.method, error.path, error.status, error.attempts) == ("GET", "/accounts/a/forms", status, 3)
        assert error.may_have_acted is False
        assert "GET /accounts/a/forms (3 attempts)" in str(error)
        assert "\n" not in str(error)


def test_an_answer_to_another_question_is_not_believed_and_its_connection_is_closed():
    first, second = page({"id": "1"}, page=1, pages=9), page({"id": "2"}, page=2, pages=9)
    third, fourth = page({"id": "3"}, page=3, pages=9), page({"id": "4"}, page=4, pages=9)
    with serving(first, second, second, third, fourth) as server, client(server) as boast:
        numbers = [boast.page("/accounts/a/forms", number).records for number in (1, 2, 3, 4)]
        assert numbers == [[{"id": each}] for each in "1234"]
        assert [r.connection for r in server.requests] == [1, 1, 1, 2, 2]
    records = [reply(200, {"data": {"id": key}}) for key in ("1", "other", "2")]
    with serving(*records) as server, client(server) as boast:
        assert [boast.sequence_enrollment("a", key)["id"] for key in "12"] == ["1", "2"]
        assert [r.connection for r in server.requests] == [1, 1, 2]


def test_that_a_record_is_gone_is_believed_on_a_connection_of_its_own_only():
    gone = errors(404, "not_found")
    with serving(reply(200, {"data": {"id": "1"}}), gone, reply(200, {"data": {"id": "2"}}), gone) as server:
        with client(server) as boast:
            assert [boast.sequence_enrollment("a", key)["id"] for key in "12"] == ["1", "2"]
            with pytest.raises(NotFoundError):
                boast.sequence_enrollment("a", "3")
        assert [r.connection for r in server.requests] == [1, 1, 2, 3]


def test_past_the_end_the_last_page_may_come_again():
    with serving(page({"id": "2"}, page=2, pages=2)) as server, client(server) as boast:
        assert boast.page("/accounts/a/forms", 3).records == [{"id": "2"}]
        assert boast.page("/accounts/a/forms", 2).compared
        with pytest.raises(UnreadableError, match="page 2, not page 1"):
            boast.page("/accounts/a/forms", 1)


def test_the_total_bounds_the_attempts():
    policy = RetryPolicy(attempts=1000, first_wait=0.01, longest_wait=0.01, total=0.2)
    with serving(reply(500)) as server, client(server, retries=policy) as boast:
        with pytest.raises(UnavailableError):
            boast.page("/accounts")
        assert 3 < len(server.requests) < 100


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, RefusedError), (403, ForbiddenError), (404, NotFoundError), (409, RefusedError), (422, RefusedError)],
)
@pytest.mark.parametrize("body", [{"errors": [{"code": "c", "detail": "d"}]}, "<html>"])
def test_other_4xx_end_at_once(status, kind, body):
    with serving(reply(status, body)) as server, client(server) as boast:
        with pytest.raises(kind) as caught:
            boast.page("/accounts")
        assert (len(server.requests), caught.value.status, type(caught.value)) == (1, status, kind)
        assert (caught.value.code, caught.value.detail) == (("c", "d") if isinstance(body, dict) else (None, None))


def test_a_fixed_token_that_is_not_accepted_fails_at_once():
    with serving(reply(401, b"")) as server, client(server) as boast:
        with pytest.raises(AuthenticationError, match="boast login"):
            boast.page("/accounts")
        assert len(server.requests) == 1


def test_a_detail_is_masked_in_the_error():
    detail = "ann@example.com, +1 515 555 0100, secret-token " + "x" * 500
    with serving(errors(422, detail=detail)) as server, client(server) as boast:
        with pytest.raises(RefusedError) as caught:
            boast.page("/accounts")
        shown = str(caught.value) + caught.value.detail
        assert not any(part in shown for part in ("ann@", "555", "secret-token"))
        assert len(caught.value.detail) == 200


def test_refused_connections_say_what_to_check():
    with serving(page()) as server:
        url = server.url
    with BoastClient("t", base_url=url, retries=QUICK) as boast, pytest.raises(UnavailableError) as caught:
        boast.page("/accounts")
    assert "sources.boast.base_url" in caught.value.hint


def pages(*rows, total=None):
    def answers(request):
        number = int(request.target.partition("page=")[2] or 1)
        if number > len(rows):
            return reply(404, {"errors": [{"code": "not_found"}]})
        return page(*({"id": each} for each in rows[number - 1]), pages=total or len(rows), page=number)

    return answers


def test_every_documented_list_is_read_to_its_end():
    with serving(pages("abc", "def", "g")) as server, client(server) as boast:
        for name in ("sequence_enrollments", "contacts", "forms", "sequences", "responses", "webhook_subscriptions"):
            del server.requests[:]
            assert "".join(each["id"] for each in getattr(boast, name)("A/1")) == "abcdefg"
            assert server.requests[2].target == f"/v1/accounts/A%2F1/{name}?page=3"
        assert [each["id"] for each in boast.accounts()] == list("abcdefg")


def test_one_record_is_read():
    answers = [reply(200, {"data": {"id": key}}) for key in ("a", "E")]  # ids are equal whatever their case
    with serving(*answers) as server, client(server) as boast:
        assert boast.account("A") == {"id": "a"}
        assert boast.sequence_enrollment("A", "E") == {"id": "E"}
        assert [r.target for r in server.requests] == ["/v1/accounts/A", "/v1/accounts/A/sequence_enrollments/E"]


def test_a_list_that_became_shorter_ends():
    with serving(pages("ab", "c", total=3)) as server, client(server) as boast:
        assert [each["id"] for each in boast.forms("A")] == ["a", "b", "c"]


def test_a_list_without_pagination_is_one_page():
    with serving(page({"id": "1"})) as server, client(server) as boast:
        assert len(list(boast.accounts())) == 1
        assert len(server.requests) == 1


def test_without_a_number_of_pages_the_end_is_an_empty_or_a_repeated_page():
    for last in ([], [{"id": "2"}]):
        answers = [page({"id": "1"}, count=2), page({"id": "2"}, count=2), page(*last, count=2)]
        with serving(*answers) as server, client(server) as boast:
            assert {each["id"] for each in boast.forms("A")} == {"1", "2"}
            assert len(server.requests) == 3


def test_a_list_that_repeats_itself_is_an_error_and_no_loop():
    with serving(page({"id": "1"}, pages=10**9)) as server, client(server) as boast:
        with pytest.raises(PagingError):
            list(boast.forms("A"))
        assert len(server.requests) < 10


@pytest.mark.parametrize("which", ["forms", "accounts"])
def test_a_list_whose_pages_run_away_is_an_error_and_no_loop(which):
    def answers(request):
        number = int(request.target.partition("page=")[2] or 1)
        return page({"id": str(number)}, pages=number + 1)

    with serving(answers) as server, client(server) as boast, pytest.raises(PagingError):
        list(boast.forms("A") if which == "forms" else boast.accounts())


def test_an_empty_id_never_reaches_the_server():
    with serving(page()) as server, client(server) as boast:
        for call in (boast.account, boast.contacts):
            with pytest.raises(ConfigurationError):
                list(call(""))
        assert server.requests == []


@pytest.mark.parametrize("setting", ["max_concurrency", "max_requests_per_second", "request_timeout"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_settings_that_cannot_work_are_a_configuration_error(setting, value):
    with pytest.raises(ConfigurationError, match=setting):
        BoastClient("t", **{setting: value})


def test_a_client_can_be_closed_twice():
    with serving(page()) as server:
        boast = client(server)
        boast.page("/accounts")
        boast.close()
        boast.close()
        with pytest.raises(UnavailableError):
            boast.page("/accounts")


def test_json_fields_unknown_to_the_documentation_are_kept():
    record = {"id": "1", "new": {"x": [1, None]}, "status": "paused"}
    with serving(reply(200, json.dumps({"data": [record], "x": 1}))) as server, client(server) as boast:
        assert list(boast.sequence_enrollments("A")) == [record]
        assert issubclass(PagingError, ApiError)
