"""For running `boast_source()` in your own pipeline: functions over rows, the views, the verification."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from boast_source import models
from boast_source.errors import BoastError
from boast_source.load import source
from boast_source.load.altered import BY_ROW
from boast_source.load.result import Loaded
from boast_source.models.schema import relations
from boast_source.runs import ATTENTION, DONE, Run, ensure_table, save
from boast_source.warehouse import explained, warehouse_of

_DLT_TYPES = {"varchar": "text", "boolean": "bool", "timestamptz": "timestamp"} | {
    kind: kind for kind in ("text", "bigint", "double", "date", "json")
}

if TYPE_CHECKING:
    from collections.abc import Callable

    import dlt

    from boast_source.listing.listing import Listing

    Row = dict[str, Any]


def by_row(function: Callable[[Row], Row | bool | None]) -> Callable[[pa.Table], pa.Table]:
    """Adapt a function over one row (a dict) to `add_map` and `add_filter`, because the resources yield Arrow tables.

    If the function returns a dict, it replaces the row; True keeps the row, False or None drops it. Objects and arrays
    are JSON text.
    """

    def over_table(table: pa.Table) -> pa.Table:
        answers = [function(row) for row in table.to_pylist()]
        if not any(isinstance(answer, dict) for answer in answers):
            return table.filter(pa.array([bool(answer) for answer in answers], pa.bool_()))
        pairs = zip(table.to_pylist(), answers, strict=True)
        rows = [new if isinstance(new, dict) else old for old, new in pairs if new is not None and new is not False]
        names = list(dict.fromkeys(name for row in rows for name in row))
        types = {field.name: field for field in table.schema}
        columns = {name: _column([row.get(name) for row in rows], types.get(name)) for name in names}
        return pa.table(columns)

    functools.update_wrapper(over_table, function)
    # dlt would follow it and judge by its parameters whether to pass a second one, `meta`
    over_table.__dict__.pop("__wrapped__")
    over_table.__dict__[BY_ROW] = True
    return over_table


def _column(values: list[Any], field: pa.Field | None) -> pa.Array:
    try:
        return pa.array(values, field.type if field else None)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array(values)  # the type has changed


def create_views(pipeline: dlt.Pipeline, *, time_zone: str = "UTC", patience: float = 60.0) -> list[str]:
    """Create or replace the views over the pipeline's tables, and comment on all tables; return the views' names.

    `time_zone`: an IANA name, for days and months. `patience`: seconds to wait for a DuckDB file that is in use.

    Raises DestinationError when the destination refuses. A destination without SQL gets no views.
    """
    warehouse = warehouse_of(pipeline)
    with warehouse.open(patience=patience, creates=False), explained():
        if not warehouse.has_sql:
            return []
        ensure_table(warehouse)
        return models.create(warehouse, time_zone=time_zone)


def dataset(pipeline: dlt.Pipeline) -> dlt.Dataset:
    """Return dlt's dataset of the pipeline with the views, `runs`, `listings` and `push_ledger` among its tables.

    `pipeline.dataset()` itself contains only what dlt loaded.
    """
    schema = pipeline.default_schema.clone()
    for name, relation in relations().items():
        if name not in schema.tables:
            columns = {
                column: {"name": column, "data_type": _DLT_TYPES[c.data_type], "description": c.description}
                for column, c in relation.columns.items()
            }
            described: Any = {"name": name, "description": relation.description, "columns": columns}
            schema.update_table(described | {"references": relation.references})
    return pipeline.dataset(schema=schema)


def verify(pipeline: dlt.Pipeline) -> Loaded:
    """Compare what the pipeline's last run in this process listed with what the warehouse holds now. The result is
    recorded in `runs`.

    `.verified` is the weakest result of all accounts, `.exit_code` 0 or 3, `.reports` has one per account and list.

    Raises BoastError when nothing was listed or the warehouse cannot be read.
    """
    listing: Listing | None = vars(pipeline).get(source.LISTING)
    if listing is None:
        raise BoastError(
            "There is no listing to verify.", hint="Run the pipeline with boast_source() in this process first."
        )
    warehouse = warehouse_of(pipeline)
    run = Run("verify", account_ids=",".join(listing.options.account_ids or ()) or None)
    with explained():
        listing.verify(warehouse)
    code = ATTENTION if any(r.error for r in listing.reports) else DONE
    found = Loaded(listing.reports, code, run_id=run.run_id, bounded=listing.options.bounded)
    run.count(found.tallies())
    run.finish(code, "; ".join(found.errors) or None)
    save(warehouse, run)
    return found
