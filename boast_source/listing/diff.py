"""Listing against warehouse: what differs, what is gone, whether the two are equal.

Works on the scratch index, in SQL, for one list at a time; `_hash` is that of a row's content (columns.py). For a
list `x` it makes

- `x__now`: of the newest version of each id that was delivered id, account, cursor and `_hash`;
- `x__rows`: a view, the whole rows of these, typed;
- `x__stored`: of each of the warehouse's rows `id`, account, `missing_since` and `_hash`;
- `x__gone`: stored ids that the API no longer has (confirmed by 404);
- `x__newest`: for the history, the newest version of each id: `version`, `version_key`, `content_hash`;
- `x__unkept`: ids whose stored version is about to be replaced and is not in the history (a crash kept it out);
- `x__lost`: stored ids that are not listed and not in the history as they are stored (a crash, too);
- `x__whole`: the whole stored rows of these last three, typed, with `_hash`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from boast_source.listing.columns import (
    ACCOUNT,
    MISSING,
    SQL_TYPES,
    canonical,
    content_hash,
    kinds_of,
    row_columns,
    typed_rows,
)
from boast_source.warehouse.arrow import in_bulk, quote

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from boast_source.listing.columns import Column
    from boast_source.listing.index import Scratch
    from boast_source.shapes import Shape

SEEN_AT = "seen_at()"  # one moment for the whole run (see scratch.py)


def make_now(scratch: Scratch, shape: Shape, columns: list[Column]) -> None:
    """`x__now` and `x__rows`: of an id the latest pass wins, then the later `updated_at`, then arrival."""
    listed = f"{shape.name}__listed"
    typed = ", ".join(f"{c.typed} as {quote(c.name)}" for c in columns)
    newest = f"{quote(shape.cursor)} desc nulls last, " if shape.cursor else ""
    won = "true"
    if scratch.value(f"select count(id) > count(distinct id) from {listed}"):  # else there is nothing to choose from
        won = (
            f"_seq in (select _seq from {listed} qualify"
            f" row_number() over (partition by id order by _pass desc, {newest} _account, _seq desc) = 1)"
        )
    x, kept = shape.name, ", ".join(dict.fromkeys(["id", "_hash", ACCOUNT, *([shape.cursor] if shape.cursor else [])]))
    rows = f"select {typed}, _account as {ACCOUNT}, null::timestamptz as {MISSING}, _seq from {listed}"
    scratch.execute(
        f"create or replace table {x}__now as with typed as ({rows} where {won}), hashed as"
        f" (select *, {content_hash(columns)} as _hash from typed) select {kept}, _seq from hashed"
    )
    scratch.execute(
        f"create or replace view {x}__rows as select typed.* exclude (_seq), now._hash from ({rows}) typed"
        f" join {x}__now now using (_seq)"
    )


def make_stored(scratch: Scratch, shape: Shape, columns: list[Column], batches: Iterable[pa.Table] | None) -> None:
    """`x__stored` from the warehouse (None: there is no table yet): its rows, or what `digest` makes of them there."""
    stored = f"{shape.name}__stored"
    scratch.execute(
        f"create or replace table {stored}"
        f" (id varchar, {ACCOUNT} varchar, {MISSING} timestamptz, whole boolean, _hash varchar)"
    )
    for batch in in_bulk(batches or ()):
        made = "_hash" in batch.column_names
        select = "from incoming" if made else _digest(columns, batch.column_names, "incoming")
        scratch.append(stored, batch if made else canonical(batch, kinds_of(columns)), select)


def digest(columns: list[Column], table: str, there: Collection[str]) -> str | None:
    """SQL for a DuckDB that holds the table: what `x__stored` keeps of it; None where JSON must be spelled first."""
    kinds = kinds_of(columns)
    return None if any(kinds[name] == "json" for name in there) else _digest(columns, there, table)


def _digest(columns: list[Column], there: Collection[str], table: str) -> str:
    # with a column that was not compared, the hash does not speak for the whole row
    whole = " and ".join(["true", *(f"{quote(c.name)} is null" for c in columns if not c.compared)])
    return (
        f"select id, {ACCOUNT}, {MISSING}, {whole} as whole, {content_hash(columns)} as _hash"
        f" from ({typed_rows(columns, there, table)})"
    )


def make_whole(scratch: Scratch, shape: Shape, columns: list[Column], batches: Iterable[pa.Table] | None) -> None:
    """`x__whole`, of the warehouse's rows in these batches, which may hold more than are wanted."""
    kinds, x = kinds_of(columns), shape.name
    definitions = ", ".join(f"{quote(name)} {SQL_TYPES[kind]}" for name, kind in kinds.items())
    scratch.execute(f"create or replace table {x}__whole ({definitions}, _hash varchar)")
    ids = f"(select id from {x}__gone union all select id from {x}__unkept union all select id from {x}__lost)"
    for batch in in_bulk(batches or ()):
        rows = typed_rows(columns, batch.column_names, f"(from incoming where id in {ids})")
        scratch.append(
            f"{x}__whole", canonical(batch, kinds), f"select *, {content_hash(columns)} as _hash from ({rows})"
        )


