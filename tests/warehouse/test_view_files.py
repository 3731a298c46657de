"""The files of the views: translated into other dialects, and what they read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import sqlglot

from boast_source import models
from boast_source.models.schema import relations
from boast_source.shapes import VIEWS
from boast_source.warehouse.dialect import translated

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.skipif(sqlglot.__version__.split(".")[0] != "30", reason="other versions of sqlglot write them otherwise")
@pytest.mark.parametrize("dialect", ["snowflake", "bigquery", "databricks"])
@pytest.mark.parametrize("name", VIEWS)
def test_the_translations_are_those_that_were_looked_at(name, dialect):
    """`BOAST_GOLDEN=1 pytest tests/warehouse/test_view_files.py` writes them anew: then look at the difference."""
    sql = translated(models.written(name, relations(), "UTC"), dialect) + "\n"
    file = GOLDEN / f"{name}.{dialect}.sql"
    if os.environ.get("BOAST_GOLDEN"):
        file.write_text(sql)
    assert sql == file.read_text()


def test_every_view_has_its_file_and_its_name_in_the_contract():
    files = {file.stem for file in Path(models.__file__).parent.glob("*.sql")}
    assert files == set(VIEWS)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_reads_tables_and_the_views_above_it_and_calls_nothing_else_like_one(name):
    above = {*relations()} - {*VIEWS[VIEWS.index(name) :]}
    query = sqlglot.parse_one(models.text(name), read="duckdb")
    ctes = {cte.alias for cte in query.find_all(sqlglot.exp.CTE)}
    assert not ctes & relations().keys()
    read = {table.name for table in query.find_all(sqlglot.exp.Table)} - ctes
    assert read <= above
    renamed = models.renamed(models.text(name), relations(), "placed_{}".format)
    renamed_tables = {table.name for table in sqlglot.parse_one(renamed, read="duckdb").find_all(sqlglot.exp.Table)}
    assert renamed_tables - ctes == {f"placed_{table}" for table in read}
    over_nothing = sqlglot.parse_one(models.written(name, (), "UTC"), read="duckdb")
    assert {cte.alias for cte in over_nothing.find_all(sqlglot.exp.CTE)} == ctes | read - set(VIEWS)
