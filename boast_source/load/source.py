"""The dlt source: one resource per list of the API, and the history of enrollments.

Every resource merges by its key and yields only the rows that differ from the destination, as Arrow tables. The cursor
`updated_at` is declared, so dlt shows it, and ranges and external schedulers work. It never decides alone: a cursor
loses late rows, ties and content that changed without it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable
from dlt.common.storages.load_package import commit_load_package_state

from boast_source import models
from boast_source.api import BoastClient, BoastCredentials
from boast_source.config import DEFAULT_BASE_URL, account_ids_from
from boast_source.listing.columns import HISTORY_KEYS, keeps_history
from boast_source.listing.listing import Listing, listing_of
from boast_source.listing.report import Options
from boast_source.load import altered, checks
from boast_source.load.turns import Turns
from boast_source.logs import hush
from boast_source.models.schema import relations
from boast_source.shapes import HISTORY, SHAPES, Kind, Shape
from boast_source.warehouse import Warehouse, kinds_of, warehouse_of
from boast_source.warehouse.dropped import FIELD

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.extract import DltResource


EPOCH = datetime(1, 1, 1, tzinfo=timezone.utc)
# an attribute of the pipeline: its last listing in this process, which refers to it, so both are freed together
LISTING = "boast_listing"


@dlt.source(name="boast", section="boast", max_table_nesting=0)
def boast_source(
    credentials: BoastCredentials = dlt.secrets.value,
    base_url: str = DEFAULT_BASE_URL,
    account_ids: Any | None = None,
    max_concurrency: int = 8,
    max_requests_per_second: float | None = None,
    request_timeout: float = 60.0,
) -> Sequence[DltResource]:
    """Sequence enrollments of Boast with their history, and accounts, contacts, forms, responses and sequences.

    Args:
        credentials: a bearer token or OAuth client credentials; from `sources.boast.credentials`.
        base_url: root of the API.
        account_ids: accounts to load; None: all that the token can see.
        max_concurrency: maximum number of concurrent requests.
        max_requests_per_second: limit on the request rate; None: no limit.
        request_timeout: seconds per request.

    Raises ConfigurationError for invalid settings. Extraction raises the errors of `boast_source`: an account that
    cannot be read fails it (leave it out of `account_ids` to load the others).
    """
    client = BoastClient(
        credentials,
        base_url=base_url,
        max_concurrency=max_concurrency,
        max_requests_per_second=max_requests_per_second,
        request_timeout=request_timeout,
    )
    options = Options(account_ids=account_ids_from(account_ids), workers=max_concurrency)
    return resources(_Renewed(lambda: listing_of(client, options)))


@dlt.source(name="boast", section="boast", max_table_nesting=0)
def source_of(listing: Any) -> Sequence[DltResource]:
    """Return the same source over a listing that the caller owns, reads from and closes."""
    return resources(lambda _: listing)


def resources(listing_for: Callable[[str], Listing]) -> Sequence[DltResource]:
    """Return one resource per list, and the history."""
    hush("_compute_tables")  # warns of a hint (JSON) that is narrower than the Arrow type (text); ours are, on purpose
    turns = Turns()
    lists = [_list_resource(shape, listing_for, turns) for shape in SHAPES.values()]
    return [*lists, _history_resource(listing_for, turns)]


class _Renewed:
    """One listing per run: a resource that asks a second time belongs to the next run of the same source object."""

    def __init__(self, make: Callable[[], Listing]) -> None:
        self._make = make
        self._listing: Listing | None = None
        self._served: set[str] = set()

    def __call__(self, resource: str) -> Listing:
        if self._listing is None or resource in self._served:
            if self._listing:
                self._listing.close()
            self._listing, self._served = self._make(), set()
        self._served.add(resource)
        return self._listing


def _list_resource(shape: Shape, listing_for: Callable[[str], Listing], turns: Turns) -> DltResource:
    @turns.of(shape.name)
    def rows() -> Iterator[pa.Table]:
        listing = listing_for(shape.name)
        way = _begin(shape.name, listing)
        _prepare(listing, shape)
        replaced = listing.replaced(shape, _warehouse(listing))
        strategy = "delete-insert" if listing.is_repeated(shape) else "upsert"
        batches = listing.rows(shape, altered=way is not None and way.alters)
        yield from _hinted(batches, listing, shape, strategy, replaced, way=way)

    # without a key dlt keeps no list of the rows at the cursor; a lag would do the same, but underflows in year 1
    def enrollments(
        updated_at: dlt.sources.incremental[Any] = dlt.sources.incremental(  # noqa: B008 -- dlt reads it
            "updated_at", primary_key=(), on_cursor_value_missing="include"
        ),
    ) -> Iterator[pa.Table | None]:
        if updated_at.end_value is None and updated_at.start_value is not None:
            # no range was requested: a single value from the year 9999 must not hide all other changes
            updated_at.start_value = updated_at.initial_value or EPOCH
        yield from rows()

    return _resource(enrollments if keeps_history(shape) else rows, shape.name, key="id", strategy="upsert")


def _history_resource(listing_for: Callable[[str], Listing], turns: Turns) -> DltResource:
    shape = SHAPES["sequence_enrollments"]

    @turns.of(shape.name)
    def versions() -> Iterator[pa.Table]:
        listing = listing_for(HISTORY)
        way = _begin(HISTORY, listing)
        _prepare(listing, shape)
        batches = listing.versions(shape, _warehouse(listing), altered=way is not None and way.alters)
        yield from _hinted(batches, listing, shape, "insert-only", way=way)

    return _resource(versions, HISTORY, key="version_key", strategy="insert-only")


def _resource(items: Any, name: str, *, key: str, strategy: str) -> DltResource:
    """Return a resource with the descriptions and relations of models/schema.yml, which dlt's own tools then show."""
    described = relations()[name]
    columns: Any = {
        column: {"description": said.description} | ({"data_type": "json"} if said.data_type == "json" else {})
        for column, said in described.columns.items()
    }
    references: Any = described.references
    merging: Any = {"disposition": "merge", "strategy": strategy}
    resource: DltResource = dlt.resource(
        items, name=name, primary_key=key, write_disposition=merging, columns=columns, references=references
    )
    resource.apply_hints(additional_table_hints={"description": described.description})
    return resource


