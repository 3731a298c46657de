"""Times that are in no calendar of Python: kept as text, and no night fails because of one."""

from __future__ import annotations

import itertools

import duckdb
import pytest

ZERO = "0001-01-01T00:00:00Z"  # what other languages send for "never"
BEYOND = "9999-12-31T23:59:59-05:00"  # the year 10000 of UTC


UNFIT = (BEYOND, "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00")


def edit(server, field, *values, count=None):
    keys = list(server.truth())[:count]
    edits = [{"id": key, "set": {field: value}} for key, value in zip(keys, itertools.cycle(values), strict=False)]
    server.control("POST", "mutate", {"edits": edits})


def rows(workplace, sql):
    with duckdb.connect(str(workplace.folder / "boast.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("field", ["updated_at", "created_at"])
def test_a_time_that_fits_no_calendar_is_kept_as_text_and_no_later_night_fails(sandbox, workplace, field):
    server = sandbox(enrollments=6)
    workplace.use(server)
    edit(server, field, *UNFIT)  # in all of them, so that the cursor knows no other
    for _ in range(2):
        done = workplace.boast("nightly")
        assert done.code == 0, done.err
        edit(server, "status", "completed", count=3)
    kept = f"select {field}__v_text, count(*) from boast_data.sequence_enrollments where {field} is null group by 1"
    assert dict(rows(workplace, kept)) == dict.fromkeys(UNFIT, 2)
    edit(server, field, "2026-03-01T00:00:00Z")
    assert workplace.boast("nightly").code == 0
    healed = f"select distinct {field}::varchar, {field}__v_text from boast_data.sequence_enrollments"
    assert rows(workplace, healed) == [("2026-03-01 00:00:00+00", None)]


@pytest.mark.parametrize("field", ["updated_at", "created_at"])
def test_the_zero_of_other_languages_is_a_time_that_fails_no_later_night(sandbox, workplace, field):
    server = sandbox(enrollments=6)
    workplace.use(server, SOURCES__BOAST__TIME_ZONE="America/New_York")  # where it lies in the year 0
    edit(server, field, ZERO)
    for _ in range(2):
        done = workplace.boast("nightly")
        assert done.code == 0, done.err
        edit(server, "status", "completed", count=2)
    kept = f"select count(*) from boast_data.sequence_enrollments where {field} = timestamptz '{ZERO}'"
    assert rows(workplace, kept) == [(6,)]
    edit(server, field, "2026-03-01T00:00:00Z")
    assert workplace.boast("nightly").code == 0
    assert rows(workplace, f"select distinct year({field}) from boast_data.sequence_enrollments") == [(2026,)]


def test_a_day_beyond_the_calendar_in_the_time_zone_of_the_report_does_not_fail_it(sandbox, workplace):
    server = sandbox(enrollments=6)
    workplace.use(server, SOURCES__BOAST__TIME_ZONE="Pacific/Auckland")
    edit(server, "created_at", "9999-12-31T23:59:59Z", count=1)
    done = workplace.boast("nightly")
    assert done.code == 0, done.err
    years = "select distinct year(created_at at time zone 'UTC') from boast_data.sequence_enrollments order by 1 desc"
    assert rows(workplace, years)[0] == (9999,)
