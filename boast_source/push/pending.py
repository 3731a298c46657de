"""The user's table or view of pending enrollments. It is only read, as text, whatever its column types."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from boast_source.errors import ConfigurationError, PendingError
from boast_source.warehouse import SqlClient, Warehouse, columns_in, explained, is_lost, is_of_destination, words_of
from boast_source.warehouse.dialect import text_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


REQUIRED = ("contact_id", "sequence_id")
OPTIONAL = ("request_id", "account_id", "action", "enrollment_id", "requested_at")
PERSON = ("email", "mobile_phone", "sequence_name")  # in place of the ids
COLUMNS = (*REQUIRED, *OPTIONAL, *PERSON)

_DDL = """create table {name} (
    request_id text, account_id text, contact_id text, sequence_id text,
    action text, enrollment_id text, requested_at timestamp
)"""
_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^".\s](?:[^".]*[^".\s])?))\s*(?:\.|$)')


def ddl(name: str) -> str:
    """Return the statement that creates an empty pending table of this name."""
    return _DDL.format(name=name)


def is_there(client: SqlClient, table: str) -> bool:
    """Return whether a table or view of that name exists, even if it cannot be read."""
    try:
        return bool(_find(client, table)[1])
    except PendingError:
        return True


class Pending:
    """The table or view `table`: a name in the dataset, `schema.name` or `catalog.schema.name`. A part that has dots
    or case-sensitive letters is quoted.

    Raises ConfigurationError when a required column is missing or the name cannot be parsed, PendingError when the
    table does not exist or cannot be read. The hint contains the DDL for what is missing.
    """

    def __init__(self, warehouse: Warehouse, table: str) -> None:
        self._warehouse, self._client = warehouse, warehouse.client
        self.name, columns = _find(self._client, table)
        self._there = {column.lower(): column for column in columns}
        if not self._there:
            raise PendingError(
                f"There is no table or view {self.name} with pending enrollments",
                hint="Make it, or name yours with --pending or sources.boast.push.pending_table. "
                f"All columns but contact_id and sequence_id may be left out: {ddl(self.name)}",
            )
        instead = {"contact_id": PERSON[:2], "sequence_id": PERSON[2:]}
        missing = [c for c in REQUIRED if c not in self._there and not self._there.keys() & set(instead[c])]
        if missing:
            added = "; ".join(f"alter table {self.name} add column {column} text" for column in missing)
            raise ConfigurationError(f"{self.name} has no column {' and no column '.join(missing)}", hint=f"{added}.")

    @property
    def by_person(self) -> bool:
        """Whether rows may name contacts by an address, or sequences by a name."""
        return bool(self._there.keys() & set(PERSON))

    def batches(self) -> Iterator[pa.Table]:
        """Yield all rows in batches: COLUMNS as text, null for a missing column. Raises PendingError."""
        dialect = self._client.capabilities.sqlglot_dialect
        text = text_type(dialect)
        selected = ", ".join(
            f"cast({self._client.escape_column_name(self._there[c], casefold=False)} as {text}) as {c}"
            if c in self._there
            else f"cast(null as {text}) as {c}"
            for c in COLUMNS
        )
        with _told_as_the_users(self.name):
            yield from self._warehouse.batches(f"select {selected} from {self.name}", COLUMNS)


def _find(client: SqlClient, table: str) -> tuple[str, list[str]]:
    """Return the qualified name and the columns (none: no such table). Fold the name's case first, then try it as is.

    Raises PendingError when the table exists but cannot be read.
    """
    parts = _parts(table)
    names = list(dict.fromkeys(_qualified(client, parts, folded=folded) for folded in (True, False)))
    for name in names:
        with _told_as_the_users(name):
            if columns := columns_in(client, name):
                return name, columns
    for name in names:  # it does not exist, or is a view whose own tables are missing
        if _is_in_catalog(client, parts):
            raise _unreadable(name, "a table or column that it reads is missing")
    return names[0], []


def _parts(table: str) -> list[tuple[str, bool]]:
    """Return the parts of a name, each with whether it is quoted. Raises ConfigurationError."""
    parts, end = [], 0
    while match := _PART.match(table, end):
        quoted, plain = match.groups()
        parts.append((quoted.replace('""', '"'), True) if quoted else (plain, False))
        end = match.end()
    if not parts or end < len(table) or table.rstrip().endswith("."):
        raise ConfigurationError(
            "The name of the pending table cannot be read",
            hint='Give name, schema.name or catalog.schema.name, with quotes around a part that has dots: "a.b".',
        )
    return parts


def _qualified(client: SqlClient, parts: list[tuple[str, bool]], *, folded: bool) -> str:
    names = [client.escape_column_name(part, casefold=folded and not quoted) for part, quoted in parts]
    if len(names) == 1:
        names = [client.fully_qualified_dataset_name(), *names]
    return ".".join(names)


def _is_in_catalog(client: SqlClient, parts: list[tuple[str, bool]]) -> bool:
    schema = parts[-2][0] if len(parts) > 1 else client.dataset_name
    sql = "select 1 from information_schema.tables where lower(table_name) = %s and lower(table_schema) = %s"
    with contextlib.suppress(Exception):  # not every warehouse has such a catalog
        return bool(client.execute_sql(sql, parts[-1][0].lower(), schema.lower()))
    return False


@contextlib.contextmanager
def _told_as_the_users(name: str) -> Iterator[None]:
    """Turn the warehouse's errors about the user's view into a PendingError without row values."""
    try:
        yield
    except Exception as error:
        if not is_of_destination(error) or is_lost(error):
            with explained():
                raise
        raise _unreadable(name, words_of(error)) from None


def _unreadable(name: str, why: str) -> PendingError:
    return PendingError(
        f"Your table or view {name} cannot be read: {why}",
        hint=f"Run `select * from {name}` in the warehouse to see where, and correct it.",
    )
