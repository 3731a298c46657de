"""Moments as drivers and the API spell them, the same on every Python."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from boast_source.warehouse.dialect import moment_of

MOMENT = datetime(2026, 11, 26, 17, 0, 0, 500_000, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-26 17:00:00.5+00",
        "2026-11-26 17:00:00.500",
        "2026-11-26T17:00:00.500Z",
        "2026-11-26 22:30:00.500000+0530",
        "2026-11-26T17:00:00.500000+00:00",
    ],
)
def test_every_spelling_of_a_moment_is_read(text):
    assert moment_of(text) == MOMENT


def test_a_moment_of_a_driver_stays_and_none_is_none():
    assert moment_of(MOMENT.replace(tzinfo=None)) == moment_of(MOMENT) == MOMENT
    assert moment_of(None) is None


@pytest.mark.parametrize("text", ["", "None", "now", "17:00", "P1D", "12", "2026-02-30 10:00"])
def test_what_is_no_moment_is_an_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 -- any of its kinds
        moment_of(text)
