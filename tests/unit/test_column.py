"""A column's plain SQL reads what is written as nearly all values are, and never otherwise than the full one does."""

from __future__ import annotations

import random

import duckdb
import pyarrow as pa
import pytest

from boast_source.listing.column import Column
from boast_source.listing.columns import HASH, as_stored

TIMES = (
    *("2021-02-04T21:13:44.123Z", "2021-02-04 21:13:44 +0100", "2021-02-04t21:13:44z", "2016-12-31T23:59:60,5 +00:00"),
    *("2021-02-04T21:13:44.123456+05:30", "2021-02-04", "2021-02-04T21:13", "9999-12-31T23:59:59Z", "21-2-04"),
    *("0001-01-01 00:00:00 utc", "9998-12-31T23:59:59-08:00", "0002-01-01 10:00:00 Asia/Kolkata", "infinity", "epoch"),
)
NUMBERS = (
    *("1", "-3e10", "1e400", "0.1", "123456789012345678", "12345678901234567890.12", "NaN", "inf", "1.", "-.5", "+7"),
    *("00012", "1_000", "0x1F", " 1", "9007199254740993", "-0", "9223372036854775808"),
)
LETTERS = {"timestamp": "0123456789tTzZ,.:+- ucUT6/a", "double": "0123456789.eE+-_ xn", "bigint": "0123456789.e+- "}


def _texts(rng, kind):
    texts = TIMES if kind == "timestamp" else NUMBERS
    for _ in range(50_000):
        text = list(rng.choice(texts))
        for _ in range(rng.choice([0, 1, 1, 2, 3])):
            place = rng.randrange(len(text) + 1)
            text[place : place + rng.randint(0, 1)] = rng.choice([*LETTERS[kind], ""])
        yield "".join(text)


@pytest.mark.parametrize("kind", ["timestamp", "double", "bigint"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_what_the_plain_form_reads_the_full_form_reads_alike(kind, zone):
    seed = random.randrange(1 << 32)
    texts = pa.table({"text": list(_texts(random.Random(seed), kind))})
    plain, full = (Column("text", kind, "text", plain=plain).typed for plain in (True, False))
    with duckdb.connect() as connection:
        connection.execute(f"set timezone = '{zone}'")
        connection.register("texts", texts)
        read = f"select text, {plain} as plain, {full} as whole from texts"
        other = connection.sql(f"from ({read}) where plain is not null and plain is distinct from whole").fetchall()
        ((some, more),) = connection.sql(f"select count(plain), count(whole) from ({read})").fetchall()
    assert not other, f"seed {seed}"
    assert 0 < some <= more


def test_a_column_that_a_user_keeps_in_another_kind_is_not_taken_for_plain():
    plain = [Column(name, "bigint", name, plain=True) for name in ("number", "other")]
    found = as_stored(plain, {"number": "double", "other": "bigint", HASH: "text"})
    assert [(column.kind, column.plain) for column in found] == [("double", False), ("bigint", True)]
