"""The order of a list: what full passes saw of it, and what the warehouse remembers.

An order is observed, never assumed. A list counts as sorted by its cursor if all records of a pass that held still were
sorted by the cursor and not by creation: as long as nothing was updated, the two cannot be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from boast_source.shapes import Shape

Order = Literal["newest_first", "oldest_first"]

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_CREATED = ("created_at", "created")


@dataclass(frozen=True)
class ListState:
    """What earlier runs know of one list of an account.

    `full_at`: when the last full listing that held still began; `order`: the cursor's order in that listing, or None;
    `read_at`: when the last good listing of any kind began; `newest`: the newest cursor value that it saw; `counted`,
    `pages`: as the API gave them then; `silent_at`: when a full listing found content that had changed without the
    cursor. Times of listings are from this machine's clock.
    """

    account_id: str
    resource: str
    full_at: datetime | None = None
    order: Order | None = None
    read_at: datetime | None = None
    newest: datetime | None = None
    counted: int | None = None
    pages: int | None = None
    silent_at: datetime | None = None

    def floor(self, overlap: timedelta) -> datetime | None:
        """Return the moment before which the last good listing knew everything: its newest cursor value less overlap.

        A cursor value in the future proves nothing, so the time of that listing is an upper bound.
        """
        if self.newest is None or self.read_at is None:
            return None
        return min(self.newest, self.read_at) - overlap


def created_of(shape: Shape) -> str | None:
    """Return the field that says when a record was created."""
    return next((name for name in _CREATED if name in shape.columns), None)


def moments(texts: pa.Array | pa.ChunkedArray) -> pa.Array | None:
    """Convert ISO 8601 texts to microseconds since 1970 (int64); None if one of them is null or not a time."""
    if texts.null_count:
        return None
    try:
        values = pc.cast(pc.cast(texts, pa.timestamp("us", "UTC")), pa.int64())
    except pa.ArrowInvalid:
        return None
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def moment_of(microseconds: int) -> datetime | None:
    """Convert microseconds since 1970 to a datetime; None for a year outside Python's range."""
    try:
        return EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None


class Observed:
    """The order of one pass, batch by batch as it arrives, in constant memory.

    `newest`: the newest cursor value, in microseconds since 1970.
    """

    def __init__(self) -> None:
        self._cursor, self._created = _Runs(), _Runs()
        self._readable = True
        self.newest: int | None = None

    def take(self, cursors: pa.Array | pa.ChunkedArray, created: pa.Array | pa.ChunkedArray) -> None:
        """Take the cursors and creation times of the next records, as text."""
        by_cursor, by_creation = moments(cursors), moments(created)
        if by_cursor is None or by_creation is None:
            self._readable = False
        if by_cursor is not None and len(by_cursor):
            highest = pc.max(by_cursor).as_py()
            self.newest = highest if self.newest is None else max(self.newest, highest)
        if self._readable and by_cursor is not None and by_creation is not None:
            self._cursor.take(by_cursor)
            self._created.take(by_creation)

    @property
    def order(self) -> Order | None:
        """The cursor's order; None if the pass was not sorted by it, or was also sorted by creation."""
        if not self._readable or (self._cursor.up and self._cursor.down):
            return None
        if self._cursor.down and not self._created.down:
            return "newest_first"
        if self._cursor.up and not self._created.up:
            return "oldest_first"
        return None


class _Runs:
    """Whether values only rise (`up`), only fall (`down`), or both (they are all equal) or neither."""

    def __init__(self) -> None:
        self.up = self.down = True
        self._last: int | None = None

    def take(self, values: pa.Array) -> None:
        if not len(values):
            return
        if self._last is not None:
            values = pa.concat_arrays([pa.array([self._last], pa.int64()), values])
        before, after = values.slice(0, len(values) - 1), values.slice(1)
        self.up = self.up and not pc.any(pc.less(after, before)).as_py()
        self.down = self.down and not pc.any(pc.greater(after, before)).as_py()
        self._last = values[-1].as_py()


def is_sorted(values: Iterable[int], order: Order) -> bool:
    """Whether cursor values are in this order; equal neighbours are allowed."""
    runs = _Runs()
    runs.take(pa.array(values, pa.int64()))
    return runs.down if order == "newest_first" else runs.up