def _begin(table: str, listing: Listing) -> altered.Way | None:
    """Check the user's setup, and return what the user does to the rows; None outside a pipeline run."""
    warehouse = _warehouse(listing)
    if warehouse is None:
        return None
    hints: Any = dlt.current.resource().compute_table_schema()
    checks.check(table, warehouse, _package_state(), hints)
    _protect_history(warehouse)
    return altered.taken_over(table, warehouse, hints, functools.partial(listing.note_dropped, table))


def _hinted(
    batches: Iterator[pa.Table],
    listing: Listing,
    shape: Shape,
    strategy: str,
    replaced: int = 0,
    *,
    way: altered.Way | None,
) -> Iterator[Any]:
    """Yield the batches after telling dlt what the resource could not know: the field that fills each column, the new
    columns that are JSON (text in Arrow) or hold values of another type, and how to merge if the destination does not
    support `strategy`, or has a better one for this many `replaced` rows.
    """
    hints: dict[str, Any] = {}
    columns: dict[str, dict[str, Any]] = {name: {FIELD: f} for name, f in listing.fields(shape).items()}
    for name, kind in sorted(listing.hints(shape).items()):
        columns.setdefault(name, {})["data_type"] = kind
    if way:
        columns = {name: hint | way.variant(name) for name, hint in columns.items() if not way.refuses(name)}
    if columns:
        hints["columns"] = columns
    # always merge: only differences are yielded, so any other write disposition would lose the rest
    if way and (warehouse := _warehouse(listing)):
        hints |= warehouse.merging(strategy, replaced=replaced) | checks.file_format(warehouse.pipeline, way.hints)
    if way and hints:  # on the resource: hints on a batch would also reach the user's transformers
        dlt.current.resource().merge_hints(dlt.mark.make_hints(**hints))
    yield from batches


