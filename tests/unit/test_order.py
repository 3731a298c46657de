"""The order of a list is observed: sorted by the cursor over all rows, and not merely by creation."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boast_source.listing.order import ListState, Observed, created_of, moments
from boast_source.shapes import SHAPES

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def text(second):
    return (START + timedelta(seconds=second)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def observed(rows, batch=7):
    """`rows`: pairs of cursor and creation, in seconds."""
    seen = Observed()
    for first in range(0, len(rows), batch):
        part = rows[first : first + batch]
        seen.take(pa.array([text(u) for u, _ in part]), pa.array([text(c) for _, c in part]))
    return seen


def plainly(rows):
    """The same in plain Python."""
    cursors, created = [u for u, _ in rows], [c for _, c in rows]
    up, down = cursors == sorted(cursors), cursors == sorted(cursors, reverse=True)
    if up and down:
        return None
    if down:
        return None if created == sorted(created, reverse=True) else "newest_first"
    return "oldest_first" if up and created != sorted(created) else None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=30), st.sampled_from([None, 1, -1]))
def test_the_order_is_what_plain_python_says_of_it(rows, how):
    if how:
        rows.sort(key=lambda row: how * row[0])
    assert observed(rows).order == plainly(rows)


@pytest.mark.parametrize(("backwards", "order"), [(False, "oldest_first"), (True, "newest_first")])
def test_updates_prove_an_order_by_update(backwards, order):
    rows = sorted(((n + random.Random(n).randrange(50), n) for n in range(100)), reverse=backwards)
    assert observed(rows).order == order


@pytest.mark.parametrize("backwards", [False, True])
def test_an_order_by_creation_is_not_taken_for_one_by_update(backwards):
    rows = sorted(((n + 50 * (n == 20), n) for n in range(100)), key=lambda row: row[1], reverse=backwards)
    assert observed(rows).order is None


@pytest.mark.parametrize("backwards", [False, True])
def test_where_nothing_was_updated_the_two_orders_cannot_be_told_apart(backwards):
    assert observed(sorted(((n, n) for n in range(100)), reverse=backwards)).order is None


def test_one_row_out_of_its_place_disproves_the_order_also_between_batches():
    rows = [(100 - n, n) for n in range(14)]
    assert observed(rows).order == "newest_first"
    rows[7] = (101, 7)
    assert observed(rows).order is None


@pytest.mark.parametrize("value", [None, "soon", "", "2026-13-01T00:00:00Z"])
def test_a_cursor_that_is_no_time_proves_nothing(value):
    seen = Observed()
    seen.take(pa.array([text(9), text(8)]), pa.array([text(1), text(2)]))
    assert seen.order == "newest_first"
    seen.take(pa.array([value], pa.string()), pa.array([text(3)]))
    assert seen.order is None


def test_the_newest_cursor_is_kept():
    assert observed([(5, 0), (9, 1), (3, 2)], batch=1).newest == int((START.timestamp() + 9) * 1_000_000)
    assert Observed().newest is None


def test_every_list_with_a_cursor_says_when_its_records_were_created():
    assert all(created_of(shape) for shape in SHAPES.values() if shape.cursor)


def test_the_floor_lies_an_overlap_below_the_newest_and_never_above_our_own_clock():
    hour = timedelta(hours=1)
    state = ListState("a", "contacts", START, read_at=START + timedelta(days=2), newest=START + timedelta(days=1))
    assert state.floor(hour) == START + timedelta(hours=23)
    future = ListState("a", "contacts", START, read_at=START, newest=datetime(9999, 1, 1, tzinfo=timezone.utc))
    assert future.floor(hour) == START - hour
    assert ListState("a", "contacts", START).floor(hour) is None


def test_moments_are_microseconds():
    assert moments(pa.array(["1970-01-01T00:00:01.005Z"])).to_pylist() == [1_005_000]
