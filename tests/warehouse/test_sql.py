"""`boast sql`: a query on the warehouse, for people, spreadsheets and programs; read-only unless it is said."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import re
import subprocess
import sys

import pytest

from tests.support import mariadb
from tests.support.postgres import empty_database
from tests.support.python import STANDARD
from tests.support.warehouses import HERE
from tests.support.workplace import shared

COUNT = "select status, count(*) as n from sequence_enrollments group by 1 order by 1"


@pytest.fixture(params=["duckdb", "postgres"], scope="module")
def job(request, tmp_path_factory):
    """A workplace with a loaded warehouse, and the options that lead there. What a test adds has a name of its own."""
    with contextlib.ExitStack() as stack:
        workplace = stack.enter_context(shared(tmp_path_factory.mktemp("sql"), enrollments=40))
        if request.param == "postgres":
            workplace.env |= stack.enter_context(empty_database(request.getfixturevalue("_postgres_port"))).env
        workplace.into = ("--destination", request.param)
        assert workplace.boast("load", *workplace.into).code == 0
        yield workplace


def test_a_query_is_answered_as_a_table_as_csv_and_as_json(job):
    found = job.boast("sql", *job.into, "--json", COUNT).json
    assert found["columns"] == ["status", "n"]
    assert sum(row["n"] for row in found["rows"]) == 40
    header, *rows = csv.reader(io.StringIO(job.boast("sql", *job.into, "--csv", COUNT + ";").out))
    assert header == ["status", "n"]
    assert [(status, int(n)) for status, n in rows] == [(row["status"], row["n"]) for row in found["rows"]]
    shown = job.boast("sql", *job.into, COUNT).out.splitlines()
    assert shown[0].split() == ["status", "n"]
    assert [line.split() for line in shown[1:]] == rows


def test_the_query_may_come_from_stdin_and_name_the_dataset(job):
    done = subprocess.run(
        [sys.executable, "-m", "boast_source", "sql", *job.into, "--csv"],
        input="select count(*) as n from boast_data.enrollment_history",
        capture_output=True,
        text=True,
        cwd=job.folder,
        env=STANDARD | {"HOME": str(job.folder), "DLT_DATA_DIR": str(job.folder / "state")} | job.env,
        check=True,
    )
    assert done.stdout == "n\n40\n"


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("select count(* from contacts", "'from', line 1, column 19"),
        ("select *\nfro contacts", "'contacts', line 2, column 12"),
    ],
)
def test_a_query_that_breaks_the_grammar_is_told_where(job, query, place):
    done = job.boast("sql", *job.into, query)
    assert done.code == 2
    assert f"syntax error at {place}." in done.err


@pytest.mark.parametrize(
    "statement",
    [
        "delete from sequence_enrollments",
        "drop table sequence_enrollments_history cascade",
        "create table boast_data.mine as select 1 as a",
        "select 1; delete from sequence_enrollments",
        "commit; delete from sequence_enrollments",
        "rollback; delete from sequence_enrollments;",
        "select 1e$$; commit; delete from sequence_enrollments",  # where quotes and comments end is each database's own
        "select 1 as `--`; commit; delete from sequence_enrollments",
        "select 1 /*! into outfile '/tmp/x' */",
        "select 1 into/**/outfile '/tmp/x'",
    ],
)
def test_nothing_is_changed_unless_it_is_said(job, statement):
    done = job.boast("sql", *job.into, "--json", statement)
    assert done.code == 2, done.out
    assert "--write" in done.err or "one statement" in done.err
    assert job.boast("sql", *job.into, "--json", "select count(*) as n from sequence_enrollments").json["rows"] == [
        {"n": 40}
    ]
    tables = "select table_name from information_schema.tables where table_name = 'mine'"
    assert job.boast("sql", *job.into, "--json", tables).json["rows"] == []


def test_with_write_a_pending_view_is_made_without_any_other_client(job):
    view = (
        "create view boast_data.pending_enrollments as select 'k' as request_id, contact_id, sequence_id, account_id"
        " from boast_data.sequence_enrollments where 1 = 0"
    )
    done = job.boast("sql", *job.into, "--write", view)
    assert (done.code, done.out.strip(), done.err.strip()) == (0, "", "Done.")
    assert job.boast("push", *job.into, "--dry-run", "--json").json["queried"] == 0


def test_what_is_wrong_with_a_query_is_said(job):
    done = job.boast("sql", *job.into, "select nothing_like_it from sequence_enrollments")
    assert done.code == 2
    assert "nothing_like_it" in done.err
    assert "Traceback" not in done.err
    assert job.boast("sql", *job.into, "  ").code == 2


def test_a_query_that_fails_on_a_row_shows_no_value_of_it(job):
    table = "create table boast_data.crm as select cast('Canary, ''Ann' as varchar) as name"
    assert job.boast("sql", *job.into, "--write", table).code == 0
    for query in (
        ("--debug", "select cast(name as integer) from crm"),
        ("--json", "select cast(name as date) from crm"),
    ):
        done = job.boast("sql", *job.into, *query)
        assert (done.code, "canary" in (done.out + done.err).lower()) == (2, False), done.err
        assert "The query failed: " in done.err


def test_a_value_can_not_steer_the_terminal(job):
    concat = "select 'a' || chr(27) || '[31mred' || chr(10) || 'forged line' as said"
    lines = job.boast("sql", *job.into, concat).out.splitlines()
    assert len(lines) == 2
    assert "\x1b" not in lines[1]


@pytest.mark.parametrize("leave", ["\x04", "exit\n"])
def test_the_prompt_says_how_to_leave_answers_each_statement_and_goes_on_after_an_error(job, leave):
    env = STANDARD | {"HOME": str(job.folder), "DLT_DATA_DIR": str(job.folder / "state")} | job.env
    leader, follower = pty.openpty()
    os.write(leader, b"select nothing_like_it;\nselect count(*) as n\nfrom sequence_enrollments;\n" + leave.encode())
    command = [sys.executable, "-m", "boast_source", "sql", *job.into]
    done = subprocess.run(command, cwd=job.folder, env=env, stdin=follower, capture_output=True, text=True, check=True)
    os.close(follower)
    os.close(leader)
    assert done.stderr.startswith("End each statement with a semicolon; leave with exit or Ctrl-D.\n")
    assert "nothing_like_it" in done.stderr
    assert re.search(r"n$\s+40$", done.stdout, re.MULTILINE), done.stdout


def test_csv_steers_no_terminal_and_is_exact_in_a_file(job):
    value = "select 'a' || chr(27) || '[31mred' as said"
    command = [sys.executable, "-m", "boast_source", "sql", *job.into, "--csv", value]
    env = STANDARD | {"HOME": str(job.folder), "DLT_DATA_DIR": str(job.folder / "state")} | job.env
    leader, follower = pty.openpty()
    subprocess.run(command, cwd=job.folder, env=env, stdout=follower, check=True)
    os.close(follower)
    shown = os.read(leader, 1024)
    os.close(leader)
    assert (b"\x1b" in shown, b"[31mred" in shown) == (False, True)
    assert job.boast("sql", *job.into, "--csv", value).out == "said\na\x1b[31mred\n"


def test_a_table_for_people_is_cut_and_says_so(job):
    done = job.boast("sql", *job.into, "select a.id from sequence_enrollments a cross join sequence_enrollments b")
    assert len(done.out.splitlines()) == 101
    assert "--csv prints all" in done.err


def test_where_there_is_no_warehouse_none_is_made(workplace):
    done = workplace.boast("sql", "select 1")
    assert done.code == 1
    assert "There is no warehouse at" in done.err
    assert not list(workplace.folder.glob("*.duckdb"))
    assert json.loads(workplace.boast("sql", "--json", "select 1").out)["status"] == "failed"


@pytest.mark.parametrize(
    "statement",
    [
        "copy (select 1) to 'boast.duckdb'",
        "COPY sequence_enrollments TO '/tmp/x'",
        "/* select */ attach 'x.db' as x",
        "explain analyze copy (select 1) to 'boast.duckdb'",
        "export database 'x'",
        "install httpfs",
        "set memory_limit = '1GB'",
        "call pragma_version()",
    ],
)
def test_what_may_write_files_needs_write(job, statement):
    before = {path: path.stat().st_mtime_ns for path in job.folder.glob("*.d*b")}
    done = job.boast("sql", *job.into, statement)
    assert (done.code, "--write" in done.err) == (2, True), done.err
    assert {path: path.stat().st_mtime_ns for path in job.folder.glob("*.d*b")} == before
    assert not (job.folder / "x").exists()


@pytest.mark.parametrize(
    "query", ["explain select 1 as n", "(select ';' as n);", "values (1) -- one", "with a as (select 1) from a"]
)
def test_any_form_of_a_query_needs_no_write(job, query):
    if query.endswith("from a") and "postgres" in job.into:
        query = query.replace("from a", "select * from a")
    assert job.boast("sql", *job.into, query).code == 0


def test_the_json_is_strict_and_keeps_every_column(job):
    sql = "select cast('nan' as double precision) as a, 1 as a, cast('-infinity' as double precision) as a"
    done = job.boast("sql", *job.into, "--json", sql)

    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads(done.out, parse_constant=refuse)
    assert found == {"columns": ["a", "a_2", "a_3"], "rows": [{"a": "nan", "a_2": 1, "a_3": "-inf"}]}


def test_a_decimal_is_a_number_in_json(job):
    query = "select cast(1.25 as numeric(9, 2)) as a, sum(enrolled) as b, max(response_rate) as c"
    (row,) = job.boast("sql", *job.into, "--json", f"{query} from sequence_performance").json["rows"]
    assert (row["a"], row["b"]) == (1.25, 40)
    assert isinstance(row["c"], float)


def test_an_object_is_json_wherever_it_is_printed_and_bytes_are_hexadecimal(job):
    kind = "bytea" if "postgres" in job.into else "blob"
    query = f"""select cast('{{"a": [1, null, true], "é": "x"}}' as json) as j, cast('ab' as {kind}) as b"""
    ((_, _), (as_csv, in_hex)) = csv.reader(io.StringIO(job.boast("sql", *job.into, "--csv", query).out))
    assert json.loads(as_csv) == {"a": [1, None, True], "é": "x"}
    assert in_hex == "6162"
    assert as_csv in job.boast("sql", *job.into, query).out
    assert job.boast("sql", *job.into, "--json", query).json["rows"][0]["b"] == "6162"


@pytest.fixture(params=["sqlite", "mariadb"])
def through_sqlalchemy(request, workplace, sandbox):
    """A loaded warehouse that dlt reaches by SQLAlchemy, whose results are no cursors."""
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{workplace.folder}/boast.db"
        elif HERE and mariadb.is_installed():
            url = f"mysql+pymysql://root@127.0.0.1:{stack.enter_context(mariadb.serving())}/{mariadb.DATABASE}"
        else:
            pytest.skip("in the environment of `make test-warehouses`, with mariadb-server")
        workplace.use(sandbox(enrollments=5), DESTINATION__SQLALCHEMY__CREDENTIALS=url, PYTHONPATH="")
        workplace.into = ("--destination", "sqlalchemy")
        assert workplace.boast("load", *workplace.into).code == 0
        yield workplace


def test_through_sqlalchemy_a_query_is_answered_and_a_change_needs_its_word(through_sqlalchemy):
    job = through_sqlalchemy

    def ask(*words):
        return job.boast("sql", *job.into, *words)

    found = ask("--json", "select count(*) as n, ' :x at 10:30' as said from sequence_enrollments").json
    assert found["rows"] == [{"n": 5, "said": " :x at 10:30"}]
    table = "create table boast_data.mine as select id from boast_data.sequence_enrollments"
    assert (ask(table).code, ask("--write", table).code) == (2, 0)
    assert ask("select count(*) as n from boast_data.mine").out.split() == ["n", "5"]
    assert ask("--write", "delete from boast_data.mine").code == 0
    assert ask("--csv", "select * from boast_data.mine").out.split() == ["id"]


def test_one_row_that_is_wider_than_the_terminal_is_shown_as_lines(job):
    done = job.boast("sql", *job.into, "select * from pipeline_health", COLUMNS="80")
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines() if len(line.split()) > 1)
    assert (lines["column"].strip(), lines["verified"].strip(), lines["listed"].strip()) == ("value", "covered", "40")
