"""Numbers and times that are not as one expects: kept as they came, and read as times where they are times."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import duckdb
import pytest

from boast_source.api.answers import page_of
from boast_source.listing.column import Column
from tests.unit.test_compare import Warehouse

AT = datetime(2021, 2, 4, 20, 13, 44, tzinfo=timezone.utc)
TIMES = {
    "2021-02-04 21:13:44 +0100": AT,
    "2021-02-04T21:13:44 +01:00": AT,
    "2021-02-04 21:13:44+01": AT,
    "2021-02-04t20:13:44.005z": AT + timedelta(milliseconds=5),
    "2021-02-04t20:13:44Z": AT,
    "2021-02-04T20:13:44z": AT,
    "2021-02-04T20:13:44,005Z": AT + timedelta(milliseconds=5),
    "2021-02-04t21:13:44,005 +0100": AT + timedelta(milliseconds=5),
    "2021-02-04T20:13:60Z": AT + timedelta(seconds=16),
    "2021-02-04T23:59:60.5z": datetime(2021, 2, 5, 0, 0, 0, 500_000, timezone.utc),
    "2021-02-04T20:13:44": AT,
    "2021-02-04T20:13:44.123456789Z": AT + timedelta(microseconds=123456),
    "9999-12-31T23:59:59Z": datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc),
}
NO_TIMES = [
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:60Z",
    "2021-02-30T00:00:00Z",
    "2021-02-04T20:13:61Z",
    "soon",
    "t",
    "",
]
AS_TEXT = [
    "1e400",
    "-1e400",
    "1E-400",
    "123456789012345678901234",
    "0.1234567890123456789",
    "12345678901234567.5",
    "9007199254740993.0",
    "100000000000000000000000.5",
]
AS_NUMBERS = [
    "1.10",
    "1e3",
    "-0.0",
    "0.1",
    "0.10000000000000001",
    "4.333333333333333",
    "1e22",
    "5e-324",
    "12345678901234.5",
]


def stored(record):
    warehouse = Warehouse()
    warehouse.run({"a": record})
    assert warehouse.run({"a": record}) == (0, 0)
    return warehouse.table["a"]


@pytest.mark.parametrize("text", TIMES)
def test_a_time_in_a_spelling_near_iso_8601_is_read_as_a_time(text):
    row = stored({"status": "active", "updated_at": text})
    assert (row["updated_at"], row.get("updated_at__v_text")) == (TIMES[text], None)


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_kept_as_text(text):
    row = stored({"status": "active", "updated_at": text})
    assert (row["updated_at"], row["updated_at__v_text"]) == (None, text)


@pytest.mark.parametrize("odd", AS_TEXT)
@pytest.mark.parametrize(
    "form", ['{"data":[{"id":"a","n":%s}]}', '{"data":[{"id":"a","n":[1,%s]}]}', '{"data":[{"n": %s, "id":"a"}]}']
)
def test_a_number_that_no_float_holds_keeps_its_digits(form, odd):
    (record,) = page_of((form % odd).encode(), 1).records
    assert record["n"] in (odd, [1, odd])
    assert odd in stored({"n": record["n"]})["n"]


@pytest.mark.parametrize("number", AS_NUMBERS)
def test_a_number_that_a_float_holds_is_one(number):
    (record,) = page_of(b'{"data":[{"id":"a","n":%b}]}' % number.encode(), 1).records
    assert (type(record["n"]), record["n"]) == (float, float(number))
    assert stored({"n": record["n"]})["n"] == float(number)


def test_a_documented_number_that_no_float_holds_is_kept_beside_its_column():
    (record,) = page_of(b'{"data":[{"id":"a","n":1e400},{"id":"b","n":1.5}]}', 1).records[:1]
    warehouse = Warehouse()
    warehouse.run({"b": {"n": 1.5}})
    warehouse.run({"b": {"n": 1.5}, "a": {"n": record["n"]}})
    assert (warehouse.table["a"]["n"], warehouse.table["a"]["n__v_text"]) == (None, "1e400")


@pytest.mark.parametrize("text", [*AS_TEXT, "9007199254740993", "1234567890123456800", "inf", "nan"])
def test_a_documented_column_of_numbers_takes_no_number_that_no_float_holds(text):
    assert duckdb.execute(f"select {Column('rating', 'double', repr(text)).typed}").fetchone() == (None,)


@pytest.mark.parametrize("text", [*AS_NUMBERS, "5", "007", "9007199254740992", "123456789012345683968"])
def test_a_documented_column_of_numbers_takes_one_that_a_float_holds(text):
    assert duckdb.execute(f"select {Column('rating', 'double', repr(text)).typed}").fetchone() == (float(text),)


def test_the_sign_of_zero_which_not_every_warehouse_keeps_is_left_out_at_any_depth():
    (record,) = page_of(b'{"data":[{"id":"a","n":-0.0,"deep":{"x":[-0.0,"-0.0",-0.05]}}]}', 1).records
    row = stored({"n": record["n"], "deep": record["deep"]})
    assert (str(row["n"]), row["deep"]) == ("0.0", '{"x":[0.0,"-0.0",-0.05]}')
