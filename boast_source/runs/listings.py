"""The table `listings`: what is known of each list of each account from one run to the next (listing/order.py).

It is no table of dlt's schema, so no refresh empties it. Without it every list is read whole.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from boast_source.listing.order import ListState
from boast_source.runs.record import now
from boast_source.warehouse import columns_in
from boast_source.warehouse.arrow import quote
from boast_source.warehouse.dialect import translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from boast_source.warehouse import Warehouse

TABLE = "listings"
_TYPES = {
    **dict.fromkeys(("account_id", "resource", "cursor_order"), "text"),
    **dict.fromkeys(("full_at", "read_at", "newest"), "timestamptz"),
    **dict.fromkeys(("counted", "pages"), "bigint"),
    **dict.fromkeys(("silent_at", "recorded_at"), "timestamptz"),
}
# a moment near the ends of what Python knows is beyond them in the time zone of some session; as a mark these serve
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (2, 9998))


def states(warehouse: Warehouse) -> dict[tuple[str, str], ListState]:
    """Return what is known, by account and resource; nothing where there is no such table.

    Raises what the destination raises.
    """
    if not warehouse.has_sql:
        rows = [row for batch in warehouse.read(TABLE, [*_TYPES]) for row in batch.to_pylist()]
        return _states(sorted(rows, key=lambda row: str(row["recorded_at"])))
    with warehouse.session() as client:
        name = client.make_qualified_table_name(TABLE) if client else ""
        if client is None or not columns_in(client, name):
            return {}
        names = ", ".join(client.escape_column_name(column) for column in _TYPES)
        found = client.execute_sql(f"select {names} from {name}") or ()
        return _states(dict(zip(_TYPES, row, strict=True)) for row in found)


def remember(warehouse: Warehouse, known: Sequence[ListState]) -> None:
    """Put these in the place of what was known of the same lists. Raises what the destination raises."""
    if not known:
        return
    warehouse.put(TABLE, _TYPES, ("account_id", "resource"), [_row(state) for state in known], ensure_table)


def ensure_table(warehouse: Warehouse) -> str:
    """Create the table if it is not there; returns its qualified name."""
    client = warehouse.client
    table = ".".join(map(quote, client.make_qualified_table_name_path(TABLE, quote=False)))
    columns = ", ".join(f"{column} {kind}" for column, kind in _TYPES.items())
    with warehouse.migrating():
        if not client.has_dataset():
            client.create_dataset()
        sql = f"create table if not exists {table} ({columns})"
        client.execute_sql(translated(sql, client.capabilities.sqlglot_dialect))
    return client.make_qualified_table_name(TABLE)


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


def _states(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], ListState]:
    """Return the states by list; of several rows the last one counts."""
    return {
        (row["account_id"], row["resource"]): ListState(
            account_id=row["account_id"],
            resource=row["resource"],
            full_at=_moment(row["full_at"]),
            order=row["cursor_order"],
            read_at=_moment(row["read_at"]),
            newest=_moment(row["newest"]),
            counted=row["counted"],
            pages=row["pages"],
            silent_at=_moment(row["silent_at"]),
        )
        for row in rows
    }


def _moment(value: Any) -> datetime | None:
    found: datetime | None = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.replace(tzinfo=timezone.utc) if found and found.tzinfo is None else found
