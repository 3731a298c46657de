"""A consistent listing of one list of the API, although the list has no filter, no order and changes meanwhile.

A *pass* reads every page once, the pages concurrently. Raw page facts say whether the list moved while it was read;
then the pass is completed (completing.py) or the list passed over again, a bounded number of times. All that any pass
delivers is kept; what one pass hides, another shows. No fact about a single pass proves absence: only two passes in a
row with the same content do.

Source: `meta.pagination` of the API; the unknowns of its second part (order, page size, pages past the end).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from boast_source.listing.completing import Counts, read_ends
from boast_source.listing.passes import Pass, pages_of, paging_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from boast_source.api import Page
    from boast_source.listing.completing import Ask
    from boast_source.shapes import Record

Steadiness = Literal["exact", "covered", "recent", "moving"]

MAX_PASSES = 4  # without --prove: a list that never holds still is `moving`, no failure
MAX_PASSES_TO_PROVE = 8


class Index(Protocol):
    """Where a sweep puts what it reads. Passes are numbered from 1.

    `distinct` ids and contents that are the `same_as_before` are of the pages of a pass; `total` ids of what completes
    it, too.
    """

    def add(self, records: list[Record], number: int, size: int = 0) -> None: ...
    def distinct(self, number: int) -> int: ...
    def total(self, number: int) -> int: ...
    def same_as_before(self, number: int) -> bool: ...


@dataclass(frozen=True)
class Sweep:
    """How a listing went: passes made, pages read, and how sure it is.

    `exact`: two passes in a row delivered the same records, as many as the list counted all the while; `covered`: one
    pass in which nothing moved or that was `completed`, or passes that agree and found more than was counted; `moving`:
    the list did not hold still within the bound, or it counts more than it delivers: `short` records more. `nameless`:
    records without an id, which can be compared with nothing and are left out.
    """

    passes: int
    pages: int
    steadiness: Steadiness
    short: int = 0
    nameless: int = 0
    completed: bool = False


def sweep(
    fetch: Callable[[int], Page],
    index: Index,
    *,
    workers: int,
    prove: bool = False,
    on_page: Callable[[Page], None] | None = None,
    ask: Ask | None = None,
) -> Sweep:
    """Read the whole list into `index`; each page through `fetch(number)`, `workers` at a time.

    `ask` puts stored records that a pass did not deliver into the index, as part of that pass; with it a pass in which
    the list moved may be completed.

    Raises what `fetch` raises for the first page (NotFoundError: no such account), and PagingError when in two passes
    in a row the list goes in circles or lacks a page before its last, or when it has more than twice what it says at
    first.
    """
    bound = MAX_PASSES_TO_PROVE if prove else MAX_PASSES
    result, before, agreed = Sweep(0, 0, "moving"), Pass(), False
    pool = ThreadPoolExecutor(workers, thread_name_prefix="boast-sweep")

    def take(page: Page, number: int) -> None:
        index.add(page.records, number, page.size)
        if on_page:
            on_page(page)

    try:
        for number in range(1, bound + 1):
            facts, counts = Pass(), Counts()
            read = counts.of(fetch)
            for page in pages_of(read, pool, facts, window=workers * 4):
                take(page, number)
            facts.distinct = index.distinct(number)
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
                    take(page, number)
                # once more, for the count: a record that was asked for may have come back only now
                if ask(number, facts.pages) and read(1).count is not None and index.total(number) == counts.ever:
                    return replace(result, steadiness="covered", completed=True)
            before = facts
        return result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # whoever stops does not wait for what is in flight


def agrees(
    fetch: Callable[[int], Page],
    index: Index,
    before: Sweep,
    workers: int,
    on_page: Callable[[Page], None],
) -> bool:
    """Make one more pass after one in which nothing moved, and return whether the two prove what is absent.

    Raises what `fetch` raises for the first page, and PagingError when the list does not end.
    """
    number, facts = before.passes + 1, Pass()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="boast-sweep")
    try:
        for page in pages_of(fetch, pool, facts, window=workers * 4):
            index.add(page.records, number, page.size)
            on_page(page)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    same = index.same_as_before(number)
    return same and not facts.moved and facts.named in {None, index.distinct(number)}


def _agreed(facts: Pass, before: Pass) -> dict[str, Any]:
    """How sure two passes are that held still and delivered the same."""
    if facts.counted and before.counted:  # one row that leaves and comes back can hide another from two passes alike
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
