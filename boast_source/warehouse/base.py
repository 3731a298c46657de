"""The warehouse of one run: one object, opened once and passed on. This class fits any SQL destination of dlt. What a
kind of warehouse does differently, or can do in addition, is in its subclass (duckdb.py, postgres.py, delta.py,
iceberg.py; pipeline.py chooses).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, get_args

import orjson
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from boast_source.errors import ConfigurationError
from boast_source.shapes import Kind
from boast_source.warehouse import dropped, memory, rights
from boast_source.warehouse.arrow import READ, quote
from boast_source.warehouse.connection import Connected, SqlClient, columns_in, columns_of_ours, interruptible
from boast_source.warehouse.dialect import moment, text_literal, translated
from boast_source.warehouse.errors import explained
from boast_source.warehouse.parts import parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa


class Warehouse(Connected):
    """Where a run's data goes."""

    has_unique_indexes = False

    def read(
        self,
        table: str,
        columns: Sequence[str],
        *,
        newest_by: tuple[str, str] | None = None,
        ids: Collection[str] | None = None,
        above: tuple[str, datetime] | None = None,
        without: str | None = None,
        in_duckdb: Callable[[str, Sequence[str]], str | None] | None = None,
    ) -> Iterator[pa.Table]:
        """Yield the table's rows in batches, with those of `columns` that it has; nothing if there is no such table.

        `newest_by=(key, order)`: only the row with the highest `order` of each `key`. `ids`, `above=(column, moment)`:
        only these rows are needed, but more may come; `without`: not the rows whose id this other table has. Typed
        values may come as text if that is faster. `in_duckdb(name, columns)` may return another query, for DuckDB only.

        Raises DestinationError when the connection is lost.
        """
        with explained(f"{table}, {without}" if without else table), self.session() as client:
            if client is None:
                return
            name = client.make_qualified_table_name(table)
            there = columns_in(client, name)
            wanted = [column for column in columns if client.capabilities.casefold_identifier(column) in there]
            if not wanted:
                return
            names = ", ".join(client.escape_column_name(column) for column in wanted)
            other = client.make_qualified_table_name(without) if without else ""
            other = other if other and columns_in(client, other) else ""
            for source in parts_of(client, name, wanted, newest_by, ids, above, other):
                sql = f"select {names} from {source}"
                if newest_by:
                    key, order = (client.escape_column_name(column) for column in newest_by)
                    place = f"row_number() over (partition by {key} order by {order} desc) as place"
                    sql = f"select {names} from (select {names}, {place} from {source}) ranked where place = 1"
                if in_duckdb and client.capabilities.sqlglot_dialect == "duckdb":
                    sql = in_duckdb(source, wanted) or sql
                yield from self._rows(client, sql, wanted)

    def batches(self, sql: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the rows of a query, whose columns have these names, over the open connection."""
        yield from self._rows(self.client, sql, columns)

    def _rows(self, client: SqlClient, sql: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the rows of a query in the destination's fastest way."""
        with interruptible(client), client.execute_query(sql) as cursor:
            yield from cursor.iter_arrow(READ)

    def count_present(self, table: str, account: str) -> int:
        """Return how many rows of an account are not marked missing. Raises DestinationError."""
        with explained(table), self.session() as client:
            name = client.make_qualified_table_name(table) if client else ""
            if client is None or not columns_in(client, name):
                return 0
            owner, missing = (client.escape_column_name(column) for column in ("account_id", "missing_since"))
            rows = client.execute_sql(f"select count(*) from {name} where {owner} = %s and {missing} is null", account)
            return int(rows[0][0]) if rows else 0

    def count_repeated(self, table: str, key: str) -> int:
        """Return how many values of a key occur in more than one row. Raises DestinationError."""
        with explained(table), self.session() as client:
            name = client.make_qualified_table_name(table) if client else ""
            if client is None or key not in map(str.lower, columns_in(client, name)):
                return 0
            repeated = f"select {key} from {name} group by {key} having count(*) > 1"
            rows = client.execute_sql(f"select count(*) from ({repeated}) as repeated")
            return int(rows[0][0]) if rows else 0

    def sum_in_duckdb(
        self,
        table: str,
        sql: Callable[[str, list[str]], str | None],
        newest_by: tuple[str, str] | None = None,
    ) -> tuple[int, ...] | None:
        """Return the sums of a query's row over the parts of a table (see `read`), made from a part and the columns.
        None without a query or a table, or where DuckDB does not read the warehouse. Raises DestinationError.
        """
        with explained(table), self.session() as client:
            if client is None or client.capabilities.sqlglot_dialect != "duckdb":
                return None
            name = client.make_qualified_table_name(table)
            there = columns_in(client, name)
            if not there or sql(name, there) is None:
                return None
            parts = parts_of(client, name, there, newest_by, None, None, "")
            rows = [(client.execute_sql(sql(part, there) or "") or [()])[0] for part in parts]
            return tuple(map(sum, zip(*rows, strict=True)))

    def count_since(self, table: str, column: str, moment: datetime) -> int | None:
        """Return how many rows have a time at or after a moment; None if it cannot be told. Raises DestinationError."""
        with explained(table), self.session() as client:
            if client is None or client.capabilities.sqlglot_dialect not in {"duckdb", "postgres"}:
                return None
            name, since = client.make_qualified_table_name(table), text_literal(moment.isoformat(), "postgres")
            sql = f"select count(*) from {name} where cast({column} as timestamptz) >= cast({since} as timestamptz)"
            rows = client.execute_sql(sql)
            return int(rows[0][0]) if rows else 0

    def put(
        self,
        table: str,
        types: Mapping[str, str],
        key: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        """Replace rows by key, all or none, in a table outside dlt's schema.

        `types`: the columns, as text, bigint or timestamptz. Raises what the destination raises.
        """
        with self.open(patience=0):
            if not self.has_sql:
                return
            client, name = self.client, self.own_table(table, types)
            names = ", ".join(client.escape_column_name(column) for column in types)
            marks = ", ".join(["%s"] * len(types))
            same = " and ".join(f"{column} = %s" for column in key)
            dialect = client.capabilities.sqlglot_dialect
            with client.begin_transaction():
                for row in rows:
                    client.execute_sql(f"delete from {name} where {same}", *[row.get(column) for column in key])
                    values = [
                        moment(row.get(column), dialect) if kind == "timestamptz" else row.get(column)
                        for column, kind in types.items()
                    ]
                    client.execute_sql(f"insert into {name} ({names}) values ({marks})", *values)

    def own_table(self, table: str, types: Mapping[str, str]) -> str:
        """Create a table outside dlt's schema, or the columns that it lacks; return its qualified name.

        Raises DestinationError if the name belongs to a user's table.
        """
        client = self.client
        name = client.make_qualified_table_name(table)
        itself = ".".join(map(quote, client.make_qualified_table_name_path(table, quote=False)))
        with self.migrating():
            if not client.has_dataset():
                client.create_dataset()
            columns = ", ".join(f"{column} {kind}" for column, kind in types.items())
            statements = [f"create table if not exists {itself} ({columns})"]
            there = columns_of_ours(client, name, types) or types.keys()
            lacking = [column for column in types if column not in there]
            statements += [f"alter table {itself} add column {column} {types[column]}" for column in lacking]
            for sql in statements:
                client.execute_sql(translated(sql, client.capabilities.sqlglot_dialect))
        return name

    def kinds(self, table: str) -> dict[str, Kind]:
        """Return the kinds of the table's columns; empty if there is no such table."""
        return kinds_of(self._stored_columns(table))

    def may_replace(self, table: str) -> bool:
        """Whether whole rows may be replaced: no column has a type that we never write, which would be a user's."""
        columns = self._stored_columns(table)
        return all(name.startswith("_dlt") for name in columns.keys() - kinds_of(columns).keys())

    def _stored_columns(self, table: str) -> dict[str, Any]:
        if not hasattr(self.dlts, "get_storage_table"):
            return {}
        with self.asking() as client:
            _, columns = client.get_storage_table(table)
            return {name.lower(): column for name, column in columns.items()}

    def stored_schema(self, name: str) -> dict[str, Any]:
        """Return, by name, the tables of dlt's schema as the last pipeline stored it; empty if none is stored."""
        if not hasattr(self.dlts, "get_stored_schema"):
            return {}
        with contextlib.suppress(DestinationUndefinedEntity), self.asking() as client:
            stored = client.get_stored_schema(name)
            tables: dict[str, Any] = orjson.loads(stored.schema)["tables"] if stored else {}
            return tables
        return {}

    def merging(self, preferred: str, *, replaced: int = 0) -> dict[str, Any]:
        """Return dlt's hints to merge by key: as preferred if the destination can, else with `delete-insert`.

        `replaced`: how many whole rows it may replace.
        """
        strategies = self.pipeline.destination.capabilities().supported_merge_strategies
        strategy = preferred if strategies is None or preferred in strategies else "delete-insert"
        return {"write_disposition": {"disposition": "merge", "strategy": strategy}}

    def tidy(self, before: datetime) -> None:
        """Free space in a warehouse without SQL, and delete `runs` that began before a moment."""

    def make_again(self) -> list[str]:
        """Recreate tables and columns that somebody dropped; return their names. Raises what dlt raises."""
        return dropped.make_again(self)

    @contextlib.contextmanager
    def bounded(self, megabytes: int = memory.LEAST) -> Iterator[None]:
        """Bound the memory of a warehouse that lives in this process."""
        yield

    def limit_memory(self, megabytes: int) -> None:
        """Set another bound, inside `bounded`."""

    @contextlib.contextmanager
    def only_read(self, megabytes: int) -> Iterator[None]:
        """Half the bound while the warehouse is only read and the scratch index needs its own; then `megabytes`."""
        self.limit_memory(megabytes // 2)
        yield
        self.limit_memory(megabytes)

    @contextlib.contextmanager
    def migrating(self) -> Iterator[None]:
        """Let one process at a time create or alter tables, where two that create the same one would fail."""
        yield

    def lock_accounts(self, accounts: Sequence[str] | None) -> None:
        """Exclude every other run over one of these accounts (None: all), wherever it runs, while this is open.

        If the warehouse has no such lock, only the machine's lock (runs.lock) applies.

        Raises LockedError when another run holds one of them.
        """

    def lock_sender(self, *, single_sender: bool) -> None:
        """Exclude every other push into the dataset while this is open. `single_sender`: the user says there is none.

        Raises ConfigurationError if nothing excludes a second sender, LockedError if there is one.
        """
        if not single_sender:
            raise ConfigurationError(
                "This warehouse cannot exclude a second push at the same time, and two would enroll people twice",
                hint="Make sure that only one push runs at a time, on one machine, then set"
                " sources.boast.push.single_sender = true.",
            )

    def ask_rights(self, tables: Sequence[str]) -> None:
        """Check whether a load may write, and create and alter `tables` (ours), if the warehouse can tell.

        Raises DestinationError with the statements for an administrator to run.
        """
        if self.has_sql and self.client.capabilities.sqlglot_dialect == "mysql":
            rights.ask_mariadb(self.client)


def kinds_of(columns: dict[str, Any]) -> dict[str, Kind]:
    """Return the kinds of a table's columns in dlt's schema, without those of a type that we never write."""
    types = {name: column.get("data_type") for name, column in columns.items()}
    return {name: kind for name, kind in types.items() if kind in get_args(Kind)}
