"""Enrollments that only the history has: their rows or the table were deleted, dlt's `refresh` drops the table, or the
history was loaded alone. Those that are not listed count as stored, in their newest version in the history.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from boast_source.listing import queries
from boast_source.listing.columns import ACCOUNT, HASH, MISSING, row_columns
from boast_source.logs import log
from boast_source.shapes import HISTORY, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from boast_source.listing.column import Column
    from boast_source.listing.diff import Compared, Whole
    from boast_source.warehouse import Warehouse


@dataclass
class Lacking:
    """Such enrollments of some accounts. `warehouse` None: look for none; `empty`: the table is, or becomes, empty."""

    warehouse: Warehouse | None
    accounts: Sequence[str]
    empty: bool
    ids: dict[str, bool] = field(default_factory=dict)  # whether the history has it as missing

    def count_as_stored(self, compared: Compared) -> None:
        """Count them as stored rows that were not delivered."""
        self.ids = {}
        if self.warehouse is None:
            return
        scratch, names = compared.scratch, ["id", ACCOUNT, MISSING, HASH]
        without = None if self.empty else compared.listed.shape.name
        for batch in self.warehouse.read(HISTORY, names, newest_by=("id", "version"), without=without):
            if set(names) <= set(batch.column_names):
                scratch.append("lacking", batch, queries.of("lacking_of"))
        if not scratch.value("select exists (from lacking)"):
            return
        scratch.execute(queries.of("not_lacking"), {"accounts": list(self.accounts)})
        scratch.execute(queries.of("lacking_stored"))
        scratch.execute(queries.of("lacking_differ"))
        self.ids = dict(scratch.rows("select id, missing_since is not null from lacking"))

    def known_missing(self) -> list[str]:
        """Return the ids that the history marks missing: nothing else restores their rows."""
        back = [key for key, missing in self.ids.items() if missing]
        if back and not self.empty:
            log.warning("%d enrollments that the API no longer has come back from the history", len(back))
        return back

    def rows(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield their newest versions, and maybe other rows."""
        if self.warehouse and self.ids:
            yield from self.warehouse.read(HISTORY, columns, newest_by=("id", "version"), ids=self.ids)


def whole_rows(shape: Shape, columns: list[Column], warehouse: Warehouse | None, lacking: Lacking) -> Whole:
    """Return a function that reads the rows to be handed on as they are stored."""
    names = row_columns(shape, columns)

    def whole(ids: list[str]) -> Iterator[pa.Table]:
        if warehouse:
            yield from warehouse.read(shape.name, [*names, HASH], ids=ids)
        yield from lacking.rows(names)

    return whole
