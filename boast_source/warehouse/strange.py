"""A user's table or view under the name of one of ours: it is kept and reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boast_source.errors import DestinationError
from boast_source.warehouse.connection import columns_in

if TYPE_CHECKING:
    from collections.abc import Collection

    from boast_source.warehouse.connection import SqlClient


def strange(name: str, there: Collection[str], ours: Collection[str]) -> DestinationError | None:
    """Return an error if the table or view of that qualified name has less than half of our columns.

    `there`: its columns in lower case; empty: there is no such table.
    """
    if not there or len(set(ours).intersection(there)) * 2 >= len(ours):
        return None
    return DestinationError(
        f"{name} is your own table or view: it is kept, and the connector does not create its own of that name",
        hint="Rename yours, then run again.",
    )


def columns_of_ours(client: SqlClient, name: str, ours: Collection[str]) -> set[str]:
    """Return the columns of a table of ours, in lower case; empty if there is no such table.

    Raises DestinationError if a user's table has its name.
    """
    there = {column.lower() for column in columns_in(client, name)}
    if error := strange(name, there, ours):
        raise error
    return there