def wanted(scratch: Scratch, shape: Shape) -> list[str]:
    """The ids that `x__whole` is to hold."""
    x = shape.name
    ids = f"select id from {x}__gone union select id from {x}__unkept union select id from {x}__lost"
    return [str(key) for (key,) in scratch.rows(ids)]


def keep_to_verify(scratch: Scratch, shape: Shape) -> None:
    """Of all that was made, leave what `unequal` compares: the rest has been handed on."""
    x = shape.name
    scratch.execute(f"drop view if exists {x}__rows")
    for name in ("listed", "newest", "unkept", "lost", "stored", "whole"):
        scratch.execute(f"drop table if exists {x}__{name}")


def make_gone(scratch: Scratch, shape: Shape, ids: list[str]) -> None:
    """`x__gone` (id); so far, none are unkept or lost."""
    for name in ("gone", "unkept", "lost"):
        scratch.execute(f"create or replace table {shape.name}__{name} (id varchar)")
    if ids:
        scratch.insert(f"{shape.name}__gone", pa.table({"id": pa.array(ids, pa.string())}))


def make_newest(scratch: Scratch, shape: Shape, batches: Iterable[pa.Table] | None) -> None:
    """`x__newest` from the warehouse's history (None: there is none yet)."""
    table = f"{shape.name}__newest"
    scratch.execute(
        f"create or replace table {table}"
        " (id varchar, version bigint, version_key varchar, content_hash varchar, missing boolean)"
    )
    select = f"select * exclude ({MISSING}), {MISSING} is not null as missing from incoming"
    for batch in in_bulk(batches or ()):
        scratch.append(table, batch, select)


def replaced(scratch: Scratch, shape: Shape, within: str = "true") -> int:
    """`x__unkept` (id, hash) of the stored versions that this run replaces and that are not the history's newest.

    Returns how many; `drop_kept` then takes out those that the history has further back.
    """
    x = shape.name
    scratch.execute(
        f"create or replace table {x}__unkept as select s.id, s._hash as hash from (select s.* from {x}__stored s"
        f" anti join {x}__newest n on n.id = s.id and n.content_hash = s._hash where whole) s"
        f" left join {x}__now r using (id)"
        f" where (r._hash <> s._hash and ({within})) or s.id in (select id from {x}__gone)"
    )
    return int(scratch.value(f"select count(*) from {x}__unkept"))


def drop_kept(scratch: Scratch, shape: Shape, versions: Iterable[pa.Table]) -> None:
    """Take out of `x__unkept` what is among these versions (`id`, `content_hash`) of the history."""
    x = shape.name
    scratch.execute(f"create or replace table {x}__kept (id varchar, hash varchar)")
    for batch in versions:
        scratch.append(
            f"{x}__kept", batch, f"select id, content_hash as hash from incoming semi join {x}__unkept using (id)"
        )
    scratch.execute(f"delete from {x}__unkept where (id, hash) in (from {x}__kept)")


def make_lost(scratch: Scratch, shape: Shape) -> None:
    """`x__lost` (id); call it after `make_newest`."""
    x = shape.name
    scratch.execute(
        f"create or replace table {x}__lost as select r.id from (from {x}__stored s anti join {x}__now using (id)) r"
        f" left join {x}__newest n using (id) where n.id is null or"
        f" (r.id not in (select id from {x}__gone) and n.missing != (r.{MISSING} is not null))"
    )


def has_fresh(scratch: Scratch, shape: Shape, within: str = "true") -> bool:
    """Whether there is any version that the history does not hold yet; call it after `make_lost`."""
    x = shape.name
    found = [f"from {x}__now r anti join {x}__newest n on n.id = r.id and n.content_hash = r._hash where {within}"]
    found += [f"from {x}__{name}" for name in ("gone", "unkept", "lost")]
    return any(scratch.value(f"select exists ({rows})") for rows in found)


def undelivered(scratch: Scratch, shape: Shape, accounts: list[str]) -> list[tuple[str, str]]:
    """(account, id) of the stored rows of these accounts that no pass delivered and that are not marked missing."""
    return [
        (str(account), str(key))
        for account, key in scratch.rows(
            f"select {ACCOUNT}, id from {shape.name}__stored where {MISSING} is null"
            f" and list_contains(?, {ACCOUNT}) and id not in (select id from {shape.name}__listed) order by 1, 2",
            [accounts],
        )
    ]


def other_accounts(scratch: Scratch, shape: Shape, accounts: list[str]) -> list[str]:
    """Accounts that have stored rows and are none of these."""
    return [
        str(account)
        for (account,) in scratch.rows(
            f"select distinct {ACCOUNT} from {shape.name}__stored where {MISSING} is null and {ACCOUNT} is not null"
            f" and not list_contains(?::varchar[], {ACCOUNT}) order by 1",
            [accounts],
        )
    ]


