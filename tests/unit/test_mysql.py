"""MySQL and MariaDB know no zone of a moment: all are UTC's, whatever the time zone of the session."""

from __future__ import annotations

import pytest

from boast_source.warehouse.dialect import moment, translated


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("create table t (a timestamptz, b text)", "DATETIME(6)"),
        ("select current_timestamp", "UTC_TIMESTAMP(6)"),
        ("select a at time zone 'UTC' from t", "a\nFROM"),
        ("select a at time zone 'Europe/Berlin' from t", "CONVERT_TZ(a, '+00:00', 'Europe/Berlin')"),
    ],
)
def test_moments_are_utcs(written, expected):
    found = translated(written, "mysql")
    assert expected in found
    assert "AT TIME ZONE" not in found


def test_a_moment_is_given_without_its_offset():
    assert moment("2026-03-29T01:30:00.500000+02:00", "mysql") == "2026-03-28 23:30:00.500000"
    assert moment("2026-03-29T01:30:00+00:00", "postgres") == "2026-03-29T01:30:00+00:00"
    assert moment(None, "mysql") is None
