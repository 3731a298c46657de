"""A SQL destination that the connector knows nothing about (SQLite, through dlt's `sqlalchemy`): loads and pushes."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager

import pytest

from tests.support.sandbox_client import client_of
from tests.support.webhook import webhook

TO = ("--destination", "sqlalchemy")


@pytest.fixture
def desk(sandbox, workplace):
    """A loaded database with three pending enrollments."""
    server = sandbox(enrollments=40)
    settings = {"DESTINATION__SQLALCHEMY__CREDENTIALS": f"sqlite:///{workplace.folder}/boast.db"}
    workplace.use(server).env |= settings | {"PYTHONPATH": ""}  # with SQLAlchemy, unlike a user
    with client_of(server) as client:
        contacts = [record["id"] for record in client.every("contacts")]
        sequence = client.every("sequences")[0]["id"]
    busy = {e["contact_id"] for e in server.truth().values() if e["sequence_id"] == sequence}
    done = workplace.boast("load", *TO, "--resources", "sequence_enrollments", "--json")
    assert done.code == 0, done.err
    with database(workplace) as connection:
        connection.execute("create table pending_enrollments (contact_id text, sequence_id text)")
        free = [contact for contact in contacts if contact not in busy][:3]
        connection.executemany("insert into pending_enrollments values (?, ?)", [(key, sequence) for key in free])
    return server, workplace


@contextmanager
def database(workplace):
    with closing(sqlite3.connect(workplace.folder / "boast__boast_data.db")) as connection, connection:
        yield connection


def test_the_second_load_loads_nothing(desk):
    server, workplace = desk
    again = workplace.boast("load", *TO, "--resources", "sequence_enrollments", "--json")
    assert again.json["accounts"][0]["loaded"] == 0
    with database(workplace) as connection:
        rows = connection.execute("select id, status from sequence_enrollments").fetchall()
    assert dict(rows) == {key: record["status"] for key, record in server.truth().items()}


def test_the_status_judges_by_the_views_where_there_can_be_none(desk):
    server, workplace = desk
    first = workplace.boast("status", *TO, "--json", "--max-age", "1h")
    assert first.code == 0, first.err
    assert first.json["judgement"] == "Nothing needs attention."
    assert [run["command"] for run in first.json["runs"]] == ["load"]
    assert first.json["rows"] == {"sequence_enrollments": len(server.truth())}
    assert (first.json["health"]["stored"], first.json["health"]["missing"]) == (len(server.truth()), 0)
    alone = {"SOURCES__BOAST__PUSH__SINGLE_SENDER": "true"}
    server.control("POST", "faults", {"kind": "status", "status": 422, "method": "POST", "times": 1})
    with webhook() as hook:
        told = {"SOURCES__BOAST__WEBHOOK_URL": hook.url}
        assert workplace.boast("push", *TO, "--new-ledger", **alone, **told).code == 3
        assert "1 refused" in str(hook.news())
    assert workplace.boast("requests", "pause", *TO).code == 0
    told = workplace.boast("status", *TO, "--json")
    assert told.json["judgement"].startswith("Needs attention: 1 refused"), told.out
    assert (told.json["health"]["waiting"], told.json["paused"]) == (1, ["*"])
    with database(workplace) as connection:
        connection.execute("update runs set finished_at = datetime(finished_at, '-2 days')")
    late = workplace.boast("status", *TO, "--max-age", "26h")
    assert (late.code, "Stale" in late.out) == (1, True), late.out


def test_a_night_without_views_makes_no_report_and_ends_well_and_the_command_says_why(desk):
    _, workplace = desk
    night = workplace.boast("nightly", *TO, "--no-push", SOURCES__BOAST__REPORT_PATH="report.html")
    assert (night.code, night.err.count("!")) == (0, 0), night.err
    assert "no report and no copy for dashboards: they are made of views, and this destination has none" in night.err
    refused = workplace.boast("report", *TO)
    assert (refused.code, "this destination has none" in refused.err) == (2, True), refused.err
    assert not (workplace.folder / "report.html").exists()


@pytest.mark.parametrize("expression", ["no_function(contact_id)", "json(contact_id)", "abs(-9223372036854775808)"])
def test_an_error_of_a_view_of_yours_is_told_as_its_own(desk, expression):
    _, workplace = desk
    with database(workplace) as connection:
        columns = f"{expression} as contact_id, sequence_id"
        connection.execute(f"create view wanted as select {columns} from pending_enrollments")
    alone = {"SOURCES__BOAST__PUSH__SINGLE_SENDER": "true", "SOURCES__BOAST__PUSH__PENDING_TABLE": "wanted"}
    done = workplace.boast("push", *TO, "--new-ledger", **alone)
    assert (done.code, "Your table or view" in done.err) == (2, True), done.err
    assert workplace.boast("nightly", *TO, "--new-ledger", **alone).code == 3


def test_a_push_needs_the_users_word_that_it_is_the_only_sender(desk):
    server, workplace = desk
    first = workplace.boast("push", *TO, "--new-ledger", "--json")
    assert first.code == 2
    assert "single_sender" in first.err
    alone = {"SOURCES__BOAST__PUSH__SINGLE_SENDER": "true"}
    server.control("POST", "faults", {"kind": "error_after_write", "method": "POST", "times": 1})
    assert workplace.boast("push", *TO, "--new-ledger", "--json", **alone).json["enrolled"] == 3
    assert workplace.boast("push", *TO, "--json", **alone).json["queried"] == 0
    assert server.control("GET", "counters")["writes"] == {"POST sequence_enrollments": 3}
    with database(workplace) as connection:
        states = connection.execute("select state, count(*) from push_ledger group by 1 order by 1").fetchall()
    assert states == [("claimed", 3), ("enrolled", 3), ("unknown", 1)]
