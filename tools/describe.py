"""Write what is made from boast_source/models/schema.yml: `make docs`.

The dbt sources in pipelines/dbt/sources.yml, and the tables of docs/model.md between its two markers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from boast_source.models.schema import OWN, parsed

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "pipelines" / "dbt" / "sources.yml"
PAGE = ROOT / "docs" / "model.md"
BEGIN, END = "<!-- Made from boast_source/models/schema.yml by `make docs`. -->\n", "<!-- End of what is made. -->\n"

HEAD = """\
# Everything that the connector loads and makes, as dbt sources: copy this file into your project's models/.
# `dbt source freshness` warns after a missed night. Made from boast_source/models/schema.yml by `make docs`.
"""
FRESHNESS = {
    "loaded_at_field": "finished_at",
    "config": {
        "freshness": {
            "warn_after": {"count": 26, "period": "hour"},
            "error_after": {"count": 50, "period": "hour"},
        }
    },
}


def sources(document: dict[str, Any]) -> str:
    """Return sources.yml: the connector's tables, and its views as tables beside them."""
    (own,) = [source for source in document["sources"] if source["name"] == OWN]
    tables = [_fresh(entry) for entry in (*own["tables"], *document["models"])]
    made = {"version": 2, "sources": [{**own, "tables": tables}]}
    return HEAD + yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=120)


def _fresh(entry: dict[str, Any]) -> dict[str, Any]:
    if entry["name"] != "good_runs":
        return entry
    return {"name": entry["name"], "description": entry["description"], **FRESHNESS, "columns": entry["columns"]}


def page(document: dict[str, Any], text: str) -> str:
    """Return the page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    own, yours = (source["tables"] for source in document["sources"])
    parts = [("Loaded tables", own), ("Views", document["models"]), ("Your table", yours)]
    made = "\n".join(f"## {title}\n\n" + "\n".join(map(_described, entries)) for title, entries in parts)
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def _described(entry: dict[str, Any]) -> str:
    kinds = {column["name"]: column["data_type"].replace("varchar", "text") for column in entry["columns"]}
    rows = "".join(f"| `{c['name']}` | {kinds[c['name']]} | {c['description']} |\n" for c in entry["columns"])
    return f"### {entry['name']}\n\n{entry['description']}\n\n| column | type | meaning |\n|---|---|---|\n{rows}"


if __name__ == "__main__":
    SOURCES.write_text(sources(parsed()), encoding="utf-8")
    PAGE.write_text(page(parsed(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
