"""A stop ends a statement of the warehouse that would go on for hours, here one of the user's own view."""

from __future__ import annotations

import os
import signal
import sqlite3

import duckdb
import pytest

from tests.support.python import AS_A_USER
from tests.support.waiting import seconds_at_work, until
from tests.support.workplace import stop

BOUND, TRIES = 2.0, 4  # seconds, at least once: a machine may be too busy the first time
VIEW = (
    "create view {name} as select cast(a.i as text) as contact_id, 's' as sequence_id"
    " from {numbers} where a.i + b.i = -1"
)
ENDLESS = {
    "duckdb": "(select range as i from range(10000000)) a, (select range as i from range(10000000)) b",
    "postgres": "(select count(*) as i from pg_sleep(3600)) a, (select 1 as i) b",
    "sqlalchemy": (
        "(with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000000) select i from n) a,"
        " (with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000000) select i from n) b"
    ),
}

BUSY = 5.0  # seconds of a processor; the whole push takes half


@pytest.fixture
def view(workplace, postgres, request):
    """Make the pending view of a warehouse where nothing else was made yet."""

    def made(destination):
        name = "v" if destination == "sqlalchemy" else "boast_data.v"
        sql = VIEW.format(name=name, numbers=ENDLESS[destination])
        if destination == "duckdb":
            with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
                connection.execute("create schema if not exists boast_data")
                connection.execute(sql)
        elif destination == "postgres":
            postgres.sql("create schema if not exists boast_data")
            postgres.sql(sql)
        else:
            with sqlite3.connect(workplace.folder / "shop__boast_data.db") as connection:
                connection.execute(sql)
            connection.close()

    return made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("destination", list(ENDLESS))
def test_a_stop_interrupts_a_statement_of_the_warehouse(sandbox, workplace, postgres, view, destination, number):
    server = sandbox(enrollments=5)
    single = {"SOURCES__BOAST__PUSH__SINGLE_SENDER": "true"}
    workplace.use(
        server, **single, **postgres.env, DESTINATION__SQLALCHEMY__CREDENTIALS="sqlite:///shop.db", PYTHONPATH=""
    )
    to = ("--destination", destination)
    assert workplace.boast("load", *to).code == 0
    view(destination)
    asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
    took = []
    while not took or (took[-1] > BOUND and len(took) < TRIES):
        process = workplace.start("push", *to, "--pending", "v", "--new-ledger")
        if destination == "postgres":
            until(lambda: postgres.sql(asleep) == [(1,)], process=process)
        else:
            until(lambda at=process: seconds_at_work(at) > BUSY, process=process)
        took.append(stop(process, number))
        if destination == "postgres":
            until(lambda: postgres.sql(asleep) == [(0,)])
    assert took[-1] < BOUND, took


SLOW = {  # DuckDB itself looks for signals every hundred thousand rows
    "duckdb": "select count(*) from range(9000000) where length(repeat('x', 100000 + (range % 7)::int)) = 3",
    "sqlalchemy": f"select count(*) from {ENDLESS['sqlalchemy']} where a.i + b.i = -1",
}


@pytest.mark.parametrize("destination", list(SLOW))
def test_a_stop_interrupts_a_query_of_the_user(sandbox, workplace, destination):
    workplace.use(sandbox(enrollments=5), DESTINATION__SQLALCHEMY__CREDENTIALS="sqlite:///shop.db", PYTHONPATH="")
    to = ("--destination", destination)
    assert workplace.boast("load", *to).code == 0
    took = []
    while not took or (took[-1] > BOUND and len(took) < TRIES):
        process = workplace.start("sql", *to, SLOW[destination])
        until(lambda at=process: seconds_at_work(at) > BUSY, process=process)
        took.append(stop(process, signal.SIGINT))
    assert took[-1] < BOUND, took


def test_a_stop_in_the_middle_of_an_import_is_a_stop(workplace):
    """`yaml`, which dlt imports, is replaced by one during which the signal comes, and which is never whole."""
    (workplace.folder / "yaml.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    path = os.pathsep.join([str(workplace.folder), AS_A_USER])
    done = workplace.boast("load", PYTHONPATH=path, SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN="x")
    assert (done.code, done.err.strip()) == (3, "boast: Stopped before it was done. The next run does the rest.")


def test_a_stop_while_a_night_makes_its_report_is_a_stop_whatever_a_library_makes_of_it(sandbox, workplace):
    body = "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGTERM)\nexcept KeyboardInterrupt:\n"
    (workplace.folder / "jinja2.py").write_text(f"{body}    raise RuntimeError\n")
    path = os.pathsep.join([str(workplace.folder), AS_A_USER])
    done = workplace.use(sandbox(enrollments=20)).boast("nightly", "--no-push", PYTHONPATH=path)
    assert done.code == 3, done.err
    assert workplace.sql("select status, exit_code from boast_data.runs") == [("attention", 3)]
