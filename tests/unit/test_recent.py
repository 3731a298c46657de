"""The incremental pass against a model of a list that lives: all that it says of `recent` is true, whatever happens.

The model is plain Python and knows nothing of the pass but its result. One seed replays a schedule.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace

import pytest

from boast_source.listing.recent import MOST_ASKED, UnfitError
from tests.support.recent_list import (
    ORDERS,
    OVERLAP,
    Server,
    Warehouse,
    at,
    incremental,
)

SCHEDULES = int(os.environ.get("BOAST_SCHEDULES", "40"))  # `make soak` asks for many more


def schedule(seed):
    """A server's life: days of runs, incremental where possible. Returns how they ended."""
    rng = random.Random(seed)
    server = Server(
        rng,
        rng.choice(ORDERS),
        rng.choice([3, 5, 10]),
        rng.randrange(20, 300),
        rng.choice(["empty", "404", "last"]),
    )
    warehouse, ended = Warehouse(), Counter()
    state = warehouse.load(server)
    trouble = rng.choice([[], [server.silently], [server.delete], [server.very_late], [server.delete_new]])
    usual = [server.update, server.insert, server.late, server.rest, *trouble]
    busy = rng.choice([0, 0, 0.05, 0.3])
    concurrent = [server.update, server.insert, server.delete, server.delete_new, server.silently]
    for _ in range(rng.randrange(3, 12)):
        for _ in range(rng.choice([0, 1, 3, 10])):
            rng.choice(usual)()
        if rng.random() < 0.03:
            server.reorder()
        before = dict(warehouse.rows)
        server.shown = []
        server.between = lambda: rng.random() < busy and rng.choice(concurrent)()
        floor = state.floor(OVERLAP)
        try:
            state, recent = incremental(server, warehouse, state)
        except UnfitError:
            server.between = lambda: None
            warehouse.rows = before
            state = warehouse.load(server)
            ended["whole"] += 1
            continue
        server.between = lambda: None
        ended["recent"] += 1
        (began,) = [rows for page, rows in server.shown if page is recent.pages[0]]
        is_true(began, warehouse, recent, floor)
    return ended


def is_true(began, warehouse, recent, floor):
    """`recent` by its own definition: every record of the moment when it began whose cursor is later than the floor is
    stored, as it was or as it became since; and the warehouse holds as many records as the API counted.
    """
    assert len(warehouse.rows) == recent.count
    for key, (_, updated, content) in began.items():
        if at(updated) >= floor and key not in recent.gone:
            stored = warehouse.rows.get(key)
            assert stored is not None, f"{key} is not stored"
            assert stored["content"] >= content, f"{key} is stored in an older version"


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_recent_is_never_untrue_by_its_own_definition(seed):
    schedule(seed)


def test_the_schedules_are_incremental_often_enough_to_mean_something():
    ended = sum((schedule(seed) for seed in range(40)), Counter())
    assert ended["recent"] >= 40
    assert ended["whole"] >= 20


def living(order, rows=20_000, size=100, seed=1):
    server = Server(random.Random(seed), order, size, rows)
    warehouse = Warehouse()
    return server, warehouse, warehouse.load(server)


@pytest.mark.parametrize("order", ["updated_asc", "updated_desc"])
def test_nothing_changed_takes_three_requests_at_most(order):
    server, warehouse, state = living(order)
    _, recent = incremental(server, warehouse, state)
    assert server.requests <= 3
    assert recent.gone == []


@pytest.mark.parametrize("order", ["updated_asc", "updated_desc"])
def test_a_hundred_changes_take_ten_requests_at_most(order):
    server, warehouse, state = living(order)
    for n in range(100):
        (server.update, server.insert, server.late)[n % 3]()
    incremental(server, warehouse, state)
    assert server.requests <= 10
    assert warehouse.rows == {r["id"]: r for r in server.listed()}


@pytest.mark.parametrize("order", ["updated_asc", "updated_desc"])
@pytest.mark.parametrize("past_end", ["empty", "404", "last"])
def test_a_list_that_became_much_shorter_is_read_whole(order, past_end):
    server, warehouse, state = living(order, rows=500, size=10)
    server.past_end = past_end
    for _ in range(MOST_ASKED + 1):
        server.delete()
    with pytest.raises(UnfitError, match=f"the API counts {500 - MOST_ASKED - 1} records|gone"):
        incremental(server, warehouse, state)


@pytest.mark.parametrize("order", ["updated_asc", "updated_desc"])
@pytest.mark.parametrize("vanished", [1, 2, 5])
def test_a_few_old_rows_that_vanish_are_found_by_bisecting(order, vanished):
    server, warehouse, state = living(order)
    for _ in range(vanished):
        server.delete()
    for _ in range(10):
        server.update()
    state, recent = incremental(server, warehouse, state)
    assert len(recent.gone) == vanished
    assert server.requests <= 4 + 9 * vanished
    assert warehouse.rows == {r["id"]: r for r in server.listed()}


@pytest.mark.parametrize("order", ["updated_asc", "updated_desc"])
def test_of_lists_whose_vanished_rows_stay_stored_the_last_count_is_what_counts(order):
    server, warehouse, state = living(order, rows=2000, size=20)
    server.delete()  # known to the last full listing: its row stays, the count does not hold it
    state = replace(state, counted=len(server.rows))
    server.update()
    server.insert()
    state, recent = incremental(server, warehouse, state, marks_gone=False)
    assert (recent.gone, recent.count) == ([], 2000)
    server.delete()
    with pytest.raises(UnfitError, match="the API counts 1,999 records where the warehouse has 2,000"):
        incremental(server, warehouse, state, marks_gone=False)


