"""What a comparison may take in memory; `python -m benchmarks.sizes` measures that it is enough."""

from __future__ import annotations

import pytest

from boast_source.warehouse.memory import LEAST, needed


@pytest.mark.parametrize(("rows", "least"), [(0, LEAST), (1_000_000, LEAST), (10_000_000, 192)])
def test_a_list_may_take_what_was_measured_to_be_enough(rows, least):
    assert least <= needed(rows=rows) <= 2 * least


def test_no_list_may_take_more_than_most_of_the_machine():
    assert needed(rows=10**12) == needed(rows=10**13)
