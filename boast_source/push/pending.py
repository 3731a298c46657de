"""The user's table of pending enrollments: only read, never changed, whatever its types and its spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boast_source import warehouse
from boast_source.errors import ConfigurationError
from boast_source.warehouse.dialect import text_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from boast_source.warehouse import SqlClient

REQUIRED = ("contact_id", "sequence_id")
OPTIONAL = ("request_id", "account_id", "action", "enrollment_id", "requested_at")
COLUMNS = (*REQUIRED, *OPTIONAL)

_DDL = """create table {name} (
    request_id text, account_id text, contact_id text, sequence_id text,
    action text, enrollment_id text, requested_at timestamp
)"""


def ddl(name: str) -> str:
    """Return the statement that makes an empty pending table of this name."""
    return _DDL.format(name=name)


def is_there(client: SqlClient, table: str) -> bool:
    """Whether there is a table or view of that name; nobody has to push."""
    with warehouse.explained():
        return bool(warehouse.columns_in(client, _qualified(client, table)))


def _qualified(client: SqlClient, table: str) -> str:
    parts = [part.strip().strip('"') for part in table.split(".")]
    if len(parts) == 1:
        return client.make_qualified_table_name(parts[0])
    return ".".join(client.escape_column_name(part) for part in parts)


class Pending:
    """The table or view `table`: a name in the dataset, or `schema.name`.

    Raises ConfigurationError, with the DDL that would make it right, when it or one of its columns is missing.
    """

    def __init__(self, client: SqlClient, table: str) -> None:
        self._client = client
        self._name = _qualified(client, table)
        with warehouse.explained():
            self._there = {column.lower(): column for column in warehouse.columns_in(client, self._name)}
        if not self._there:
            raise ConfigurationError(
                f"There is no table or view {self._name} with pending enrollments",
                hint="Make it, or name yours with --pending or sources.boast.push.pending_table. "
                f"All columns but contact_id and sequence_id may be left out: {ddl(self._name)}",
            )
        missing = [column for column in REQUIRED if column not in self._there]
        if missing:
            added = "; ".join(f"alter table {self._name} add column {column} text" for column in missing)
            raise ConfigurationError(f"{self._name} has no column {' and no column '.join(missing)}", hint=f"{added}.")

    def batches(self) -> Iterator[pa.Table]:
        """All rows: COLUMNS as text, null where the table has no such column."""
        dialect = self._client.capabilities.sqlglot_dialect
        text = text_type(dialect)
        selected = ", ".join(
            f"cast({self._client.escape_column_name(self._there[c], casefold=False)} as {text}) as {c}"
            if c in self._there
            else f"cast(null as {text}) as {c}"
            for c in COLUMNS
        )
        with warehouse.explained():
            yield from warehouse.batches(self._client, f"select {selected} from {self._name}", COLUMNS)
