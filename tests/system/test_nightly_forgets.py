"""Machines that forget everything between two nights: what they must know is in the warehouse and the token store."""

from __future__ import annotations

import os

import duckdb
import pytest

from boast_source.jobs.nightly import nightly_job
from tests.support.sandbox_client import client_of
from tests.support.workplace import Workplace

NIGHTS = int(os.environ.get("BOAST_EMPTY_FOLDERS", "4"))  # `make soak` asks for more
ASKED = 3  # requests a night
CREDENTIALS = "SOURCES__BOAST__CREDENTIALS__"


@pytest.fixture
def city(sandbox):
    """A sandbox whose tokens rotate every night; `free(n)` are n pairs that were never enrolled."""
    server = sandbox(enrollments=80, token_lifetime=2, revoke="at_once")
    with client_of(server) as client:
        contacts = [record["id"] for record in client.every("contacts")]
        sequences = [record["id"] for record in client.every("sequences")]

    def free(count):
        there = {(e["contact_id"], e["sequence_id"]) for e in server.truth().values()}
        return [(c, s) for s in sequences for c in contacts if (c, s) not in there][:count]

    return server, free


def change(server) -> int:
    """What happens in a day; returns how many enrollments are new or changed by the next night."""
    before = server.truth()
    server.control("POST", "mutate", {"update": 4, "insert": 2})
    server.control("POST", "tokens", {"expire": True})
    return sum(before.get(key) != record for key, record in server.truth().items())


def nothing_was_done_twice(server, sql, asked):
    assert {row[0]: row[1] for row in sql("select id, status from boast_data.sequence_enrollments")} == {
        key: record["status"] for key, record in server.truth().items()
    }
    assert server.control("GET", "counters")["writes"] == {"POST sequence_enrollments": len(asked)}
    made = sql("select contact_id, sequence_id, enrollment_id from boast_data.push_requests where state = 'enrolled'")
    assert sorted(row[:2] for row in made) == sorted(asked)
    assert len({row[2] for row in made}) == len(asked)
    (versions, keys, current), *_ = sql(
        "select count(*), count(distinct version_key), count(distinct id) from boast_data.sequence_enrollments_history"
    )
    assert versions == keys
    assert current == len(server.truth())
    assert sql("select count(*), min(exit_code), max(exit_code) from boast_data.runs") == [(NIGHTS, 0, 0)]


def test_nights_in_empty_folders_with_postgres_and_a_token_store_elsewhere(city, postgres, tmp_path):
    server, free = city
    store, report = tmp_path / "secrets" / "tokens.json", tmp_path / "reports" / "boast.html"
    report.parent.mkdir()
    postgres.sql("create schema boast_data")
    postgres.sql("create table boast_data.pending_enrollments (contact_id text, sequence_id text)")
    asked, tokens = [], []
    for night in range(NIGHTS):
        expected = change(server) if night else len(server.truth())
        asked += free(ASKED)
        postgres.sql("truncate boast_data.pending_enrollments")  # a model that is built anew every day
        for contact, sequence in asked:
            postgres.sql(f"insert into boast_data.pending_enrollments values ('{contact}', '{sequence}')")
        folder = tmp_path / f"night{night}"
        (folder / "home").mkdir(parents=True)
        machine = Workplace(folder).use_oauth(server)
        machine.env |= postgres.env | {CREDENTIALS + "TOKEN_STORE": store.as_uri()}
        machine.env["SOURCES__BOAST__REPORT_PATH"] = report.as_uri().replace("file:", "local:")  # fsspec's own
        done = machine.boast("nightly", "--destination", "postgres", "--json", *([] if night else ["--new-ledger"]))
        assert done.code == 0, done.err
        assert done.json["load"]["accounts"][0]["loaded"] == expected
        assert (done.json["push"]["queried"], done.json["push"]["enrolled"]) == (ASKED, ASKED)
        assert "</html>" in report.read_text()
        report.unlink()
        tokens.append(store.read_text())
    assert len(set(tokens)) == NIGHTS
    nothing_was_done_twice(server, postgres.sql, asked)


def test_nights_in_empty_folders_with_a_duckdb_file_elsewhere_and_tokens_in_memory(city, tmp_path, monkeypatch):
    server, free = city
    file = tmp_path / "warehouse.duckdb"

    def sql(query, *rows):
        with duckdb.connect(str(file)) as connection:
            for row in rows or ((),):
                answer = connection.execute(query, row).fetchall()
            return answer

    sql("create schema boast_data; create table boast_data.pending_enrollments (contact_id text, sequence_id text)")
    machine = Workplace(tmp_path).use_oauth(server)
    for key, value in machine.env.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv(CREDENTIALS + "TOKEN_STORE", f"memory://boast/{tmp_path.name}/tokens.json")
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(file))
    asked, refreshes = [], []
    for night in range(NIGHTS):
        expected = change(server) if night else len(server.truth())
        asked += free(ASKED)
        sql("insert into boast_data.pending_enrollments values (?, ?)", *asked[-ASKED:])
        folder = tmp_path / f"night{night}"
        (folder / "home").mkdir(parents=True)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("HOME", str(folder / "home"))
        monkeypatch.setenv("DLT_DATA_DIR", str(folder / "state"))
        done = nightly_job(new_ledger=night == 0)
        assert done.exit_code == 0
        summary = done.as_json()
        assert (folder / "state" / "pipelines" / "boast").is_dir()
        assert summary["load"]["accounts"][0]["loaded"] == expected
        assert summary["push"]["enrolled"] == ASKED
        refreshes.append(server.control("GET", "counters")["token_requests"])
    assert refreshes == sorted(set(refreshes))
    nothing_was_done_twice(server, sql, asked)
