"""The columns that a listing fills, each in its kind, and the hash of a row's content.

The hash covers the API's non-null fields by name, the account and whether the record is missing. Two records are the
same version exactly when their hashes are equal.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa

from boast_source.config import configured
from boast_source.listing import queries
from boast_source.listing.column import SQL_TYPES, Column, json_text
from boast_source.logs import log
from boast_source.shapes import EXTRA, Kind, Shape, to_json
from boast_source.warehouse.arrow import literal, quote
from boast_source.warehouse.dialect import snake_case

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from boast_source.listing.index import Listed


ACCOUNT, MISSING = "account_id", "missing_since"
HASH = "content_hash"  # of what was listed; stored in the table only if a dlt user alters rows on their way
HISTORY_KEYS = ("version_key", "version", HASH, "observed_at")

# names that a field of the API cannot have in our tables
_OWN = {ACCOUNT, MISSING, *HISTORY_KEYS, "_hash", "_seq", "step", "before", "before_key", "place"}
# also names that views compute or databases reserve, unless the table has the column from an older version
_TAKEN = {
    *("valid_from", "valid_to", "is_current"),  # of enrollment_history
    *("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"),  # Postgres
    *("oid", "rowid", "_rowid_", "true", "false"),  # SQLite, DuckDB; SQLAlchemy leaves some words unquoted
}
_PREFIXES = re.compile(r"_(?:dlt|table_|file_|partition|row_timestamp|colidentifier)")  # dlt's and BigQuery's

_JSON_TYPES: dict[Kind, str] = {
    "bigint": "'BIGINT', 'UBIGINT'",
    "double": "'BIGINT', 'UBIGINT', 'DOUBLE'",
    "bool": "'BOOLEAN'",
    "timestamp": "'VARCHAR'",
}
REST = "(others)"  # stands for all fields without a column of their own
VARIANT = "__v_text"  # dlt's suffix for the column with values of another type
_ROOM = f"_x_x{VARIANT}"  # what may be appended to the name of a field


def columns_of(
    listed: Listed,
    stored_kinds: Mapping[str, Kind],
    fields: Mapping[str, str | None],
    *,
    longest: int | None = None,
    json_kind: Kind = "json",
) -> list[Column]:
    """Return the columns that this listing fills: the shape's, one per unknown field, and `…__v_text` for misfits.

    A field that the warehouse already has keeps its column and its kind. A value that does not fit goes to a text
    column with the suffix `__v_text`, as in dlt, so that a change of type drops nothing. `fields`: by column, the field
    that filled it in earlier listings (None: not known); a field that is no longer delivered becomes null. `longest`:
    how many characters the warehouse allows in a name; longer names are shortened. `json_kind`: the kind of objects and
    arrays, `text` if the warehouse keeps no JSON.
    """
    shape = listed.shape
    # version 0.1.0 made JSON of them everywhere
    stored_kinds = {name: json_kind if kind == "json" else kind for name, kind in stored_kinds.items()}
    documented = {name: json_kind if kind == "json" else kind for name, kind in shape.columns.items()}
    narrower = {} if HASH in stored_kinds else stored_kinds  # with a hash, the kinds may be a user's
    columns = [Column(name, _kept(kind, narrower.get(name)), quote(name)) for name, kind in documented.items()]
    naming = snake_case(longest - len(_ROOM) if longest else None)
    listed.scratch.execute(queries.of("fields", values="null as _types"))
    columns += _extra_columns(listed, stored_kinds, fields, naming, json_kind) if listed.has_extra else []
    columns, misfits = _read_by_kind(listed, columns)
    columns += [
        Column(f"{c.name}{VARIANT}", "text", f"case when {c.typed} is null then {c.raw} end", field=c.field or c.name)
        for c in columns
        if c.name in misfits or (c.kind not in {"text", "json"} and f"{c.name}{VARIANT}" in stored_kinds)
    ]
    # a column that only earlier listings filled becomes null; a user's own column is carried along
    here = {*(column.name for column in columns), ACCOUNT, MISSING, HASH}
    ours = {name: kind for name, kind in stored_kinds.items() if name not in here and not name.startswith("_dlt")}
    for name, kind in ours.items():
        columns.append(Column(name, kind, f"null::{SQL_TYPES[kind]}", compared=name in fields, field=fields.get(name)))
    return columns


def _read_by_kind(listed: Listed, columns: list[Column]) -> tuple[list[Column], set[str]]:
    """Return the columns, `plain` if that reads all their values, and the names of those with misfits."""
    plain = {c.name: replace(c, plain=True) for c in columns if c.kind not in {"text", "json"}}
    odd = [replace(c, plain=False) for c in _with_misfits(listed, list(plain.values()))]
    chosen = plain | {column.name: column for column in odd}
    return [chosen.get(c.name, c) for c in columns], {column.name for column in _with_misfits(listed, odd)}


def _with_misfits(listed: Listed, columns: list[Column]) -> list[Column]:
    if not columns:
        return []
    flags = ", ".join(f"count({c.raw}) > count({c.typed})" for c in columns)
    found = listed.scratch.rows(queries.of("misfits", flags=flags))[0]
    return [column for column, misfit in zip(columns, found, strict=True) if misfit]


def _kept(kind: Kind, stored: Kind | None) -> Kind:
    """Return the kind of a documented field: the stored one if an earlier version stored text more narrowly."""
    return stored if stored and kind == "text" and stored not in {"text", "json"} else kind


def _extra_columns(
    listed: Listed,
    stored_kinds: Mapping[str, Kind],
    fields: Mapping[str, str | None],
    naming: Callable[[str], str],
    json_kind: Kind,
) -> list[Column]:
    columns: dict[str, Column] = {}
    had = {field: name for name, field in fields.items() if field not in {None, REST} and not name.endswith(VARIANT)}
    taken = {*listed.shape.columns, *_OWN, *(_TAKEN - stored_kinds.keys()), *had.values()}
    rest = next((name for name, field in fields.items() if field == REST), None) or _free_name("other_fields", taken)
    taken.add(rest)
    listed.scratch.allow(listed.memory)
    types = {field: set(found) - {None, "NULL"} for field, found in listed.scratch.rows(queries.of("unknown_fields"))}
    most, beyond = configured("max_extra_columns"), []

    def usual(field: str) -> str:
        return naming(field.strip() or "_")

    def turn(field: str) -> tuple[bool, bool, str]:
        # a column with no known field belongs to the field of that name, or to the first of several in this order
        new = field not in had and usual(field) not in stored_kinds
        return new, usual(field) != field and f"{usual(field)}_x" not in stored_kinds, field

    for field in sorted(types, key=turn):
        if field == REST or (len(columns) >= most and turn(field)[0]):
            beyond.append(field)
            continue
        name = had.get(field) or _free_name(usual(field), {*taken, *columns})
        kind = stored_kinds.get(name) or _kind_of(types[field], json_kind)
        if kind:
            columns[name] = _extra_column(name, kind, field, len(columns) + 1)
    if beyond and rest not in stored_kinds:
        log.warning(
            "%s: Boast sends more undocumented fields than sources.boast.max_extra_columns (%d). %d of them go into the"
            " JSON column %s; raise the setting for columns of their own.",
            *(listed.shape.name, most, len(beyond), rest),
        )
    pointers = [literal("/" + str(c.field).replace("~", "~0").replace("/", "~1")) for c in columns.values()]
    if beyond:
        some = set(beyond)
        columns[rest] = _rest(rest, json_kind, [field for field in types if field not in some])
    listed.extra_columns = len(columns)
    listed.scratch.allow(listed.memory)
    functions = {"_types": "json_type", "_texts": "json_extract_string"}
    if any(c.kind == "json" for c in columns.values()):
        functions["_jsons"] = "json_extract"
    values = [f"{function}({EXTRA}, [{', '.join(pointers)}]) as {name}" for name, function in functions.items()]
    listed.scratch.execute(queries.of("fields", values=", ".join(values)))
    return list(columns.values())


def _extra_column(name: str, kind: Kind, field: str, place: int) -> Column:
    """Return the column of a field; `place`: its position in the lists of the view `fields`, from 1."""
    type_ = f"_types[{place}]"
    raw = f"case when {type_} <> 'NULL' then {'_jsons' if kind == 'json' else '_texts'}[{place}]::varchar end"
    fits = f"{type_} in ({_JSON_TYPES[kind]})" if kind in _JSON_TYPES else "true"
    return Column(name, kind, raw, fits=fits, field=field)


def _rest(name: str, kind: Kind, without: list[str]) -> Column:
    """Return the column that holds all undocumented fields except `without`, as one JSON object."""
    patch = literal(orjson.dumps(dict.fromkeys(without)).decode())
    left = f"nullif(json_merge_patch({EXTRA}, {patch})::varchar, '{{}}')"
    return Column(name, kind, f"case when {EXTRA} is not null then {left} end", field=REST)


def _free_name(name: str, taken: set[str]) -> str:
    if _PREFIXES.match(name):
        name = f"x{name}"
    while name in taken:
        name += "_x"  # see _ROOM
    return name


def _kind_of(json_types: set[str], json_kind: Kind) -> Kind | None:
    """Return the kind that holds all values of these JSON types; None if there is no value yet."""
    if not json_types:
        return None
    if json_types & {"OBJECT", "ARRAY"}:
        return json_kind
    if json_types == {"BOOLEAN"}:
        return "bool"
    if json_types <= {"BIGINT", "UBIGINT"}:
        return "bigint"
    if json_types <= {"BIGINT", "UBIGINT", "DOUBLE"}:
        return "double"
    return "text"


def as_stored(columns: list[Column], stored_kinds: Mapping[str, Kind]) -> list[Column]:
    """Return the columns, in the warehouse's kinds if a user alters rows on their way."""
    if HASH not in stored_kinds:
        return columns
    kinds = [stored_kinds.get(column.name, column.kind) for column in columns]
    return [replace(c, kind=kind, plain=c.plain and kind == c.kind) for c, kind in zip(columns, kinds, strict=True)]


