"""The warehouse's catalogue: everything in the dataset, by one query, for warehouses whose catalogue we know.

With it a load detects that its views are unchanged and skips them: creating and commenting on them takes longer than
all its other statements.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boast_source.errors import DestinationError
from boast_source.models import as_of
from boast_source.shapes import VIEWS
from boast_source.warehouse import SqlClient, Warehouse, columns_in, explained
from boast_source.warehouse.sql import queries

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


FILE = "boast_views"  # in the pipeline's working folder
QUERIES = queries("boast_source.warehouse", "catalog.sql")


def rows(client: SqlClient) -> Sequence[Sequence[Any]] | None:
    """Return all tables, views and columns of the dataset; None: the warehouse has no catalogue that we know.

    Raises what the destination raises.
    """
    query = QUERIES.get(str(client.capabilities.sqlglot_dialect))
    name = client.make_qualified_table_name_path(None, quote=False)[-1]  # as the warehouse spells it
    return None if query is None else client.execute_sql(query, *[name] * 3) or ()


def columns(client: SqlClient, names: Collection[str]) -> dict[str, list[str]]:
    """Return the columns, in lower case, of the tables and views that exist and can be read, by name.

    Raises DestinationError for a table that cannot be read.
    """
    found: dict[str, list[str]] = {name: [] for name in names}
    with explained():
        known = rows(client)
    if known is None:
        for name in names:
            with contextlib.suppress(DestinationError) if name in VIEWS else contextlib.nullcontext(), explained():
                found[name] = [column.lower() for column in columns_in(client, client.make_qualified_table_name(name))]
    for table, column, *_ in known or ():
        if column and table in found:
            found[table].append(column.lower())
    return {name: there for name, there in found.items() if there}


def fingerprint(client: SqlClient, *made_of: str) -> str | None:
    """Return a hash of everything in the dataset and of its sources `made_of`; None: we do not know its catalogue."""
    known = rows(client)
    if known is None:
        return None
    ordered = sorted(known, key=lambda row: (row[0], row[1] or ""))
    texts = [client.fully_qualified_dataset_name(), *made_of, *([str(value) for value in row] for row in ordered)]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def is_as_left(warehouse: Warehouse, *made_of: str) -> bool:
    """Return whether everything is as this pipeline left it (`leave`)."""
    try:
        left = _file(warehouse).read_text(errors="replace")
    except OSError:
        return False
    return left == fingerprint(warehouse.client, *made_of) and as_of.stands(warehouse.client)


def leave(warehouse: Warehouse, *made_of: str) -> None:
    """Store the fingerprint. If it cannot be written, the next run creates the views again."""
    with contextlib.suppress(OSError):
        _file(warehouse).write_text(fingerprint(warehouse.client, *made_of) or "")


def _file(warehouse: Warehouse) -> Path:
    return Path(warehouse.pipeline.working_dir) / FILE
