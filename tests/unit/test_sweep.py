"""The sweep against servers that page in odd ways."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from boast_source.api import Page
from boast_source.errors import NotFoundError, PagingError, RefusedError, UnavailableError, UnreadableError
from boast_source.listing.passes import Pass, pages_of
from boast_source.listing.sweep import MAX_PASSES, sweep
from tests.support.moving_list import Memory, paged, record


def run(fetch, **options):
    index = Memory()
    return sweep(fetch, index, workers=1, **options), index


def test_a_list_that_holds_still_is_covered_in_one_pass():
    rows = [record(str(i)) for i in range(10)]
    result, index = run(lambda n: paged(rows, n))
    assert (result.steadiness, result.passes, result.pages) == ("covered", 1, 4)
    assert index.everything() == {str(i) for i in range(10)}


@pytest.mark.parametrize(("megabytes", "most"), [(1, 16), (60, 2), (1000, 1)])
def test_large_pages_are_not_all_in_flight_at_once(megabytes, most):
    rows = [record(str(i)) for i in range(90)]
    asked: list[int] = []

    def fetch(number):
        asked.append(number)
        return replace(paged(rows, number), size=megabytes * 2**20)

    with ThreadPoolExecutor(4) as pool:
        taken = enumerate(pages_of(fetch, pool, Pass(), window=16), 1)
        ahead = [len(asked) - number for number, _ in taken]
    assert set(range(1, 31)) <= set(asked)
    assert max(ahead) <= most


def test_prove_reads_until_two_passes_agree():
    rows = [record(str(i)) for i in range(10)]
    result, _ = run(lambda n: paged(rows, n), prove=True)
    assert (result.steadiness, result.passes) == ("exact", 2)


def test_an_empty_list_is_covered():
    result, index = run(lambda n: paged([], n))
    assert (result.steadiness, index.everything()) == ("covered", set())


def test_without_meta_the_answer_is_the_whole_list():
    rows = [record(str(i)) for i in range(50)]
    result, index = run(lambda n: Page(number=n, records=rows, count=None, items=None, pages=None))
    assert (result.steadiness, result.pages) == ("covered", 1)
    assert len(index.everything()) == 50


def test_a_pages_that_grows_while_reading_is_followed():
    rows = [record(str(i)) for i in range(30)]
    result, index = run(lambda n: paged(rows, n, pages=min(n + 1, 10)))
    assert len(index.everything()) == 30
    assert result.steadiness == "covered"


def test_a_pages_that_understates_is_looked_beyond():
    rows = [record(str(i)) for i in range(12)]
    _, index = run(lambda n: paged(rows, n, pages=2))
    assert len(index.everything()) == 12


def test_a_404_in_the_middle_means_the_list_moved_and_is_read_again():
    rows = [record(str(i)) for i in range(9)]
    calls = []

    def fetch(number):
        calls.append(number)
        if number == 3 and calls.count(3) == 1:
            raise NotFoundError("gone", hint="-", method="GET", path="/x", status=404)
        return paged(rows, number)

    result, index = run(fetch)
    assert len(index.everything()) == 9
    assert (result.passes, result.steadiness) == (2, "covered")


def test_a_404_on_the_first_page_is_the_callers_error():
    def fetch(number):
        raise NotFoundError("gone", hint="-", method="GET", path="/x", status=404)

    with pytest.raises(NotFoundError):
        run(fetch)


def test_an_empty_page_in_the_middle_is_not_the_end():
    def fetch(number):
        records = [] if number in {2, 5} else [record(f"{number}-{i}") for i in range(3)]
        return Page(number=number, records=records, count=9, items=3, pages=4)

    result, index = run(fetch)
    assert len(index.everything()) == 9
    assert result.steadiness == "covered"


def test_the_last_page_again_past_the_end_is_no_loop():
    rows = [record(str(i)) for i in range(8)]
    result, index = run(lambda n: paged(rows, min(n, 3), count=9))  # a count that lies by one
    assert index.everything() == {str(i) for i in range(8)}
    assert (result.steadiness, result.passes, result.short) == ("moving", 2, 1)


def test_the_last_page_again_past_the_end_is_stored_as_it_was_seen_last():
    rows = [record(str(i)) for i in range(6)]
    result, index = run(lambda n: paged([*rows[:5], record("5", version=n)], min(n, 2)))
    assert (result.steadiness, result.passes, len(index.everything())) == ("covered", 1, 6)
    assert index.delivered[1][-1] == record("5", version=3)


@pytest.mark.parametrize(("count", "says", "short"), [(9, "moving", 1), (100, "moving", 92), (5, "covered", 0)])
def test_passes_that_agree_with_each_other_and_not_with_the_count_are_not_exact(count, says, short):
    rows = [record(str(i)) for i in range(8)]
    result, index = run(lambda n: paged(rows, n, count=count), prove=True)
    assert index.everything() == {str(i) for i in range(8)}
    assert (result.steadiness, result.passes, result.short) == (says, 3, short)


@pytest.mark.parametrize("prove", [False, True])
def test_a_server_that_stops_counting_at_a_bound_hides_nothing(prove):
    rows = [record(str(i)) for i in range(17)]
    result, index = run(lambda n: paged(rows, n, count=9, pages=3), prove=prove)
    assert index.everything() == {str(i) for i in range(17)}
    assert result.steadiness == "covered"


@pytest.mark.parametrize("error", [None, NotFoundError, RefusedError, UnavailableError, UnreadableError])
@pytest.mark.parametrize("prove", [False, True])
def test_whatever_comes_past_a_full_last_page_nothing_is_amiss(prove, error):
    rows = [record(str(i)) for i in range(9)]
    asked = []

    def fetch(number):
        asked.append(number)
        if number > 3 and error:
            raise error("past the end", hint="-", method="GET", path="/x")
        return paged(rows, min(number, 3) if prove else number)

    result, index = run(fetch, prove=prove)
    assert index.everything() == {str(i) for i in range(9)}
    assert (result.steadiness, asked) == (("exact", [1, 2, 3, 4] * 2) if prove else ("covered", [1, 2, 3, 4]))


@pytest.mark.parametrize("count", [6, 9])
@pytest.mark.parametrize("prove", [False, True])
def test_a_page_that_is_never_there_before_others_that_are_is_an_error_and_no_short_list(prove, count):
    rows = [record(str(i)) for i in range(9)]

    def fetch(number):
        if number == 2:
            raise NotFoundError("gone", hint="-", method="GET", path="/x", status=404)
        return paged(rows, number, count=count)

    with pytest.raises(PagingError, match="Page 2 of the list is not found"):
        run(fetch, prove=prove)


@pytest.mark.parametrize("beyond", ["empty", "404", "last again"])
@pytest.mark.parametrize("count", [None, 0, 2, 9, 50])
def test_a_list_that_does_not_say_how_many_pages_it_has_is_read_to_its_end(count, beyond):
    rows = [record(str(i)) for i in range(9)]

    def fetch(number):
        if number > 3 and beyond == "404":
            raise NotFoundError("past the end", hint="-", method="GET", path="/x", status=404)
        return paged(rows, min(number, 3) if beyond == "last again" else number, count=count, pages=None)

    result, index = run(fetch, prove=True)
    assert index.everything() == {str(i) for i in range(9)}
    assert result.steadiness == {None: "exact", 9: "exact", 50: "moving"}.get(count, "covered")


@pytest.mark.parametrize("prove", [False, True])
def test_a_pages_that_says_too_much_is_no_loop_where_all_that_is_counted_came(prove):
    rows = [record(str(i)) for i in range(9)]
    result, index = run(lambda n: paged(rows, min(n, 3), pages=10), prove=prove)
    assert index.everything() == {str(i) for i in range(9)}
    assert (result.steadiness, result.passes) == ("exact", 2)


def test_a_page_size_that_changes_while_it_is_read_loses_nothing():
    rows = [record(str(i)) for i in range(30)]
    calls = []

    def fetch(number):
        calls.append(number)
        return paged(rows, number, size=5 if len(calls) < 3 else 3)

    result, index = run(fetch)
    assert index.everything() == {str(i) for i in range(30)}
    assert (result.steadiness, result.passes) == ("exact", 2)


def test_a_pages_that_shrinks_while_it_is_read_is_read_again():
    rows = [record(str(i)) for i in range(30)]
    calls = []

    def fetch(number):
        calls.append(number)
        present = rows if len(calls) < 3 else rows[:12]
        if number > -(-len(present) // 3):
            raise NotFoundError("past the end", hint="-", method="GET", path="/x", status=404)
        return paged(present, number)

    result, index = run(fetch)
    assert {str(i) for i in range(12)} <= index.everything()
    assert (result.steadiness, result.passes) == ("covered", 2)


def test_a_row_hidden_from_two_passes_by_another_that_comes_back_is_not_called_exact():
    """Row 3 slips past both passes: before page 2 row 0 leaves, so that 3 moves to page 1; then it is back."""
    rows = [record(str(i)) for i in range(6)]

    def fetch(number):
        present = rows[1:] if number == 2 else rows
        return paged(present, number)

    result, index = run(fetch, prove=True)
    assert "3" not in index.everything()
    assert result.steadiness != "exact"


def test_an_id_twice_in_one_page_is_a_sign_of_movement_not_a_crash():
    rows = [record("a"), record("a", 1), record("b")]
    result, index = run(lambda n: paged(rows, n))
    assert index.everything() == {"a", "b"}
    assert (result.steadiness, result.passes) == ("moving", 2)  # the second pass agrees, the count does not


def test_a_server_that_ignores_the_page_number_is_an_error_not_a_loop():
    rows = [record(str(i)) for i in range(3)]
    with pytest.raises(PagingError):
        run(lambda n: Page(number=n, records=rows, count=105, items=3, pages=35))


@pytest.mark.parametrize("beyond", ["repeat", "empty"])
def test_pages_that_never_end_are_an_error_not_a_loop(beyond):
    rows = [record(str(i)) for i in range(6)]

    def fetch(number):
        at = min(number, 2) if beyond == "repeat" else number
        return Page(
            paginated=True, number=number, records=rows[(at - 1) * 3 : at * 3], count=6, items=3, pages=number + 50
        )

    with pytest.raises(PagingError):
        run(fetch)


@pytest.mark.parametrize("counts", [True, False])
def test_a_list_whose_pages_grow_for_ever_ends_beyond_twice_of_what_it_said_first(counts):
    asked = []

    def fetch(number):
        asked.append(number)
        records = [record(f"r{number}-{at}") for at in range(3)]
        return Page(number, records, 30 if counts else None, 3, number + 10, paginated=True)

    with pytest.raises(PagingError, match="does not end"):
        run(fetch)
    assert len(asked) < 200


def test_a_list_that_never_holds_still_is_moving_within_the_bound():
    calls = []

    def fetch(number):
        calls.append(number)
        records = [record(str(len(calls)))] if number < 3 else []
        return Page(number=number, records=records, count=len(calls), items=1, pages=2)

    result, _ = run(fetch)
    assert (result.steadiness, result.passes) == ("moving", MAX_PASSES)
