"""Read schema.yml: the description of every table, view and column, and the types.

The file is in dbt's format. The source `boast` and the models are the connector's own; the source `yours` is what it
only reads.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN = "boast"  # the source of the connector's own tables
_REFERENCE = re.compile(r": (\w+)\.(\w+)")


@dataclass(frozen=True)
class Column:
    """A column: its DuckDB type and its description."""

    data_type: str
    description: str


@dataclass(frozen=True)
class Relation:
    """A table or view. `columns`: by name, in order."""

    description: str
    columns: Mapping[str, Column]
    is_view: bool = False

    @property
    def references(self) -> list[dict[str, Any]]:
        """The references to other tables, in dlt's form: columns whose descriptions name `table.column`.

        One per table: dlt does not keep a second.
        """
        found: dict[str, dict[str, Any]] = {}
        for name, column in self.columns.items():
            for table, key in _REFERENCE.findall(column.description):
                if table in relations() and key in relations()[table].columns:
                    reference = {"columns": [name], "referenced_table": table, "referenced_columns": [key]}
                    found.setdefault(table, reference)
        return list(found.values())


@functools.cache
def relations() -> dict[str, Relation]:
    """Return the connector's own tables and views by name."""
    document = parsed()
    tables = next(source["tables"] for source in document["sources"] if source["name"] == OWN)
    return {
        entry["name"]: Relation(
            entry["description"],
            {column["name"]: Column(column["data_type"], column["description"]) for column in entry["columns"]},
            is_view,
        )
        for entries, is_view in ((tables, False), (document["models"], True))
        for entry in entries
    }


def parsed() -> dict[str, Any]:
    """Return the parsed file. The fast loader needs libyaml, which PyYAML's wheels include."""
    import yaml  # noqa: PLC0415 -- only what reads the warehouse pays for it

    found: dict[str, Any] = yaml.load(text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 -- both are safe
    return found


def text() -> str:
    """Return the file's text."""
    return (resources.files(__package__) / "schema.yml").read_text(encoding="utf-8")
