"""`as_of(moment)`: the newest versions known at a point in time, for warehouses with table functions."""

from __future__ import annotations

from boast_source.errors import DestinationError
from boast_source.logs import log
from boast_source.warehouse import SqlClient, explained

NAME = "as_of"
# by dialect: the statement that creates it from the view, and the one that drops it
CREATE = {
    "duckdb": """create or replace macro {name}(moment) as table
select * from {history}
where valid_from <= cast(moment as timestamptz) and (valid_to > cast(moment as timestamptz) or valid_to is null)""",
    "postgres": """create or replace function {name}(moment timestamptz) returns setof {history}
language sql stable as $$
select * from {history} where valid_from <= moment and (valid_to > moment or valid_to is null)
$$""",
}
DROP = {"postgres": "drop function if exists {name}(timestamptz)"}


def create(client: SqlClient) -> None:
    """Create or replace the function. If the warehouse refuses, log that and go on without it."""
    statement = CREATE.get(str(client.capabilities.sqlglot_dialect))
    if statement is None:
        return
    name, history = (client.make_qualified_table_name(each) for each in (NAME, "enrollment_history"))
    try:
        with explained():
            client.execute_sql(statement.format(name=name, history=history))
    except DestinationError as error:
        log.info("there is no function %s: %s", NAME, error.message)


def stands(client: SqlClient) -> bool:
    """Return whether the function exists; True if the warehouse cannot have it."""
    if client.capabilities.sqlglot_dialect not in CREATE:
        return True
    try:
        with explained():
            client.execute_sql(f"select 1 from {client.make_qualified_table_name(NAME)}(null) where 1 = 0")
    except DestinationError:
        return False
    return True


def drop(client: SqlClient) -> None:
    """Drop the function in warehouses where it blocks the drop of its view. Raises what the destination raises."""
    if statement := DROP.get(str(client.capabilities.sqlglot_dialect)):
        client.execute_sql(statement.format(name=client.make_qualified_table_name(NAME)))