def _prepare(listing: Listing, shape: Shape) -> None:
    """Read the list and compare it with the warehouse."""
    warehouse = _warehouse(listing)
    if warehouse is None:
        listing.prepare(shape, None, None)
        return
    vars(warehouse.pipeline)[LISTING] = listing
    kinds, empty = _stored_kinds(shape, warehouse)
    # earlier versions kept the columns only in dlt's state
    kept: dict[str, str | None] = dict.fromkeys(dlt.current.resource_state(shape.name).get("unknown_fields", ()))
    kept |= _known_fields(warehouse, (shape.name, HISTORY) if keeps_history(shape) else (shape.name,))
    listing.prepare(shape, warehouse, kinds, kept, empty=empty)


def _known_fields(warehouse: Warehouse, tables: Sequence[str]) -> dict[str, str]:
    """Map each column to the undocumented field that fills it, as dlt's schema says, in the pipeline and the warehouse;
    the first of `tables` wins. A field keeps the column that it got first, in every pipeline over the dataset.
    """
    schema, found = dlt.current.source_schema(), dict[str, str]()
    everywhere: list[Any] = [schema.tables, warehouse.stored_schema(schema.name)]
    for table, there in itertools.product(tables, everywhere):
        for name, column in there.get(table, {}).get("columns", {}).items():
            if FIELD in column:
                found.setdefault(name, str(column[FIELD]))
    return found


def _package_state() -> Any:
    """Return the state of the load package being extracted; None outside a pipeline run."""
    try:
        return dlt.current.load_package_state()["state"]
    except CurrentLoadPackageStateNotAvailable:
        return None


def _warehouse(listing: Listing) -> Warehouse | None:
    """Return the running pipeline's warehouse: the listing's own, or a user pipeline's; None outside a pipeline run."""
    context = Container()[PipelineContext]
    if _package_state() is None or not context.is_active():
        return None
    pipeline: dlt.Pipeline = context.pipeline()  # type: ignore[assignment]
    if listing.warehouse is None or listing.warehouse.pipeline is not pipeline:
        listing.warehouse = warehouse_of(pipeline)
    return listing.warehouse


def _stored_kinds(shape: Shape, warehouse: Warehouse) -> tuple[dict[str, Kind], bool]:
    """Return the kinds of the table's columns, and whether dlt's `refresh` empties the table in this run.

    If it drops the table, the kinds are those of the history, which stays and gets the same values.
    """
    state = _package_state() or {}
    dropped, emptied = (
        any(leaver["name"] == shape.name for leaver in state.get(leaving, ()))
        for leaving in ("dropped_tables", "truncated_tables")
    )
    if dropped:
        kept = warehouse.kinds(HISTORY) if keeps_history(shape) else {}
        return {name: kind for name, kind in kept.items() if name not in HISTORY_KEYS}, True
    known = dlt.current.source_schema().tables.get(shape.name)
    there = warehouse.kinds(shape.name)  # including columns from other pipelines
    return there | (kinds_of(known["columns"]) if known else {}), emptied


def _protect_history(warehouse: Warehouse) -> None:
    """Exclude the history from dlt's `refresh` modes: it cannot be fetched again. Drop the views if tables are dropped:
    Postgres drops no table that a view reads. The next command that creates views restores them.
    """
    state = _package_state()
    if state is None:
        return
    for list_name in ("dropped_tables", "truncated_tables"):
        if list_name in state:
            state[list_name] = [table for table in state[list_name] if table["name"] != HISTORY]
    commit_load_package_state()
    if state.get("dropped_tables"):
        with warehouse.session() as client:
            if client:
                models.drop(client)
