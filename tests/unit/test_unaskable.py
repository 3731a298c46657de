"""An id that no address can hold is named and left; nothing else suffers from it."""

import pytest

from boast_source.api import BoastClient
from boast_source.errors import ConfigurationError
from boast_source.listing.index import Listed
from boast_source.listing.reader import Swept
from boast_source.listing.report import ListReport, Options
from boast_source.listing.scratch import Scratch
from boast_source.listing.vanished import _ask
from boast_source.push.gate import enroll, remove
from boast_source.push.model import State
from boast_source.shapes import SEQUENCE_ENROLLMENTS
from tests.support.http_server import reply, serving
from tests.support.plain_api import PlainApi

BAD = ["", " ", ".", ".."]


@pytest.fixture
def listed():
    scratch = Scratch()
    yield Listed(Scratch(scratch, "x"), SEQUENCE_ENROLLMENTS)
    scratch.close()


@pytest.mark.parametrize("account", BAD)
def test_an_account_that_cannot_be_asked_for_is_one_failed_account(listed, account):
    api = PlainApi(accounts=["A", account])
    api.change(("insert", 0))
    reader = Swept(api, Options(keep_going=True))
    assert reader.read(listed, "A").error is None
    assert repr(account) in reader.read(listed, account).error
    assert listed.scratch.value("select count(*) from listed") == 1


@pytest.mark.parametrize("key", BAD)
def test_a_record_that_cannot_be_asked_for_is_named_and_left(listed, key, caplog):
    report = ListReport("A", SEQUENCE_ENROLLMENTS.name)
    gone = _ask(listed, Swept(PlainApi(), Options()), 1, {"A": report}, [("A", key), ("A", "gone")])
    assert (gone, report.unanswered) == (["gone"], 1)
    assert "cannot be part of an address" in caplog.text


def test_a_record_whose_answer_writes_its_id_in_another_case_is_no_second_record(listed):
    report = ListReport("A", SEQUENCE_ENROLLMENTS.name)
    with (
        serving(reply(200, {"data": {"id": "E1", "status": "active"}})) as server,
        BoastClient("t", base_url=server.url) as client,
    ):
        assert _ask(listed, Swept(client, Options()), 1, {"A": report}, [("A", "e1")]) == []
    assert listed.scratch.rows("select id from listed") == [("e1",)]


@pytest.mark.parametrize("key", BAD)
def test_a_request_about_it_is_refused_and_nothing_is_sent(key):
    with BoastClient("t", base_url="http://127.0.0.1:9") as client:
        sent = [enroll(client, "A", key, "s", within=1), remove(client, "A", key, listed=True, ours=False, within=1)]
        assert {(outcome.verdict.state, outcome.verdict.code) for outcome in sent} == {(State.REFUSED, "no_id")}
        with pytest.raises(ConfigurationError):
            client.account(key)


def test_an_id_with_a_slash_is_one_segment(listed):
    api = PlainApi(accounts=["A/../B"])
    asked = []
    api.page = lambda path, *_: asked.append(path) or PlainApi().page("/accounts/A/x")
    Swept(api, Options()).read(listed, "A/../B")
    assert asked == ["/accounts/A%2F..%2FB/sequence_enrollments"]
