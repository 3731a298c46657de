"""Pages to the letter: commands and queries run, grants hold."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import duckdb
import pytest

DOCS = Path(__file__).parents[2] / "docs"
OWN_TESTS = {"outgrow", "push", "schedule"}  # test_docs_push.py, test_docs_schedule.py
PAGES = sorted({page.stem for page in DOCS.glob("*.md") if "```console" in page.read_text("utf-8")} - OWN_TESTS)


def text(page):
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", text(page), flags=re.DOTALL | re.MULTILINE)


def lines(page, language):
    return [line.strip() for block in blocks(page, language) for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_runs(page, sandbox, workplace):
    workplace.use(sandbox(enrollments=40))
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute("create schema boast_data")
        connection.execute("create table boast_data.pending_enrollments (contact_id text, sequence_id text)")
    assert workplace.boast("nightly", "--new-ledger").code == 0
    for line in lines(page, "console"):
        program, *arguments = shlex.split(line)
        assert program == "boast"
        done = workplace.boast(*arguments)
        assert done.code == 0, (line, done.err)


def test_the_queries_of_the_pages_run(sandbox, workplace):
    workplace.use(sandbox(enrollments=40))
    assert workplace.boast("load").code == 0
    (runs,), (forget, _) = blocks("operate", "sql"), blocks("secure", "sql")
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        for statement in [*runs.split(";")[:-1], *forget.split(";")[:-1]]:
            connection.execute(statement)
        contact = connection.execute("select contact_id from boast_data.responses limit 1").fetchall()[0][0]
        for statement in forget.replace("the contact''s id", contact).split(";")[:-1]:
            connection.execute(statement)
    assert workplace.sql(f"select count(*) from boast_data.contacts where id = '{contact}'") == [(0,)]


def test_a_reader_on_postgres_reads_all_but_people(sandbox, workplace, postgres):
    workplace.use(sandbox(enrollments=40), **postgres.env)
    assert workplace.boast("load", "--destination", "postgres").code == 0
    postgres.sql(blocks("secure", "sql")[1])
    try:
        can = "select has_table_privilege('boast_reader', 'boast_data.{}', 'select')"
        names = ("sequence_enrollments", "sequence_performance", "contacts", "responses")
        assert [postgres.sql(can.format(name))[0][0] for name in names] == [True, True, False, False]
        assert workplace.boast("load", "--destination", "postgres").code == 0  # the views are made anew
        assert postgres.sql(can.format("sequence_performance")) == [(True,)]
    finally:
        postgres.sql("drop owned by boast_reader; drop role boast_reader")
