"""A consistent listing of one list of the API, although it has no filter and no order and changes meanwhile.

A *pass* reads every page once, pages concurrently. Raw page facts tell whether the list moved while it was read; if so,
the pass is completed (completing.py) or another one is made, a bounded number of times. Everything that any pass
delivers is kept; what one pass hides, another shows. A single pass never proves absence: only two passes in a row with
the same content do.

Source: `meta.pagination` of the API; the unknowns of its second part (order, page size, pages past the end).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from boast_source.listing.completing import Counts, read_ends
from boast_source.listing.passes import Pass, pages_of, paging_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from boast_source.api import Page
    from boast_source.listing.completing import Ask
    from boast_source.listing.index import ListIndex

Steadiness = Literal["exact", "covered", "recent", "moving"]

MAX_PASSES = 4  # without --prove: a list that never holds still is `moving`, not a failure
MAX_PASSES_TO_PROVE = 8


@dataclass(frozen=True)
class Sweep:
    """How a listing went: passes made, pages read, and how sure it is.

    `exact`: two passes in a row delivered the same records, as many as the list counted throughout; `covered`: one pass
    in which nothing moved or that was `completed`, or passes that agree and found more than was counted; `moving`: the
    list did not hold still within the bound, or it counts `short` records more than it delivers. `nameless`: records
    without an id, which cannot be compared and are left out.
    """

    passes: int
    pages: int
    steadiness: Steadiness
    short: int = 0
    nameless: int = 0
    completed: bool = False


def sweep(
    fetch: Callable[[int], Page],
    index: ListIndex,
    *,
    workers: int,
    prove: bool = False,
    on_page: Callable[[Page], object] = lambda _: None,
    ask: Ask | None = None,
) -> Sweep:
    """Read the whole list into `index`; each page through `fetch(number)`, `workers` at a time.

    `ask` adds stored records that a pass did not deliver to the index, as part of that pass. It allows completing a
    pass in which the list moved.

    Raises what `fetch` raises for the first page (NotFoundError: no such account). Raises PagingError if the list goes
    in circles or lacks an inner page in two passes in a row, or if it has more than twice what it first announced.
    """
    result, before, agreed = Sweep(0, 0, "moving"), Pass(), False
    for number in range(1, (MAX_PASSES_TO_PROVE if prove else MAX_PASSES) + 1):
        counts = Counts()
        read = counts.of(fetch)
        facts = _read_pass(read, index, number, workers, on_page)
        _refuse_broken(facts, before)
        result = replace(result, passes=number, pages=result.pages + facts.pages, nameless=facts.nameless)
        still = number > 1 and not facts.drifted and not before.drifted
        agreed_before, agreed = agreed, still and index.same_as_before(number)
        if agreed and (agreed_before or not prove or (facts.counted and before.counted)):
            return replace(result, **_agreed(facts, before))
        if not prove and facts.counted and facts.distinct == facts.rows:
            return replace(result, steadiness="covered")
        if ask and not prove and facts.may_be_completed(counts.ever):
            for page in read_ends(read, facts.at_each_end(counts.ever)):
                index.add(page.records, number, page.size)
                on_page(page)
            if ask(number, facts.pages):
                page = read(1)  # a requested record may have come back only now: the count tells
                index.add(page.records, number, page.size)
                on_page(page)
                if page.count is not None and index.total(number) == counts.ever:
                    return replace(result, steadiness="covered", completed=True)
        before = facts
    return result


def agrees(
    fetch: Callable[[int], Page], index: ListIndex, before: Sweep, workers: int, on_page: Callable[[Page], object]
) -> bool:
    """Make one more pass after one in which nothing moved, and return whether the two prove absence.

    Raises what `fetch` raises for the first page, and PagingError when the list does not end.
    """
    number = before.passes + 1
    facts = _read_pass(fetch, index, number, workers, on_page)
    return index.same_as_before(number) and not facts.moved and facts.named in {None, facts.distinct}


def _read_pass(
    fetch: Callable[[int], Page], index: ListIndex, number: int, workers: int, on_page: Callable[[Page], object]
) -> Pass:
    """Read every page once into the index."""
    facts = Pass()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="boast-sweep")
    try:
        for page in pages_of(fetch, pool, facts, window=workers * 4):
            index.add(page.records, number, page.size)
            on_page(page)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # a stop does not wait for requests in flight
    facts.distinct = index.distinct(number)
    return facts


def _agreed(facts: Pass, before: Pass) -> dict[str, Any]:
    """Return how sure two passes are that held still and delivered the same."""
    if facts.counted and before.counted:  # a row that leaves and comes back can hide another from both passes
        return {"steadiness": "exact"}
    short = max((facts.named or 0) - facts.distinct, 0)
    return {"steadiness": "moving" if short else "covered", "short": short}


def _refuse_broken(facts: Pass, before: Pass) -> None:
    if facts.circles and before.circles:
        raise paging_error(
            f"The list goes in circles: {facts.repeats} of {facts.pages} pages repeat earlier ones"
            f" or {facts.barren} pages in a row brought nothing"
        )
    if holes := facts.holes & before.holes:
        raise paging_error(f"Page {min(holes)} of the list is not found, and there are pages after it")
