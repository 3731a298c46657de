"""All threads of a client keep one pace."""

import threading
import time
from email.utils import formatdate

import pytest

from boast_source.api import BoastClient, RetryPolicy, Tally
from boast_source.api.pace import ClosedError, LateError, Pace, retry_after
from boast_source.errors import UnavailableError
from tests.support.http_server import errors, page, reply, serving
from tests.support.waiting import until

QUICK = RetryPolicy(attempts=6, first_wait=0.01, longest_wait=0.05)


def in_threads(count, work):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_never_more_requests_at_once_than_allowed():
    pace, most, now, lock = Pace(3), 0, 0, threading.Lock()

    def work():
        nonlocal most, now
        for _ in range(10):
            with pace.slot():
                with lock:
                    now += 1
                    most = max(most, now)
                time.sleep(0.001)
                with lock:
                    now -= 1

    in_threads(10, work)
    assert most == 3


def test_one_incident_halves_the_concurrency_once_and_successes_bring_it_back():
    pace = Pace(8, first_wait=0.001, longest_wait=0.001)
    began = time.monotonic()
    for _ in range(8):  # eight requests in flight, all told to slow down
        pace.slow_down(began, None)
    assert pace.concurrency == 4
    pace.slow_down(time.monotonic(), None)
    assert pace.concurrency == 2
    for _ in range(10):
        pace.slow_down(time.monotonic(), None)
    assert pace.concurrency == 1
    for _ in range(10):
        pace.went_well()
    assert pace.concurrency == 1
    for _ in range(500):
        pace.went_well()
    assert pace.concurrency == 8


def test_requests_per_second_are_spread_over_all_threads():
    pace, starts = Pace(8, 100), []

    def work():
        for _ in range(5):
            with pace.slot() as began:
                starts.append(began)

    in_threads(4, work)
    starts.sort()
    assert starts[-1] - starts[0] >= 0.185


def test_a_pause_is_shared_by_everybody():
    pace, starts = Pace(4), []
    pace.slow_down(time.monotonic(), 0.2)
    told = time.monotonic()

    def work():
        with pace.slot() as began:
            starts.append(began)

    in_threads(4, work)
    assert min(starts) >= told + 0.19


def test_closing_wakes_everybody():
    pace, ended = Pace(1), []
    pace.slow_down(time.monotonic(), 3600)

    def work():
        with pytest.raises(ClosedError), pace.slot():
            pass
        with pytest.raises(ClosedError):
            pace.sleep(3600)
        ended.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    pace.close()
    for thread in threads:
        thread.join()
    assert len(ended) == 3


def test_who_would_be_too_late_does_not_wait():
    pace = Pace(1)
    told = time.monotonic()
    pace.slow_down(told, 1000)
    with pytest.raises(LateError), pace.slot(until=told + 500):
        pass
    assert time.monotonic() < told + 500


def test_who_waits_for_a_free_slot_gives_up_in_time():
    pace, start = Pace(1), time.monotonic()
    with pace.slot(), pytest.raises(LateError), pace.slot(until=start + 0.05):
        pass
    assert time.monotonic() - start > 0.04


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:28:30 GMT"}, 0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 5000}, 999999999999),
    ],
)
def test_retry_after_is_read(headers, seconds):
    assert retry_after(headers) == seconds


def test_a_date_without_the_servers_own_is_compared_with_our_clock():
    assert 8 < retry_after({"retry-after": formatdate(time.time() + 10, usegmt=True)}) <= 10


def client(server, **how):
    return BoastClient("t", base_url=server.url, retries=how.pop("retries", QUICK), **how)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_pauses_every_worker(status):
    told = []

    def answers(request):
        if not told:
            told.append(time.monotonic())
            return errors(status, headers={"Retry-After": "0.3"})
        return page()

    with serving(answers) as server, client(server) as boast:

        def read():
            boast.page("/accounts")

        first = threading.Thread(target=read)
        first.start()
        until(lambda: boast._exchange.pace._resume_at)
        in_threads(4, read)
        first.join()
        assert len(server.requests) == 6
        assert all(request.at >= told[0] + 0.29 for request in server.requests[1:])


def test_a_busy_listing_gets_through_a_rate_limit_although_single_requests_are_unlucky():
    window = [0.0, 0]  # when the first request was refused, and how many were let in

    def answers(request):
        now = time.monotonic()
        if window[1] == 10 and not window[0]:
            window[0] = now
        if window[0] and now - window[0] <= 0.1:
            return errors(429)
        window[:] = [0.0, 1 if window[0] else window[1] + 1]
        return page()

    tally, patient = Tally(), RetryPolicy(attempts=6, first_wait=0.05)
    with serving(answers) as server, client(server, retries=patient) as boast:

        def work():
            for _ in range(12):
                boast.page("/accounts", tally=tally)

        in_threads(8, work)
        assert tally.pages == 96
        assert tally.requests == len(server.requests)
        assert tally.retries > 0
        assert len(server.requests) < 96 * 2.5


def test_429_for_ever_ends_after_the_attempts():
    with serving(errors(429)) as server, client(server) as boast:
        with pytest.raises(UnavailableError) as caught:
            boast.page("/accounts")
        assert (len(server.requests), caught.value.attempts, caught.value.status) == (6, 6, 429)


@pytest.mark.parametrize(("status", "method"), [(429, "read"), (503, "read"), (429, "write")])
def test_a_server_that_asks_for_too_long_ends_the_request_at_once(status, method):
    with serving(reply(status, b"", {"Retry-After": "3600"})) as server, client(server) as boast:
        with pytest.raises(UnavailableError, match="3600 s") as caught:
            boast.page("/accounts") if method == "read" else boast.remove_sequence_enrollment("a", "e")
        assert len(server.requests) == 1
        assert caught.value.may_have_acted is False


def test_closing_the_client_ends_a_request_that_waits():
    with serving(errors(429, headers={"Retry-After": "250"})) as server:
        boast = client(server)
        ended = []

        def work():
            with pytest.raises(UnavailableError, match="closed"):
                boast.page("/accounts")
            ended.append(1)

        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: boast._exchange.pace._resume_at)
        boast.close()
        thread.join()
        assert ended == [1]
