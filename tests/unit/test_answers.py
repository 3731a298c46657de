"""Whatever JSON or bytes the API answers, parsing ends in a result or in the documented error."""

from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boast_source.api.answers import LONGEST, BadAnswerError, Page, error_of, masked, page_of, record_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["data", "meta", "pagination", "errors", "count", "pages", "items", "code", "detail", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)
BODIES = st.binary(max_size=200) | JSON.map(orjson.dumps)


@given(BODIES)
def test_any_body_is_a_page_or_a_bad_answer(body):
    try:
        page = page_of(body, 3)
    except BadAnswerError:
        return
    assert page.number == 3
    assert all(isinstance(record, dict) for record in page.records)
    for number in (page.count, page.items, page.pages):
        assert number is None or (type(number) is int and number >= 0)


@given(BODIES)
def test_any_body_is_a_record_or_a_bad_answer(body):
    with suppress(BadAnswerError):
        assert isinstance(record_of(body), dict)


@given(BODIES)
def test_any_body_is_an_errors_body_or_none(body):
    error = error_of(body, ["secret"])
    for text in (error.code, error.detail):
        assert text is None or (len(text) <= LONGEST and "\n" not in text)
        assert error.given or text is None


@given(st.fixed_dictionaries({"data": st.just([])}, optional={"meta": JSON}))
def test_any_meta_is_read_or_a_bad_answer(envelope):
    with suppress(BadAnswerError):
        page_of(orjson.dumps(envelope), 1)


def test_pagination_may_come_as_numbers_or_numeric_strings_or_not_at_all():
    body = {"data": [{"id": "1"}], "meta": {"pagination": {"count": "103", "page": 1.0, "items": 3, "pages": " 35 "}}}
    assert page_of(orjson.dumps(body), 1) == Page(1, [{"id": "1"}], 103, 3, 35, paginated=True)
    assert page_of(b'{"data": []}', 1) == Page(1, [])
    assert page_of(b'{"data": [], "meta": {"pagination": null}}', 1) == Page(1, [])
    assert page_of(b'{"data": [], "meta": {"pagination": {}}}', 1) == Page(1, [], paginated=True)


@pytest.mark.parametrize(
    "meta",
    [
        {"pagination": [1]},
        [{}],
        {"pagination": {"count": "many"}},
        {"pagination": {"pages": -1}},
        {"pagination": {"pages": True}},
        {"pagination": {"items": 2.5}},
        {"pagination": {"count": "٣"}},
    ],
)
def test_malformed_pagination_is_a_bad_answer(meta):
    with pytest.raises(BadAnswerError):
        page_of(orjson.dumps({"data": [], "meta": meta}), 1)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"<html>", "web page"),
        (b"{", "not JSON"),
        (b"[]", "object"),
        (b'{"data": {}}', "list"),
        (b'{"data": [1]}', "no record with an id"),
        (b'{"data": [{"id": null}, {"id": ""}, {}]}', "no record with an id"),
        (b'{"data": null}', "list"),
        (b'{"data": [{"id": "1", "odd": ' + b"[" * 300 + b"]" * 300 + b"}]}", "nested"),
        (b'{"data": [{"id": "1", "odd": [' + b"{}," * 2_000_000 + b"{}]}]}", "more than 2,000,000 values"),
        (b'{"data": [{"id": "1", "odd": [' + b"[[[[]]]]," * 500_000 + b"0]}]}", "more than 2,000,000 values"),
    ],
)
def test_a_bad_page_says_what_is_wrong(body, says):
    with pytest.raises(BadAnswerError, match=says):
        page_of(body, 1)


@pytest.mark.parametrize("bad", [{}, {"id": None}, {"id": ""}, 1, None, []])
def test_a_record_without_an_id_is_counted_and_costs_no_other(bad):
    page = page_of(orjson.dumps({"data": [{"id": "a"}, bad, {"id": "b", "n": 1e300}]}), 1)
    assert ([record["id"] for record in page.records], page.nameless) == (["a", "b"], 1)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Contact ann@example.com exists", "Contact [e-mail] exists"),
        ("ann+x@sub.example.co.uk, bob@b.c", "[e-mail], [e-mail]"),
        ("ann%40example.com", "[e-mail]"),
        ("call +1 (515) 555-0100 now", "call [number] now"),
        ("5155550100", "[number]"),
        ("id 7a2f1f8c-7771-47e2-8dbd-332b301028a8 unknown", "id 7a2f1f8c-7771-47e2-8dbd-332b301028a8 unknown"),
        ("id 12345678-1234-1234-1234-123456789012", "id 12345678-1234-1234-1234-123456789012"),
        ("page 12 of 345", "page 12 of 345"),
        ("token t0p-s3cret is bad", "token [secret] is bad"),
        ("two\nlines\x00\x1b[31m", "two lines  [31m"),
    ],
)
def test_details_are_masked_and_ids_kept(text, kept):
    assert masked(text, ["t0p-s3cret", "", None]) == kept


@given(st.text(alphabet="ab @.0123456789-\n", max_size=5000))
def test_masking_is_bounded_and_leaves_no_address(text):
    result = masked(text)
    assert len(result) <= LONGEST
    assert "a@b" not in result


def test_masking_a_huge_detail_is_quick():
    assert len(masked("a" * 10**6)) <= LONGEST
    assert len(masked("1 " * 10**6)) <= LONGEST
    assert "b.c" not in masked("x " * 990 + "a" * 30 + "@" + "b.c")


@pytest.mark.parametrize("meta", ["[]", '{"pagination": []}', "null", "{}"])
def test_an_empty_meta_however_it_is_written_is_no_meta(meta):
    page = page_of(b'{"data": [], "meta": %b}' % meta.encode(), 1)
    assert (page.paginated, page.pages) == (False, None)


def test_nan_and_half_a_surrogate_pair_do_not_lose_the_page():
    body = rb'{"data": [{"id": "a", "rate": NaN, "low": -Infinity, "name": "x\ud83d", "whole": "\ud83d\ude00"}]}'
    (record,) = page_of(body, 1).records
    assert record == {"id": "a", "rate": "NaN", "low": "-Infinity", "name": "x\ufffd", "whole": "\U0001f600"}
    assert orjson.dumps(record)


@pytest.mark.parametrize("more", [b"", b', "odd": NaN'])
def test_an_integer_beyond_64_bits_keeps_all_its_digits(more):
    numbers = b'"most": 18446744073709551615, "huge": 123456789012345678901234, "in": [-98765432109876543210, 1e300, 7]'
    body = b'{"id": "a", %b%b}' % (numbers, more)
    (record,) = page_of(b'{"data": [%b]}' % body, 1).records
    assert record == record_of(b'{"data": %b}' % body)
    assert record["most"] == 2**64 - 1
    assert record["huge"] == "123456789012345678901234"
    assert record["in"] == ["-98765432109876543210", 1e300, 7]
    assert orjson.dumps(record)