def row_columns(shape: Shape, columns: list[Column]) -> list[str]:
    """Return the column names of a table row, in order."""
    names = [*(c.name for c in columns), ACCOUNT]
    return [*names, MISSING] if keeps_history(shape) else names


def keeps_history(shape: Shape) -> bool:
    """Whether a list keeps every version and marks vanished rows: enrollments do, others keep the newest state only."""
    return shape.name == "sequence_enrollments"


def typed_rows(columns: list[Column], there: Collection[str], table: str) -> str:
    """Return SQL for a row's columns in their kinds, null for those not in `there`, and the row's stored hash."""
    kept = f", {HASH}" if HASH in there else ""
    values = (
        f"{_as_kind(quote(name), kind) if name in there else f'null::{SQL_TYPES[kind]}'} as {quote(name)}"
        for name, kind in kinds_of(columns).items()
    )
    return f"select {', '.join(values)}{kept} from {table}"


def kinds_of(columns: list[Column]) -> dict[str, Kind]:
    """Map each column of a table row to its kind."""
    return {c.name: c.kind for c in columns} | {ACCOUNT: "text", MISSING: "timestamp"}


def _as_kind(sql: str, kind: Kind) -> str:
    return json_text(sql) if kind == "json" else f"try_cast({sql} as {SQL_TYPES[kind]})"


