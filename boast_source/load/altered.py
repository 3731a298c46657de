"""What a dlt user's functions and contracts do to rows on their way to the warehouse.

All functions of a resource run as one step, which sees the rows before and after. It restores the columns that the next
comparison needs, passes previously stored rows unchanged, and notes the rows that were dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from dlt.extract.items_transform import FilterItem, LimitItem, MapItem, YieldMapItem

from boast_source.errors import ConfigurationError
from boast_source.listing.columns import ACCOUNT, HASH, HISTORY_KEYS, MISSING, VARIANT
from boast_source.listing.handing import STORED
from boast_source.shapes import HISTORY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from boast_source.warehouse import Warehouse

BY_ROW = "__boast_by_row__"  # marks functions made by `by_row`
_OWN = {ACCOUNT, MISSING, HASH, *HISTORY_KEYS}  # what the next comparison needs


@dataclass
class Way:
    """What happens to the rows of one resource in this run. `hints`: the resource's table hints. `note_dropped` is
    called with the ids of dropped rows.
    """

    table: str
    hints: Mapping[str, Any]
    steps: list[Any]
    contract: dict[str, str]
    schema: dlt.Schema
    note_dropped: Callable[[pa.ChunkedArray], None]
    known: set[str] = field(default_factory=set)  # columns; empty: the table is new, and any may come

    @property
    def alters(self) -> bool:
        return bool(self.steps) or any(self._discards(part) for part in ("columns", "data_type"))

    def refuses(self, column: str) -> str | None:
        """Return how the contract rejects a column: `discard_value` or `discard_row`; None: dlt decides."""
        if not self.known or self.schema.naming.normalize_path(column) in self.known:
            return None
        return self._discards("data_type" if column.endswith(VARIANT) else "columns")

    def variant(self, column: str) -> dict[str, bool]:
        """Return the hint that marks a new column as another's type variant: the contract on types then applies."""
        new = self.known and self.schema.naming.normalize_path(column) not in self.known
        return {"variant": True} if new and column.endswith(VARIANT) else {}

    def __call__(self, rows: pa.Table) -> pa.Table:
        if rows.schema.metadata and STORED.items() <= rows.schema.metadata.items():
            return rows
        own = [name for name in rows.column_names if name in _OWN]
        passed = rows.drop_columns([HASH]) if HASH in own and self.table != HISTORY else rows
        for step in self.steps:
            passed = self._stepped(step, passed)
        if not passed.num_rows and "id" not in passed.column_names:
            passed = rows.slice(0, 0)
        passed = self._contracted(self._with_own(passed, rows, own))
        if passed.num_rows < rows.num_rows:
            ids = rows["id"]
            self.note_dropped(ids.filter(pc.invert(pc.is_in(ids, passed["id"].combine_chunks()))))
        return passed

    def _stepped(self, step: Any, rows: pa.Table) -> pa.Table:
        function, filters = vars(step).get("_f"), isinstance(step, FilterItem)
        try:
            made = function(rows) if filters and function else step(rows)
            if filters and isinstance(made, (pa.Array, pa.ChunkedArray)):
                made = rows.filter(made)
            if not filters or isinstance(made, pa.Table):
                parts = made if isinstance(step, YieldMapItem) else [made]
                tables = [_table(part) for part in parts if part is not None]
                return pa.concat_tables(tables, promote_options="permissive") if tables else rows.slice(0, 0)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            if hasattr(function, BY_ROW):
                raise
            raise ConfigurationError(
                f"A function on {self.table} fails, or returns no table ({type(error).__name__}).",
                hint="Resources yield Arrow tables, not rows: use add_map(by_row(your_function)), with by_row from"
                " boast_source.",
            ) from error
        if rows.num_rows and not made:
            raise ConfigurationError(
                f"The filter on {self.table} dropped a whole Arrow table of {rows.num_rows:,} rows.",
                hint="Resources yield Arrow tables, not rows: use add_filter(by_row(your_function)), with by_row"
                " from boast_source.",
            )
        return rows

    def _with_own(self, passed: pa.Table, rows: pa.Table, own: list[str]) -> pa.Table:
        """Restore the columns that the next comparison needs. Raises ConfigurationError if a function changed them."""
        key = "version_key" if self.table == HISTORY and "version_key" in passed.column_names else "id"
        if key not in passed.column_names:
            raise self._changed(key)
        if passed[key].to_pylist() == rows[key].to_pylist():
            places = pa.array(range(rows.num_rows), pa.int64())
        else:
            places = pc.index_in(passed[key].cast(pa.string()), value_set=rows[key].combine_chunks())
        if places.null_count or pc.count_distinct(places).as_py() < passed.num_rows:
            raise self._changed(key)
        for name in own:
            values = rows[name].take(places)
            if name not in passed.column_names:
                passed = passed.append_column(rows.schema.field(name), values)
            elif passed[name].to_pylist() != values.to_pylist():
                raise self._changed(name)
        never_null = {f.name for f in rows.schema if not f.nullable}
        return passed.cast(pa.schema([f.with_nullable(f.name not in never_null) for f in passed.schema]))

    def _contracted(self, rows: pa.Table) -> pa.Table:
        refused = {name: how for name in rows.column_names if (how := self.refuses(name))}
        for name in (name for name, how in refused.items() if how == "discard_row"):
            rows = rows.filter(pc.is_null(rows[name]))
        return rows.drop_columns(list(refused))

    def _discards(self, part: str) -> str | None:
        mode = self.contract[part]
        return mode if mode.startswith("discard") else None

    def _changed(self, column: str) -> ConfigurationError:
        return ConfigurationError(
            f"A function on {self.table} changed or dropped values of {column}, by which the next run knows what it has"
            " written.",
            hint="Leave that column as it is, and hide it in a view.",
        )


def taken_over(table: str, warehouse: Warehouse, hints: Any, note_dropped: Callable[[pa.ChunkedArray], None]) -> Way:
    """Combine the functions that the user added to the running resource into one step, after dlt's own cursor."""
    pipe: Any = dlt.current.pipe()
    schema = dlt.current.source_schema()
    steps = [step for step in pipe.steps[1:] if type(step) in {MapItem, FilterItem, YieldMapItem}]
    there = schema.tables.get(table, {}).get("columns", {})
    contract: Any = schema.resolve_contract_settings_for_table(table, hints)
    known = set() if schema.is_new_table(table) else {name for name, hints in there.items() if "data_type" in hints}
    way = Way(table, hints, steps, contract, schema, note_dropped, known)
    if not way.alters:
        return way
    if not known and {*contract.values()} != {"evolve"}:  # another pipeline may have made the table
        way.known = known = set(warehouse.kinds(table))
    elif known and table != HISTORY and HASH not in known:  # contracts do not apply to our own columns
        schema.update_table({"name": table, "columns": {HASH: {"name": HASH, "data_type": "text", "nullable": True}}})
        known.add(HASH)
    rest = [step for step in pipe.steps if step not in steps]
    last = next((place for place, step in enumerate(rest) if isinstance(step, LimitItem)), len(rest))
    pipe.steps[:] = [*rest[:last], MapItem(way), *rest[last:]]
    return way


def _table(rows: Any) -> pa.Table:
    if isinstance(rows, pa.Table):
        return rows
    return (
        pa.Table.from_pylist(rows if isinstance(rows, list) else [rows])
        if isinstance(rows, (list, dict))
        else pa.table(rows)
    )
