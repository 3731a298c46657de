"""No answer is believed for another request's, however the server lies; `make fuzz` asks 100,000 times."""

import itertools
import json
import os
import random
import resource
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boast_source.api import BoastClient, RetryPolicy
from boast_source.errors import ApiError, NotFoundError
from tests.support.http_server import Reply, serving
from tests.support.tagging import tagging

EXCHANGES = int(os.environ.get("BOAST_EXCHANGES", "3000"))
EXAMPLES = int(os.environ.get("BOAST_EXAMPLES", "1000"))
SEED = int(os.environ.get("BOAST_SEED", "1"))
AT_ONCE = 8
DEADLINE = 5.0
MOST_MB = 200
PATIENT = RetryPolicy(attempts=8, first_wait=0.0005, longest_wait=0.001)


def test_no_answer_is_believed_for_another_whatever_the_server_adds_cuts_or_delays():
    wrong, errors, done = [], [], itertools.count()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tagging(SEED) as server, BoastClient("t", base_url=server.url, request_timeout=2, retries=PATIENT) as boast:

        def work(worker):
            dice = random.Random(SEED * 1000 + worker)
            while next(done) < EXCHANGES and not wrong:
                asked = server.serial
                try:
                    wrong.extend(ask(boast, dice, asked))
                except ApiError as error:
                    errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert [contact for contact, times in server.asked.items() if times > 1] == []
    assert len(errors) < EXCHANGES / 4  # writes are not repeated
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MOST_MB


def ask(boast, dice, asked):
    """Ask one question; return what is wrong with the answer. `asked`: the server's serial number before."""
    account, key = dice.choice("ab"), dice.choice(("e1", "e2", "e3", "gone1", "gone2"))
    kind = dice.choice(("page", "page", "page", "record", "write"))
    if kind == "page":
        number = dice.randrange(1, 10)
        page = boast.page(f"/accounts/{account}/forms", number)
        said = page.records[0]
        expected = {"id": f"{account}-{number}"}
    elif kind == "record":
        try:
            said = boast.record(f"/accounts/{account}/sequence_enrollments/{key}")
        except NotFoundError:
            return [] if key.startswith("gone") else [f"{key} is there"]
        expected = {"id": key, "account": account}
    else:
        contact = f"c{dice.getrandbits(60)}"
        said = boast.create_sequence_enrollment(account, contact_id=contact, sequence_id="s")
        expected = {"id": f"new-{contact}", "contact_id": contact}
    stale = said.get("serial", asked + 1) <= asked
    return [(expected, said)] if stale or {**said, **expected} != said else []


STATUS_LINES = [
    "HTTP/1.1 200 OK",
    "HTTP/1.1 404 No",
    "HTTP/1.1 500 No",
    "HTTP/1.0 200",
    "HTTP/1.1 301 No",
    "HTTP/9",
    "",
    "\x00",
]
FIELDS = [
    *(
        "Content-Length: 5",
        "Content-Length: -1",
        "Content-Length: 99",
        "Transfer-Encoding: chunked",
        "Connection: close",
    ),
    *("Content-Encoding: gzip", "Content-Encoding: deflate", "Transfer-Encoding: gzip, chunked", " folded", "no colon"),
    *("Retry-After: 0", "Retry-After: soon", "Location: //[", "Content-Type: text/html", ": empty", "X:\x00\xff"),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "id", "meta", "pagination", "errors"]), inner, max_size=4)
    ),
    max_leaves=8,
)
ENVELOPES = st.fixed_dictionaries(
    {"data": VALUES | st.lists(st.fixed_dictionaries({"id": VALUES}), max_size=3)},
    optional={
        "meta": VALUES
        | st.fixed_dictionaries(
            {"pagination": VALUES | st.dictionaries(st.sampled_from(["page", "pages", "count", "items"]), VALUES)}
        ),
        "errors": VALUES | st.lists(st.fixed_dictionaries({"code": VALUES, "detail": VALUES}), max_size=2),
    },
)
BODIES = st.binary(max_size=40) | (ENVELOPES | VALUES).map(lambda value: json.dumps(value).encode())


@st.composite
def answers(draw):
    """The bytes of an answer by a grammar in which every part may be broken."""
    body = draw(BODIES)
    fields = draw(st.lists(st.sampled_from(FIELDS), max_size=3))
    if draw(st.booleans()):
        fields.append(f"Content-Length: {len(body)}")
    end = draw(st.sampled_from(["\r\n", "\n"]))
    head = end.join([draw(st.sampled_from(STATUS_LINES) | st.just(STATUS_LINES[0])), *fields, "", ""]).encode("latin-1")
    if draw(st.booleans()):
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    whole = head + body
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.integers(0, 4)) == 0 else whole


CALLS = {
    "page": lambda boast: boast.page("/accounts"),
    "record": lambda boast: boast.account("A"),
    "write": lambda boast: boast.create_sequence_enrollment("A", contact_id="c", sequence_id="s"),
    "removal": lambda boast: boast.remove_sequence_enrollment("A", "e"),
    "list": lambda boast: list(itertools.islice(boast.forms("A"), 100)),
}


@pytest.fixture(scope="module")
def broken():
    once = RetryPolicy(attempts=1, first_wait=0)
    with (
        serving(Reply(close=True)) as server,
        BoastClient("t", base_url=server.url, request_timeout=DEADLINE, retries=once) as boast,
    ):
        yield server, boast


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(answer=answers(), call=st.sampled_from(sorted(CALLS)))
def test_any_answer_is_a_success_or_one_error_of_the_tree_within_the_deadline(broken, answer, call):
    server, boast = broken
    server.answers = (Reply((answer,), close=True),)
    start = time.monotonic()
    said = ""
    try:
        CALLS[call](boast)
    except ApiError as error:
        said = str(error)
    assert time.monotonic() - start < DEADLINE + 1
    assert said.isprintable()
