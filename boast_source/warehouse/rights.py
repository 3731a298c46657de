"""Checks the rights that a load needs in Postgres and MariaDB, before it begins: `boast check`.

Source: PostgreSQL documentation, Access Privilege Inquiry Functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlt.destinations.exceptions import DatabaseException

from boast_source.errors import DestinationError
from boast_source.warehouse.errors import words_of
from boast_source.warehouse.sql import queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boast_source.warehouse.connection import SqlClient

_SQL = queries(__package__, "rights.sql")


def ask(client: SqlClient, tables: Sequence[str]) -> None:
    """Check whether the role may write, and create and alter `tables` (ours).

    Raises DestinationError with the statements for an administrator to run.
    """
    ((role, database, is_replica, is_read_only, may_create),) = client.execute_sql(_SQL["role"]) or ()
    quoted = client.escape_column_name(role, casefold=False)
    if is_replica:
        raise DestinationError("The server is a read-only replica", hint="Point the destination at the primary server.")
    if is_read_only:
        raise DestinationError(
            f"The role {role} may only read", hint=f"Run: alter role {quoted} set default_transaction_read_only = off;"
        )
    statements: list[str] = []
    for staging in (False, True):
        name = client.fully_qualified_dataset_name(quote=False, staging=staging)  # as it is spelled there
        schema = client.escape_column_name(name, casefold=False)
        found = client.execute_sql(_SQL["of_schema"], name)
        if not found and not may_create:
            statements.append(f"create schema {schema} authorization {quoted};")
        elif found and not found[0][0]:
            statements.append(f"grant usage, create on schema {schema} to {quoted};")
        elif found:
            for relation, kind in client.execute_sql(_SQL["of_others"], name, list(tables)) or ():
                what = f"{'view' if kind == 'v' else 'table'} {schema}.{client.escape_column_name(relation)}"
                statements.append(f"alter {what} owner to {quoted};")
    if statements:
        raise DestinationError(
            f"The role {role} may not do in the database {database} what a load needs",
            hint=f"Let an administrator run: {' '.join(statements)}",
        )


def ask_mariadb(client: SqlClient) -> None:
    """Check whether the user may change the dataset's databases: even dropping a missing table needs the right.

    Raises DestinationError with the statements for an administrator to run.
    """
    refused, said = [], ""
    for name in (client.dataset_name, client.staging_dataset_name):
        schema = client.escape_column_name(name)
        try:
            client.execute_sql(f"drop table if exists {schema}.boast_check")
        except DatabaseException as error:
            refused.append(f"grant all on {schema}.* to the user;")
            said = words_of(error)
    if refused:
        raise DestinationError(
            f"The user may not do in MariaDB what a load needs: {said}",
            hint=f"Let an administrator run: {' '.join(refused)}",
        )
