"""models/schema.yml describes everything once, and what is made from it is current."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import yaml

from boast_source.models.schema import parsed, relations
from boast_source.push import ledger
from boast_source.push.pending import COLUMNS
from boast_source.runs import record
from boast_source.shapes import VIEWS
from tools import describe


def entries():
    document = parsed()
    return [table for source in document["sources"] for table in source["tables"]] + document["models"]


def test_every_table_view_and_column_is_described_once_in_a_sentence():
    assert len({entry["name"] for entry in entries()}) == len(entries())
    for entry in entries():
        names = [column["name"] for column in entry["columns"]]
        assert len(set(names)) == len(names) > 0, entry["name"]
        for one in (entry, *entry["columns"]):
            assert one["description"].endswith("."), (entry["name"], one["name"])
            assert "\n" not in one["description"], (entry["name"], one["name"])


def test_every_view_is_a_model():
    assert [name for name, relation in relations().items() if relation.is_view] == list(VIEWS)


@pytest.mark.parametrize(
    ("table", "made_with", "types"),
    [("runs", record.Run, record._TYPES), ("push_ledger", ledger.Event, ledger.TYPES)],
)
def test_what_a_row_of_ours_is_made_with_is_what_is_stored_and_described(table, made_with, types):
    fields = {field.name for field in dataclasses.fields(made_with)}
    described = set(relations()[table].columns)
    assert sorted(fields ^ set(types)) == [], "in the class or in its types alone"
    assert sorted(described ^ set(types)) == [], "in models/schema.yml or in the types alone"


def test_the_users_table_is_described_as_it_is_read_and_is_none_of_ours():
    (yours,) = [entry for entry in entries() if entry["name"] == "pending_enrollments"]
    assert {column["name"] for column in yours["columns"]} == set(COLUMNS)
    assert "pending_enrollments" not in relations()


def test_the_dbt_package_and_the_page_are_those_that_make_docs_writes():
    text = describe.PAGE.read_text(encoding="utf-8")
    assert describe.page(parsed(), text) == text
    assert describe.commands() == describe.COMMANDS.read_text(encoding="utf-8")
    written = {str(path.relative_to(describe.PACKAGE)): path.read_text() for path in describe.PACKAGE.rglob("*.*")}
    assert {name for name in written if name != "exposures.yml"} == set(describe.package(parsed()))
    assert describe.package(parsed()).items() <= written.items()


def test_the_dbt_package_declares_every_table_and_view_of_ours():
    (source,) = yaml.safe_load(describe.package(parsed())["sources.yml"])["sources"]
    assert [table["name"] for table in source["tables"]] == list(relations())


def test_the_command_line_starts_without_reading_it():
    code = "import sys, boast_source.commands.main; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
