"""Named queries from a file: one home for each statement, placeholders filled once."""

from __future__ import annotations

import sys

import pytest

from boast_source.warehouse.sql import filled, queries


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `desk` that holds a file `queries.sql`."""
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    queries.cache_clear()
    yield (tmp_path / "desk" / "queries.sql").write_text
    sys.modules.pop("desk", None)


def test_a_query_is_found_by_its_name_with_its_comment(package):
    package("-- The file.\n\n-- first --\n-- What it says.\nselect 1;\n\n-- second --\nselect 2\n")
    assert queries("desk", "queries.sql") == {"first": "-- What it says.\nselect 1;", "second": "select 2"}


def test_a_name_that_comes_twice_is_refused(package):
    package("-- a --\nselect 1\n-- a --\nselect 2\n")
    with pytest.raises(ValueError, match="twice"):
        queries("desk", "queries.sql")


def test_a_value_that_looks_like_a_placeholder_stays_as_it_is():
    assert filled("select {columns} from {table}", columns="'{table}'", table="t") == "select '{table}' from t"


def test_a_placeholder_without_a_value_is_refused():
    with pytest.raises(KeyError):
        filled("select {columns}")
