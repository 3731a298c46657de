"""A pass in which the list moved and that was completed, against a model of a list that changes between requests."""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boast_source.api import Page
from boast_source.listing.completing import Counts
from boast_source.listing.sweep import sweep
from tests.support.moving_list import KINDS, ORDERS, Memory, Moving, paged, record

EXAMPLES = int(os.environ.get("BOAST_EXAMPLES", "150"))  # `make soak` asks for many more


def read(model, stored, *, limit=None):
    """Sweep the model as a run does whose warehouse holds `stored` ids; also return how many requests that took."""
    index, requests = Memory(), Counter()

    def fetch(number):
        requests["pages"] += 1
        return model.fetch(number)

    def ask(number, most):
        keys = sorted(stored - {r["id"] for r in index.delivered[number]})
        if len(keys) > (most if limit is None else limit):
            return False
        for key in keys:
            requests["asked"] += 1
            model.pass_time()
            index.add([r for r in model.rows if r["id"] == key], number)
        return True

    return sweep(fetch, index, workers=1, ask=ask), index, requests


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 25),
    order=st.sampled_from(ORDERS),
    known=st.integers(0, 10),
    changes=st.lists(st.lists(st.sampled_from(KINDS), max_size=1), max_size=60),
)
def test_a_completed_pass_missed_nothing_that_was_there_throughout(seed, count, order, known, changes):
    """`known` tenths of the rows are stored, and as many that are gone already. One change at most between requests."""
    rows = [{"id": f"o{i:04}", "created": -i, "updated": -i} for i in range(count)]
    model = Moving(rows, order, random.Random(seed), [list(change) for change in changes])
    stored = {f"o{i:04}" for i in range(count) if random.Random(seed + i).random() * 10 < known}
    before = {r["id"] for r in model.rows}
    result, index, _ = read(model, stored | {f"g{i}" for i in range(known // 4)})
    if result.completed:
        assert result.steadiness == "covered"
        assert before & {r["id"] for r in model.rows} <= index.everything()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["insert", "update"])
def test_new_and_updated_records_cost_no_second_pass(order, kind):
    """Twenty changes while 30 pages are read, all that was there before is stored."""
    rows = [{"id": f"o{i:04}", "created": -i, "updated": -i} for i in range(90)]
    model = Moving(list(rows), order, random.Random(3), [[kind] if at % 3 else [] for at in range(30)][::-1])
    result, index, requests = read(model, {r["id"] for r in rows})
    assert (result.steadiness, result.passes) == ("covered", 1)
    assert index.everything() == {r["id"] for r in model.rows}
    assert requests.total() <= 30 + 10 + 25


def test_a_record_that_left_before_its_page_was_read_costs_another_pass():
    """Whether it was among those that came nobody knows, so nothing is concluded."""
    rows = [{"id": f"o{i:04}", "created": -i, "updated": -i} for i in range(30)]
    model = Moving(list(rows), "created_down", random.Random(1), [])

    def fetch(number):
        if number == 3 and rows[-1] in model.rows:
            model.rows.remove(rows[-1])
        return model.fetch(number)

    index = Memory()
    result = sweep(fetch, index, workers=1, ask=lambda number, most: True)
    assert (result.steadiness, result.passes, result.completed) == ("covered", 2, False)


def test_what_the_last_look_at_the_count_shows_is_stored_as_well():
    rows, asked = [record(str(i)) for i in range(9)], []

    def fetch(number):
        asked.append(number)
        if len(asked) == 2:
            rows.append(record("new"))
        return paged([record("0", version=len(asked)), *rows[1:]], number)

    index = Memory()
    result = sweep(fetch, index, workers=1, ask=lambda number, most: True)
    assert (result.steadiness, result.passes, result.completed) == ("covered", 1, True)
    assert [r for r in index.delivered[1] if r["id"] == "0"][-1] == record("0", version=len(asked))


@pytest.mark.parametrize("count", [8, 12])
def test_a_count_that_lies_completes_nothing(count):
    rows = [{"id": f"o{i}"} for i in range(10)]

    def fetch(number):
        return Page(number, rows[number * 3 - 3 : number * 3], count, 3, 4, paginated=True)

    result = sweep(fetch, Memory(), workers=1, ask=lambda number, most: True)
    assert (result.completed, result.steadiness, result.short) == (
        False,
        *{8: ("covered", 0), 12: ("moving", 2)}[count],
    )


def test_answers_that_overtake_each_other_are_no_change_of_the_count(monkeypatch):
    """Two requests are under way when a record is added: the later answer still has the older count."""
    clock = iter([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    monkeypatch.setattr("boast_source.listing.completing.time.monotonic", lambda: next(clock))
    counts = Counts()
    for count, sent in [(10, 0), (11, 1), (10, 0), (11, 2), (10, 6), (12, 7)]:
        counts._take(count, sent)
    assert counts.ever == 13  # 10, one more, one less, two more
