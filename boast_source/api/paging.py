"""Reads a list page after page, with a guard against lists that never end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from boast_source.errors import NotFoundError, PagingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from boast_source.api.answers import Page

_REPEATS = 3  # equal pages in a row: rows that move can make two equal, hardly more


def all_records(fetch: Callable[[int], Page], path: str) -> Iterator[dict[str, Any]]:
    """Every record of a list, through `fetch(number)`. A row that moves between pages may come twice or not at all.

    Raises PagingError when pages repeat or `pages` runs away, and what `fetch` raises.
    """
    page = fetch(1)
    bound = (page.pages or 0) * 2 + 100 if page.pages is not None else None
    seen: set[int] = set()
    repeats = 0
    while True:
        yield from page.records
        content = hash(orjson.dumps(page.records))
        repeats = repeats + 1 if content in seen else 0
        seen.add(content)
        if not page.paginated or not page.records or (page.pages is not None and page.number >= page.pages):
            return
        if page.pages is None and repeats:
            return  # past the end the last page comes again
        if repeats >= _REPEATS or (bound is not None and page.number >= bound):
            raise PagingError(
                f"GET {path}: the list does not end, page {page.number} of {page.pages}",
                hint="The API's paging is broken for this list; try again later or ask Boast",
                method="GET",
                path=path,
            )
        try:
            page = fetch(page.number + 1)
        except NotFoundError:
            return  # the list became shorter
