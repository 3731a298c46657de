"""Whose turn it is among the resources of a source: one item at a time, and one list after the other."""

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
_one = threading.Lock()  # where dlt runs resources in threads (`parallelize`): its contexts do not bear them


class Turns:
    """dlt asks the resources of a source in turn. Those of a list begin when no other list is being handed on: what the
    scratch index holds of several at once adds up.
    """

    def __init__(self) -> None:
        self._handing: Counter[str] = Counter()  # lists, by how many of their resources have begun
        self._handed = 0  # items

    def of(self, name: str) -> Callable[[Callable[P, Iterator[T]]], Callable[P, Iterator[T | None]]]:
        """Decorate the items of a resource of the list `name`: None stands for "ask the others first", as dlt reads it.

        A list that hands nothing on between two questions is not waited for: nobody may be asking it any more.
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
                    self._handing += Counter()  # without those at 0

            return in_turn

        return decorated
