"""The shapes of the API's lists, and the conversion of JSON records to Arrow.

A shape names the columns of one list and their kinds. Documented objects inside a record are flattened with a
double underscore (`links.detail` becomes `links__detail`), as dlt does; other objects and all arrays are JSON.
Fields outside the shape are kept in one JSON column, `_extra`, until the whole list has been read and each of them
can get a column of its own.

Source: part 1 of the API's documentation (field lists per endpoint). A field shown only by example is text, a number
or a time, never anything narrower, because other values may come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["text", "timestamp", "bigint", "double", "bool", "json"]
Record = dict[str, Any]

EXTRA = "_extra"


@dataclass(frozen=True)
class Shape:
    """One list of the API: `name` is endpoint, resource and table; `columns` the flattened fields and their kinds.

    `objects` are the flattened names of the documented objects; `cursor` is the field that says when a record
    last changed (None where the API has none).
    """

    name: str
    columns: Mapping[str, Kind]
    cursor: str | None
    objects: frozenset[str] = frozenset()


def _texts(names: str) -> dict[str, Kind]:
    return dict.fromkeys(names.split(), "text")


_TIMES: dict[str, Kind] = {"created_at": "timestamp", "updated_at": "timestamp"}

SEQUENCE_ENROLLMENTS = Shape(
    "sequence_enrollments",
    {**_texts("id contact_id sequence_id response_id status"), **_TIMES},
    "updated_at",
)
ACCOUNTS = Shape("accounts", {**_texts("id name"), **_TIMES}, "updated_at")
CONTACTS = Shape(
    "contacts",
    {
        **_texts(
            "id first_name last_name email mobile_phone organization job_title time_zone country_code"
            " location_id staff_id source"
        ),
        **_TIMES,
        **_texts("links__detail links__edit"),
    },
    "updated_at",
    frozenset({"links"}),
)
FORMS = Shape("forms", {**_texts("id name status"), **_TIMES}, "updated_at")
SEQUENCES = Shape(
    "sequences",
    {**_texts("id collection_form_id enrollment_form_id name status"), **_TIMES},
    "updated_at",
)
RESPONSES = Shape(
    "responses",
    {
        **_texts("id status thumbnail__url thumbnail__open_graph_url thumbnail__unprocessed_url consent"),
        "display_weight": "double",
        **_texts("form_id contact_id location_id staff_id"),
        "accepted": "timestamp",
        "created": "timestamp",
        "updated": "timestamp",
        **_texts(
            "fields__first_name fields__last_name fields__email fields__feedback fields__headline fields__sentiment"
        ),
        "fields__rating": "double",
        "fields__rating_type": "text",
        "fields__rating_max": "double",
        **_texts("fields__video__url fields__video__unprocessed_url"),
        "fields__photo": "json",
        **_texts("fields__company fields__job_title fields__mobile_phone"),
        "additional_fields": "json",
        "tags": "json",
        **_texts("links__detail links__edit links__share"),
    },
    "updated",
    frozenset({"thumbnail", "fields", "fields__video", "links"}),
)

SHAPES: dict[str, Shape] = {
    shape.name: shape for shape in (SEQUENCE_ENROLLMENTS, ACCOUNTS, CONTACTS, FORMS, RESPONSES, SEQUENCES)
}

HISTORY = "sequence_enrollments_history"

# The views over these tables, see models/; each comes after those that it reads.
VIEWS = (
    *("good_runs", "enrollment_history", "enrollment_daily", "enrollment_milestones", "enrollment_cohorts"),
    *("sequence_performance", "push_requests", "pipeline_health"),
)


def to_arrow(records: Sequence[Record], shape: Shape) -> pa.Table:
    """Return records as text columns: the shape's, then `_extra` (a JSON object of the unknown fields, or null).

    Numbers and booleans in a text column become their JSON text, objects and arrays JSON; nothing is dropped.
    """
    names = list(shape.columns)
    if not shape.objects and set().union(*records) <= shape.columns.keys():
        try:
            rows = pa.array(records, type=pa.struct([(name, pa.string()) for name in names]))
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            pass  # some value is not text: the general way below keeps it
        else:
            table = pa.Table.from_batches([pa.RecordBatch.from_struct_array(rows)])
            return _without_nul(table.append_column(EXTRA, pa.nulls(table.num_rows, pa.string())))
    flat = [_flatten(record, shape) for record in records]
    schema = pa.schema([(name, pa.string()) for name in [*names, EXTRA]])
    return _without_nul(pa.Table.from_pylist(flat, schema=schema))


def _without_nul(texts: pa.Table) -> pa.Table:
    """Replace NUL, which Postgres cannot store, with the replacement character U+FFFD."""
    for place, column in enumerate(texts.columns):
        if any(_has_nul(chunk) for chunk in column.chunks):
            texts = texts.set_column(place, texts.field(place), pc.replace_substring(column, "\0", "\ufffd"))
    return texts


def _has_nul(chunk: pa.Array) -> bool:
    data = chunk.buffers()[2]
    return data is not None and b"\0" in memoryview(data).tobytes()


def _flatten(record: Record, shape: Shape) -> dict[str, str | None]:
    row: dict[str, str | None] = {}
    extra: Record = {}
    _flatten_into(record, "", shape, row, extra)
    row[EXTRA] = to_json(extra) if extra else None
    return row


def _flatten_into(record: Record, prefix: str, shape: Shape, row: dict[str, str | None], extra: Record) -> None:
    for key, value in record.items():
        name = f"{prefix}{key}"
        kind = shape.columns.get(name)
        if name in shape.objects and isinstance(value, dict):
            _flatten_into(value, f"{name}__", shape, row, extra)
        elif kind == "json":
            row[name] = None if value is None else to_json(value)
        elif kind is not None:
            row[name] = value if value is None or isinstance(value, str) else to_json(value)
        elif name not in shape.objects or value is not None:
            extra[name] = value


def to_json(value: Any) -> str:
    """Return canonical JSON: sorted keys and no spaces, so that equal values give equal texts. NUL is replaced and -0.0
    becomes 0.0, because not every warehouse keeps them.
    """
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    if r"\u0000" in text or "-0.0" in text:
        text = orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS).decode()
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, float):
        return value + 0.0  # -0.0 becomes 0.0
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(inner) for key, inner in value.items()}
    return value
