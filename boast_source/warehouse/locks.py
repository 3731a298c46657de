"""What keeps runs side by side from each other's way, where the warehouse can: accounts, the sender, migrations."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from boast_source.errors import ConfigurationError, DestinationError, LockedError
from boast_source.warehouse.base import is_file, is_postgres
from boast_source.warehouse.errors import explained, is_lost

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from boast_source.warehouse.base import SqlClient


@contextlib.contextmanager
def migrating(client: SqlClient) -> Iterator[None]:
    """On Postgres, one process at a time creates or alters tables: two that create the same table fail."""
    if not is_postgres(client):
        yield
        return
    from boast_source.warehouse import postgres

    with postgres.migrating(client):
        yield


def lock_accounts(client: SqlClient | None, accounts: Sequence[str] | None) -> None:
    """On Postgres, exclude every other run over one of these accounts (None: all), wherever it runs.

    The lock lives as long as the client's connection. A DuckDB file is its own lock; other warehouses have none, so
    there the lock of the machine (runs.lock) must do.

    Raises LockedError when another run holds one of them.
    """
    if client is None or not is_postgres(client):
        return
    from boast_source.warehouse import postgres

    with explained():
        taken = postgres.taken_account(client, accounts)
    if taken:
        raise LockedError(
            f"Another run loads {taken} into the dataset {client.dataset_name}",
            hint="Wait until it ends; a scheduler may simply skip this run.",
        )


def lock_sender(client: SqlClient, *, single_sender: bool) -> None:
    """Exclude every other push into the dataset, for as long as the client's connection lives.

    A DuckDB file has one writer. Postgres has a lock. Elsewhere the user must say that there is only one sender.

    Raises ConfigurationError when nothing excludes a second sender, LockedError when there is one.
    """
    if client.capabilities.sqlglot_dialect == "duckdb" and is_file(client):
        return
    if not is_postgres(client):
        if not single_sender:
            raise ConfigurationError(
                "This warehouse cannot exclude a second push at the same time, and two would enroll people twice",
                hint="Make sure that only one push runs at a time, on one machine, then set"
                " sources.boast.push.single_sender = true.",
            )
        return
    from boast_source.warehouse import postgres

    with explained():
        alone = postgres.is_only_sender(client)
    if not alone:
        raise LockedError(
            f"Another push is running into the dataset {client.dataset_name}",
            hint="Wait until it ends; a scheduler may simply skip this run.",
        )


def awake(client: SqlClient) -> None:
    """Make sure that the connection lives: a server or a NAT may have dropped it while it was idle.

    A new one takes the locks of the old again. Raises DestinationError when it cannot.
    """
    with explained():
        try:
            client.execute_sql("select 1")
        except DestinationError:  # it has connected anew, and another run has its locks
            raise
        except Exception as error:
            if not is_lost(error):
                raise
            client.execute_sql("select 1")  # dlt has connected anew