def stored_count(scratch: Scratch, shape: Shape, account: str) -> int:
    """Stored rows of the account that are not marked missing."""
    return int(
        scratch.value(f"select count(*) from {shape.name}__stored where {MISSING} is null and {ACCOUNT} = ?", [account])
    )


def delivered(scratch: Scratch, shape: Shape, account: str | None) -> bool:
    """Whether any pass delivered any record of the account."""
    return bool(
        scratch.value(f"select exists (from {shape.name}__listed where _account is not distinct from ?)", [account])
    )


def changed_rows(shape: Shape, columns: list[Column], *, everything: bool, within: str = "true") -> str:
    """SQL: the rows to load into `x`: new, changed, or gone (with `missing_since` set to now)."""
    kept, x = row_columns(shape, columns), shape.name
    names = ", ".join(f"r.{quote(name)}" for name in kept)
    sql = f"select {names} from {x}__rows r{_unless_equal(shape, everything)} where ({within})"
    if MISSING in kept:
        sql += (
            f" union all by name select {names} from"
            f" (select * replace ({SEEN_AT} as {MISSING}) from {x}__whole semi join {x}__gone using (id)) r"
        )
    return sql


def changed_counts(scratch: Scratch, shape: Shape, *, everything: bool, within: str = "true") -> list[tuple[Any, ...]]:
    """(account, rows of `changed_rows` that were listed, those that are gone)."""
    x = shape.name
    return scratch.rows(
        f"select {ACCOUNT}, count(*) filter (not gone), count(*) filter (gone) from ("
        f"select r.{ACCOUNT}, false as gone from {x}__now r{_unless_equal(shape, everything)} where ({within})"
        f" union all select {ACCOUNT}, true from {x}__whole semi join {x}__gone using (id)) group by all"
    )


def _unless_equal(shape: Shape, everything: bool) -> str:
    return "" if everything else f" anti join {shape.name}__stored s on s.id = r.id and s._hash = r._hash"


def history_rows(shape: Shape, columns: list[Column], within: str = "true") -> str:
    """SQL: the versions that the history does not hold yet, each chained to the one before.

    `version_key` hashes id, content and the version before, so a repeated load adds nothing, and a content that
    comes back is a version of its own.
    """
    names = ", ".join(f"r.{quote(name)}" for name in row_columns(shape, columns))
    x = shape.name
    hashed = content_hash(columns)
    # most ids have one version at most: no window over all rows for the few that have more
    single = (
        "select r.*, n.version as before, n.version_key as before_key,"
        " coalesce(n.version, 0) + 1 as version, 1 as place"
        f" from (select r.* from {x}__rows r anti join {x}__newest n on n.id = r.id and n.content_hash = r._hash"
        f" where {within}) r left join {x}__newest n using (id) anti join {x}__unkept u on u.id = r.id"
    )
    several = (
        f"with seen as (select r.*, 1 as step from {x}__rows r semi join {x}__unkept using (id) where {within}"
        f" union all by name select r.*, 0 as step from {x}__whole r semi join {x}__unkept using (id)"
        f" union all by name select r.*, 1 as step from {x}__whole r semi join {x}__lost using (id)"
        f" union all by name select * exclude (_hash), {hashed} as _hash, 2 as step from"
        f" (select * replace ({SEEN_AT} as {MISSING}) from {x}__whole semi join {x}__gone using (id))),"
        " fresh as (select r.*, n.version as before, n.version_key as before_key from seen r"
        f" left join {x}__newest n using (id) qualify r._hash is distinct from"
        " coalesce(lag(r._hash) over (partition by id order by step), n.content_hash))"
        " select * exclude (step), coalesce(before, 0) + row_number() over (partition by id order by step) as version,"
        " row_number() over (partition by id order by step) as place from fresh"
    )
    return (
        f"select {names}, md5(concat_ws('|', r.id, r._hash, coalesce(r.before_key, ''), r.place)) as version_key,"
        f" r.version, r._hash as content_hash, {SEEN_AT} as observed_at"
        f" from (({single}) union all by name ({several})) r"
    )


def unequal(scratch: Scratch, shape: Shape, account: str, within: str = "true") -> int:
    """How many delivered records of the account the warehouse does not hold in their last seen version."""
    x = shape.name
    return int(
        scratch.value(
            f"select count(*) from {x}__now r left join {x}__stored s using (id)"
            f" where r.{ACCOUNT} = ? and (s.id is null or s._hash <> r._hash) and ({within})",
            [account],
        )
    )


def repeated_ids(scratch: Scratch, shape: Shape) -> int:
    """How many rows the warehouse holds beyond one per id."""
    return int(scratch.value(f"select count(*) - count(distinct id) from {shape.name}__stored"))
