"""The sweep against a model of a paged list that changes between any two requests."""

from __future__ import annotations

import os
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from boast_source.listing.sweep import agrees, sweep
from tests.support.moving_list import KINDS, ORDERS, Memory, Moving

EXAMPLES = int(os.environ.get("BOAST_EXAMPLES", "150"))  # `make soak` asks for many more


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 25),
    order=st.sampled_from(ORDERS),
    changes=st.lists(st.lists(st.sampled_from(KINDS), max_size=3), max_size=40),
)
def test_what_a_proved_sweep_calls_exact_is_exact(seed, count, order, changes):
    """Whenever a moving list is called exact, no row that existed throughout is missing from what was delivered."""
    rows = [{"id": f"o{i:04}", "created": -i, "updated": -i} for i in range(count)]
    model = Moving(rows, order, random.Random(seed), [list(change) for change in changes])
    before = {r["id"] for r in model.rows}
    index = Memory()
    result = sweep(model.fetch, index, workers=1, prove=True)
    throughout = before & {r["id"] for r in model.rows}
    if result.steadiness == "exact":
        assert throughout <= index.everything()
    if model.still:  # nothing happened in the last pass: what is listed now must have been delivered
        last = {r["id"] for r in index.delivered[result.passes]}
        assert result.steadiness != "exact" or last == {r["id"] for r in model.rows}


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 25),
    order=st.sampled_from(ORDERS),
    first=st.lists(st.lists(st.sampled_from(KINDS), max_size=2), max_size=4),
    second=st.lists(st.lists(st.sampled_from(KINDS), max_size=2), max_size=9),
)
def test_what_a_second_pass_proves_absent_is_absent(seed, count, order, first, second):
    """Whenever one more pass agrees with one that was covered, no row that existed throughout was missed by both."""
    rows = [{"id": f"o{i:04}", "created": -i, "updated": -i} for i in range(count)]
    model = Moving(rows, order, random.Random(seed), [list(change) for change in first])
    before = {r["id"] for r in model.rows}
    index = Memory()
    result = sweep(model.fetch, index, workers=1)
    if (result.steadiness, result.passes) != ("covered", 1):
        return
    model.changes = [list(change) for change in second]
    agreed = agrees(model.fetch, index, result, 1, lambda page: None)
    throughout = before & {r["id"] for r in model.rows}
    assert not agreed or throughout <= index.everything()