def content_hash(columns: list[Column]) -> str:
    """Return SQL for the hash of a row's content, over its columns as `typed_rows` makes them."""
    parts = []
    for c in sorted((c for c in columns if c.compared), key=lambda column: column.name):
        value = f"epoch_us({quote(c.name)})" if c.kind == "timestamp" else quote(c.name)
        parts.append(f"'{c.name}=' || {value}")
    parts += [f"'{ACCOUNT}=' || {ACCOUNT}", f"case when {MISSING} is not null then 'missing' end"]
    return f"md5(concat_ws(chr(31), {', '.join(parts)}))"


def stored_hash(columns: list[Column], there: Collection[str]) -> str:
    """Return SQL for a stored row's hash, over `typed_rows`: the one stored with it, or else that of its columns."""
    own = content_hash(columns)
    return f"coalesce(replace(try_cast({HASH} as uuid)::varchar, '-', ''), {own})" if HASH in there else own


def canonical(batch: pa.Table, kinds: Mapping[str, Kind]) -> pa.Table:
    """Rewrite JSON columns as canonical text: a warehouse may return them in another spelling."""
    for place, name in enumerate(batch.column_names):
        if kinds.get(name) == "json":
            texts = [None if v is None else _respell(v) for v in batch[name].to_pylist()]
            batch = batch.set_column(place, name, pa.array(texts, pa.string()))
    return batch


def _respell(value: object) -> str:
    if isinstance(value, str):
        try:
            return to_json(orjson.loads(value))
        except orjson.JSONDecodeError:
            return value
    return to_json(value)
