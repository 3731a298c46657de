"""Write what is made from the code: `make docs`.

From boast_source/models/schema.yml the models of the dbt package in dbt/, and the tables of docs/model.md between its
two markers; from the command line docs/commands.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml

from boast_source.commands.main import boast
from boast_source.models.schema import OWN, parsed
from boast_source.shapes import SEQUENCE_ENROLLMENTS, SHAPES

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "dbt" / "models"
COMMANDS = ROOT / "docs" / "commands.md"
PAGE = ROOT / "docs" / "model.md"
BEGIN, END = "<!-- Made from boast_source/models/schema.yml by `make docs`. -->\n", "<!-- End of what is made. -->\n"

HEAD = """\
# Made from boast_source/models/schema.yml by `make docs`.
"""
# where the connector loads to; a project says otherwise under `vars: boast:`
WHERE = {
    "schema": "{{ var('boast_schema', 'boast_data') }}",
    "database": "{{ var('boast_database', target.database) }}",
}
FRESHNESS = {
    "loaded_at_field": "finished_at",
    "config": {
        "freshness": {
            "warn_after": {"count": 26, "period": "hour"},
            "error_after": {"count": 50, "period": "hour"},
        }
    },
}


def package(document: dict[str, Any]) -> dict[str, str]:
    """Return the files of dbt/models: the sources, a staging model for each loaded table, a model for each view."""
    (own,) = [source for source in document["sources"] if source["name"] == OWN]
    staged = [entry for entry in own["tables"] if entry["name"] in {*SHAPES, f"{SEQUENCE_ENROLLMENTS.name}_history"}]
    source = own | WHERE | {"tables": [_fresh(entry) for entry in (*own["tables"], *document["models"])]}
    files = {"sources.yml": _written(sources=[source])}
    models = [{**_bare(entry), "name": f"stg_boast__{entry['name']}"} for entry in staged]
    files["staging/staging.yml"] = _written(models=models)
    for entry in staged:
        names = ",\n    ".join(column["name"] for column in entry["columns"])
        files[f"staging/stg_boast__{entry['name']}.sql"] = f"select\n    {names}\nfrom {_source(entry)}\n"
    files["marts/marts.yml"] = _written(models=[_bare(entry) for entry in document["models"]])
    for entry in document["models"]:
        files[f"marts/{entry['name']}.sql"] = f"select * from {_source(entry)}\n"
    return files


def _source(entry: dict[str, Any]) -> str:
    return f"{{{{ source('{OWN}', '{entry['name']}') }}}}"


def _bare(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry without its tests, which the source has."""
    columns = [{key: value for key, value in column.items() if key != "data_tests"} for column in entry["columns"]]
    return {"name": entry["name"], "description": entry["description"], "columns": columns}


def _written(**content: Any) -> str:
    return HEAD + yaml.safe_dump({"version": 2, **content}, sort_keys=False, allow_unicode=True, width=120)


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


def commands() -> str:
    """Return the help of every command, each under its own heading."""
    context = click.Context(boast, info_name="boast", terminal_width=100, **boast.context_settings)
    parts = ["# Commands\n\n<!-- Made from the command line by `make docs`. -->\n"]
    for name, command in boast.commands.items():
        inner = command.commands.items() if isinstance(command, click.Group) else ()
        for path, one in [(name, command), *((f"{name} {sub}", found) for sub, found in inner)]:
            own = click.Context(one, info_name=path, parent=context, terminal_width=100)
            parts.append(f"## boast {path}\n\n```text\n{one.get_help(own)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    for name, text in package(parsed()).items():
        (PACKAGE / name).parent.mkdir(parents=True, exist_ok=True)
        (PACKAGE / name).write_text(text, encoding="utf-8")
    PAGE.write_text(page(parsed(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    COMMANDS.write_text(commands(), encoding="utf-8")
