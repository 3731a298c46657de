"""MySQL and MariaDB: no moment has a zone, all are UTC's whatever that of the session; a `text` ends at 64 kB."""

from __future__ import annotations

import pytest

from boast_source.warehouse.dialect import moment, translated


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("create table t (a timestamptz, b text)", "a DATETIME(6),\n  b LONGTEXT"),
        ("alter table t add column b text", "LONGTEXT"),
        ("select current_timestamp", "UTC_TIMESTAMP(6)"),
        ("select a at time zone 'UTC' from t", "a\nFROM"),
        ("select a at time zone 'Europe/Berlin' from t", "CONVERT_TZ(a, '+00:00', 'Europe/Berlin')"),
    ],
)
def test_moments_are_utcs_and_texts_long(written, expected):
    found = translated(written, "mysql")
    assert expected in found
    assert "AT TIME ZONE" not in found


def test_a_share_has_all_its_digits():
    assert "CAST(a * 1.0 AS DOUBLE) / b" in translated("select a * 1.0 / b as share from t", "mysql")


def test_a_moment_is_given_without_its_offset():
    assert moment("2026-03-29T01:30:00.500000+02:00", "mysql") == "2026-03-28 23:30:00.500000"
    assert moment("2026-03-29T01:30:00+00:00", "postgres") == "2026-03-29T01:30:00+00:00"
    assert moment(None, "mysql") is None