@pytest.mark.parametrize("order", ["updated_asc", "updated_desc"])
def test_of_lists_without_requests_by_id_no_record_is_asked_for(order):
    server, warehouse, state = living(order, rows=2000, size=20)
    server.ask = None
    server.delete_new()  # its row stays stored, above all that the pass reads
    state = replace(state, counted=len(server.rows))
    server.update()
    state, _ = incremental(server, warehouse, state, marks_gone=False)
    assert server.requests <= 4


def test_without_requests_by_id_a_record_that_moved_behind_the_pass_is_found():
    server, warehouse, state = living("updated_desc", rows=2000, size=5)
    for _ in range(12):
        server.update()
    moved = server.keys()[13]  # stored as it is, on the third page

    def behind():  # one leaves the first page and one appears at the end, so that neither count nor rank shows the move
        server.between = lambda: None
        del server.rows[server.keys()[2]]
        server.put(0, 0)
        server.now += 1
        server.rows[moved] = (server.rows[moved][0], server.now, 1)

    def before():  # the first page
        server.between = behind

    server.between = before
    server.ask = lambda _: None
    incremental(server, warehouse, state, marks_gone=False)
    assert warehouse.rows[moved]["content"] == 1


@pytest.mark.parametrize("order", ["updated_asc", "updated_desc"])
def test_new_rows_that_vanish_are_asked_for_and_found_gone(order):
    server, warehouse, state = living(order)
    for _ in range(5):
        server.insert()
    state, _ = incremental(server, warehouse, state)
    server.update()
    newest = [key for key in server.rows if int(key[1:]) > server.serial - 3]
    for key in newest:
        del server.rows[key]
    _, recent = incremental(server, warehouse, state)
    assert sorted(recent.gone) == sorted(newest)
    assert warehouse.rows == {r["id"]: r for r in server.listed()}


def test_too_many_that_vanished_make_it_a_full_pass():
    server, warehouse, state = living("updated_desc", size=100)
    for _ in range(2 * MOST_ASKED):
        server.insert()
    state, _ = incremental(server, warehouse, state)
    for key in [key for key in server.rows if int(key[1:]) > server.serial - MOST_ASKED - 5]:
        del server.rows[key]
    server.update()
    with pytest.raises(UnfitError, match="new before is gone"):
        incremental(server, warehouse, state)


@pytest.mark.parametrize(("before", "after"), [("updated_desc", "created_desc"), ("updated_asc", "created_asc")])
def test_a_server_that_changes_its_order_is_noticed(before, after):
    server, warehouse, state = living(before, rows=2000, size=20)
    server.update()
    server.order = after
    with pytest.raises(UnfitError):
        incremental(server, warehouse, state)


@pytest.mark.parametrize("order", ["updated_asc", "updated_desc"])
def test_a_late_row_below_the_overlap_is_noticed_by_the_count(order):
    server, warehouse, state = living(order, rows=2000, size=20)
    server.very_late()
    with pytest.raises(UnfitError, match="the API counts 2,001 records where the warehouse has 2,000"):
        incremental(server, warehouse, state)


@pytest.mark.parametrize("order", ["updated_asc", "updated_desc"])
def test_it_reads_on_while_a_page_has_records_that_are_not_stored_so(order):
    server, warehouse, state = living(order, rows=2000, size=5)
    for key in sorted(server.rows, key=lambda key: server.rows[key][1], reverse=True)[:22]:
        created, updated, content = server.rows[key]
        server.rows[key] = (created, updated, content + 1)
    incremental(server, warehouse, state)
    assert warehouse.rows == {r["id"]: r for r in server.listed()}


def test_a_list_that_moves_between_two_pages_is_read_again():
    server, warehouse, state = living("updated_desc", rows=2000, size=5)
    for _ in range(12):
        server.update()
    once = iter([None, server.update])

    def between():
        if happens := next(once, None):
            happens()

    server.between = between
    incremental(server, warehouse, state)
    assert warehouse.rows == {r["id"]: r for r in server.listed()}


@pytest.mark.parametrize("order", ["updated_asc", "updated_desc"])
def test_a_change_that_a_deletion_moves_onto_a_page_already_read_is_found(order):
    server, warehouse, state = living(order, rows=2000, size=5)
    for _ in range(6):
        server.update()
    newest = sorted(server.rows, key=lambda key: server.rows[key][1], reverse=True)

    def behind():  # before the second page
        server.between = lambda: None
        del server.rows[newest[0]]
        server.put(0, 0)  # the count stays

    def before():
        server.between = behind

    server.between = before
    incremental(server, warehouse, state)
    assert warehouse.rows[newest[5]]["content"] == 1


def test_without_an_order_or_a_mark_nothing_is_read():
    server, warehouse, state = living("created_desc", rows=200)
    with pytest.raises(UnfitError, match="order not known"):
        incremental(server, warehouse, state)
    assert server.requests == 0


@pytest.mark.parametrize("value", [None, "soon", 7])
def test_a_record_without_a_time_makes_it_a_full_pass(value):
    server, warehouse, state = living("updated_desc", rows=200, size=10)
    shown = server.record

    def record(key):
        return shown(key) | ({"updated_at": value} if key == "r7" else {})

    server.rows["r7"] = (0, server.now + 5, 1)
    server.record = record
    with pytest.raises(UnfitError, match="without a time in updated_at"):
        incremental(server, warehouse, state)
