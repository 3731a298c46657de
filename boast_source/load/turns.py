"""Turn-taking among the resources of a source: one item at a time, and one list after the other."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")
_END = object()
_one = threading.Lock()  # for resources that dlt runs in threads (`parallelize`): its contexts are not safe there


class Turns:
    """dlt asks the resources of a source in turn. Those of a list wait until no other list is being handed on, because
    the scratch index would hold several lists at once.
    """

    def __init__(self) -> None:
        self._handing: Counter[str] = Counter()  # by list, how many of its resources have begun
        self._handed = 0  # items

    def of(self, name: str) -> Callable[[Callable[P, Iterator[T]]], Callable[P, Iterator[T | None]]]:
        """Decorate a resource of the list `name`. While it waits it yields None, which tells dlt to ask the others.

        A list that hands on nothing between two questions is not waited for: dlt may have stopped asking it.
        """

        def decorated(items: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T | None]]:
            @functools.wraps(items)
            def in_turn(*args: P.args, **kwargs: P.kwargs) -> Iterator[T | None]:
                iterator, seen = items(*args, **kwargs), -1
                while True:
                    with _one:
                        others = self._handing.keys() - {name}
                        if not others or seen == self._handed:
                            self._handing[name] += 1
                            break
                        seen = self._handed
                    yield None
                try:
                    while True:
                        with _one:
                            item = next(iterator, _END)
                            self._handed += 1
                        if item is _END:
                            return
                        yield item  # type: ignore[misc]
                finally:
                    self._handing[name] -= 1
                    self._handing += Counter()  # removes zero counts

            return in_turn

        return decorated
