"""docs/cookbook.md: each query runs on DuckDB and Postgres and has the answer that stands below it."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from pathlib import Path

import pytest

from boast_source.commands.demo import DAYS, PENDING
from boast_source.warehouse.pipeline import warehouse_for

PAGE = Path(__file__).parents[2] / "docs" / "cookbook.md"
RECIPE = re.compile(r"```sql\n(?P<query>[^`]*)```\n\n(?P<answer>(?:\|.*\n)+)")


@pytest.fixture(params=["duckdb", "postgres"])
def demonstrated(request, sandbox, workplace, monkeypatch):
    """A warehouse as `make demo` leaves it."""
    server = sandbox(enrollments=2000)
    workplace.use(server)
    if request.param == "postgres":
        workplace.env |= request.getfixturevalue("postgres").env
    for name, value in {**workplace.env, "DLT_DATA_DIR": str(workplace.folder / "state")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(workplace.folder)
    assert workplace.boast("load", "--destination", request.param).code == 0
    warehouse = warehouse_for(request.param, "boast_data")
    with warehouse.open(patience=5):
        warehouse.client.execute_sql(PENDING)
    server.control("POST", "advance", {"seconds": DAYS * 86_400})
    done = workplace.boast("nightly", "--new-ledger", "--destination", request.param)
    assert done.code == 0, done.err
    with warehouse.open(patience=5):
        client = warehouse.client
        client.execute_sql("use boast_data" if request.param == "duckdb" else "set search_path to boast_data")
        yield client


def said(value) -> str:
    if isinstance(value, (Decimal, float)):
        return f"{float(value):.10g}"
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def table(client, query: str) -> str:
    with client.execute_query(query) as cursor:
        names, rows = list(cursor.columns_schema), cursor.fetchall()
    lines = [names, ["---"] * len(names), *([said(value) for value in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("| --- ", "|---").replace("--- |", "---|")


def test_every_query_has_the_answer_below_it(demonstrated):
    """`BOAST_GOLDEN=1 pytest tests/warehouse/test_docs_cookbook.py -k duckdb` writes the answers: then look at them."""
    text = PAGE.read_text()
    recipes = list(RECIPE.finditer(text))
    assert len(recipes) == text.count("```sql") == 12
    answers = [table(demonstrated, recipe["query"]) for recipe in recipes]
    if os.environ.get("BOAST_GOLDEN"):
        found = iter(answers)
        PAGE.write_text(RECIPE.sub(lambda recipe: recipe[0].replace(recipe["answer"], next(found)), text))
    assert all(answer.count("\n") > 2 for answer in answers)
    assert answers == [recipe["answer"] for recipe in RECIPE.finditer(PAGE.read_text())]


def test_there_are_ten_questions():
    assert [int(n) for n in re.findall(r"^## (\d+)\.", PAGE.read_text(), re.MULTILINE)] == list(range(1, 11))
