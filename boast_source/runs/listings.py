"""The table `listings`: the state of each list of each account between runs (listing/order.py).

It is not in dlt's schema, so a refresh does not empty it. Without it every list is read in full.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, get_args

from boast_source.errors import DestinationError
from boast_source.listing.order import ListState, Order
from boast_source.runs.record import now
from boast_source.warehouse import Warehouse, columns_in
from boast_source.warehouse.dialect import moment_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


TABLE = "listings"
_TYPES = {
    **dict.fromkeys(("account_id", "resource", "cursor_order"), "text"),
    **dict.fromkeys(("full_at", "read_at", "newest"), "timestamptz"),
    **dict.fromkeys(("counted", "pages"), "bigint"),
    **dict.fromkeys(("silent_at", "recorded_at"), "timestamptz"),
}
# clamp extreme times: in another time zone they could leave Python's range of dates
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (2, 9998))


def states(warehouse: Warehouse) -> dict[tuple[str, str], ListState]:
    """Return the state of each list, by account id and resource; empty if there is no such table.

    Raises what the destination raises, and DestinationError when the table was altered and cannot be read.
    """
    name = TABLE
    if not warehouse.has_sql:
        rows = [row for batch in warehouse.read(TABLE, [*_TYPES]) for row in batch.to_pylist()]
    else:
        with warehouse.session() as client:
            if client is None:
                return {}
            name = client.make_qualified_table_name(TABLE)
            there = {column.lower() for column in columns_in(client, name)}
            names = [column for column in _TYPES if column in there]
            listed = ", ".join(client.escape_column_name(column) for column in names)
            found = client.execute_sql(f"select {listed} from {name}") if names else ()
            rows = [dict(zip(names, row, strict=True)) for row in found or ()]
    try:
        known = [_state(row) for row in sorted(rows, key=lambda row: str(row.get("recorded_at")))]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise DestinationError(
            f"The table {name} was altered, so that what it says of earlier listings cannot be read",
            hint="Drop it: the next load makes it again.",
        ) from None
    return {(state.account_id, state.resource): state for state in known}


def remember(warehouse: Warehouse, known: Sequence[ListState]) -> None:
    """Insert or replace the states of these lists. Raises what the destination raises."""
    if not known:
        return
    warehouse.put(TABLE, _TYPES, ("account_id", "resource"), [_row(state) for state in known])


def ensure_table(warehouse: Warehouse) -> str:
    """Create the table if it does not exist; return its qualified name."""
    return warehouse.own_table(TABLE, _TYPES)


def _row(state: ListState) -> dict[str, Any]:
    times = {name: getattr(state, name) for name in ("full_at", "read_at", "newest", "silent_at")}
    row = {
        "account_id": state.account_id,
        "resource": state.resource,
        "cursor_order": state.order,
        "counted": state.counted,
        "pages": state.pages,
        "recorded_at": now().isoformat(),
        **{name: min(max(time, _FIRST), _LAST).isoformat() if time else None for name, time in times.items()},
    }
    return {column: row[column] for column in _TYPES}


def _state(row: Mapping[str, Any]) -> ListState:
    """Return a row's state. Raises AttributeError, KeyError, TypeError, ValueError or OverflowError for a bad row."""
    if not (isinstance(row["account_id"], str) and isinstance(row["resource"], str)):
        raise TypeError
    if row["cursor_order"] not in {None, *get_args(Order)}:
        raise ValueError
    return ListState(
        account_id=row["account_id"],
        resource=row["resource"],
        full_at=moment_of(row["full_at"]),
        order=row["cursor_order"],
        read_at=moment_of(row["read_at"]),
        newest=moment_of(row["newest"]),
        counted=_number(row["counted"]),
        pages=_number(row["pages"]),
        silent_at=moment_of(row["silent_at"]),
    )


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
