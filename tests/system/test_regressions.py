"""What an attacker found once; each stays found."""

from __future__ import annotations

import signal
from dataclasses import replace

import dlt
import duckdb
import pytest

from boast_source import boast_source
from tests.support.waiting import until
from tests.support.workplace import Workplace, finish, stored


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return dlt.pipeline("mine", destination="duckdb", dataset_name="d", pipelines_dir=str(tmp_path / "p"))


def ask(pipeline, sql):
    with pipeline.sql_client() as client:
        return client.execute_sql(sql)


def test_replace_does_not_empty_what_did_not_change(sandbox, pipeline, monkeypatch):
    server = sandbox(enrollments=30)
    for key, value in server.info["env"].items():
        monkeypatch.setenv(key, value)
    for _ in range(2):
        pipeline.run(boast_source(), write_disposition="replace")
    assert ask(pipeline, "select count(*) from sequence_enrollments") == [(30,)]
    assert ask(pipeline, "select count(*) from sequence_enrollments_history") == [(30,)]


def test_the_file_lies_in_the_working_folder_of_each_run(sandbox, tmp_path):
    server = sandbox(enrollments=20)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        place = Workplace(tmp_path / name).use(server, DLT_DATA_DIR=str(tmp_path / "state"))
        done = place.boast("load")
        assert done.code == 0, done.err
        assert str(tmp_path / name / "boast.duckdb") in done.out
        assert stored(place) == server.truth()


def test_a_field_that_is_not_delivered_any_more_is_null_again(sandbox, workplace):
    server = sandbox(enrollments=10)
    workplace.use(server)
    (key, *_) = server.truth()
    server.control("POST", "mutate", {"edits": [{"id": key, "set": {"novel": "here", "rank": 3}}]})
    assert workplace.boast("load").code == 0
    query = f"select novel, rank from boast_data.sequence_enrollments where id = '{key}'"
    assert workplace.sql(query) == [("here", 3)]
    server.control("POST", "mutate", {"edits": [{"id": key, "drop": ["novel", "rank"]}]})
    done = workplace.boast("load", "--json")
    assert done.json["accounts"][0]["loaded"] == 1
    assert workplace.sql(query) == [(None, None)]
    assert workplace.boast("load", "--json").json["accounts"][0]["loaded"] == 0


def test_fields_may_be_called_anything(sandbox, workplace):
    server = sandbox(enrollments=10)
    workplace.use(server)
    (key, *_) = server.truth()
    names = [
        "step",
        "_hash",
        "before",
        "place",
        "missing_since",
        "account_id",
        "_extra",
        "",
        " ",
        "a'b\"c",
        "x.y/z",
        "é",
    ]
    server.control("POST", "mutate", {"edits": [{"id": key, "set": dict.fromkeys(names, "kept")}]})
    done = workplace.boast("load")
    assert done.code == 0, done.err
    with_row = workplace.sql(f"select * from boast_data.sequence_enrollments where id = '{key}'")[0]
    assert with_row.count("kept") >= len(names) - 2  # blank names are one column
    assert workplace.boast("load", "--json").json["accounts"][0]["loaded"] == 0


def test_an_account_that_left_the_tokens_list_is_named(sandbox, workplace):
    server = sandbox(enrollments=40, accounts=2)
    workplace.use(server)
    assert workplace.boast("load").code == 0
    done = workplace.boast("load", "--json", SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN=server.info["limited_token"])
    assert done.code == 3
    errors = {account["account_id"]: account["error"] for account in done.json["accounts"]}
    assert errors[server.account_ids[0]] is None
    assert "no longer sees" in errors[server.account_ids[1]]


def test_an_account_without_enrollments_that_left_the_tokens_list_is_named(sandbox, workplace):
    server = sandbox(enrollments=1, accounts=2)  # the second has none yet
    workplace.use(server)
    assert workplace.boast("load").code == 0
    done = workplace.boast("load", "--json", SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN=server.info["limited_token"])
    assert done.code == 3
    (error,) = [account["error"] for account in done.json["accounts"] if account["error"]]
    assert "no longer sees" in error


@pytest.mark.parametrize("command", ["load", "nightly"])
def test_a_token_that_sees_no_account_is_a_failure(sandbox, workplace, command):
    server = sandbox(enrollments=1)
    server.api.world.options = replace(server.api.world.options, accounts=0)
    done = workplace.use(server).boast(command)
    assert done.code == 1
    assert "sees no account. Ask for API access" in done.out


def test_an_incremental_run_names_an_account_that_left_the_tokens_list(sandbox, workplace):
    server = sandbox(enrollments=400, accounts=2, order="updated_desc")
    workplace.use(server)
    assert workplace.boast("load").code == 0
    limited = server.info["limited_token"]
    done = workplace.boast("load", "--incremental", "--json", SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN=limited)
    assert done.code == 3
    assert [account["verified"] for account in done.json["accounts"]] == ["recent", "failed"]


def test_wrong_usage_with_json_is_one_document(workplace):
    done = workplace.boast("load", "--json", "--frobnicate")
    assert (done.code, done.json["status"]) == (2, "failed")


def test_enrollments_that_no_account_gives_are_a_failure(sandbox, workplace):
    server = sandbox(enrollments=10)
    server.control("POST", "faults", {"kind": "status", "status": 403, "path": "sequence_enrollments"})
    assert workplace.use(server).boast("load").code == 1


def test_rows_that_are_there_twice_are_made_one(sandbox, pipeline, monkeypatch):
    server = sandbox(enrollments=10)
    for key, value in server.info["env"].items():
        monkeypatch.setenv(key, value)
    pipeline.run(boast_source())
    for order in ("asc", "desc"):
        ask(pipeline, f"insert into sequence_enrollments from sequence_enrollments order by id {order} limit 1")
    server.control("POST", "mutate", {"update": 3})
    pipeline.run(boast_source())
    assert ask(pipeline, "select count(*), count(distinct id) from sequence_enrollments") == [(10, 10)]
    assert ask(pipeline, "select count(*) from sequence_enrollments_history") == [(13,)]


def test_rows_that_are_gone_and_there_twice_are_made_one_that_keeps_its_time(sandbox, pipeline, monkeypatch):
    server = sandbox(enrollments=10)
    for key, value in server.info["env"].items():
        monkeypatch.setenv(key, value)
    pipeline.run(boast_source())
    server.control("POST", "mutate", {"delete": 1})
    pipeline.run(boast_source())
    gone = ask(pipeline, "select * from sequence_enrollments where missing_since is not null")
    ask(pipeline, "insert into sequence_enrollments from sequence_enrollments where missing_since is not null")
    pipeline.run(boast_source())
    assert ask(pipeline, "select count(*), count(distinct id) from sequence_enrollments") == [(10, 10)]
    assert ask(pipeline, "select * from sequence_enrollments where missing_since is not null") == gone
    assert ask(pipeline, "select count(*) from sequence_enrollments_history") == [(11,)]


def test_rows_that_are_there_twice_are_said_so_where_a_table_has_columns_of_a_users(sandbox, pipeline, monkeypatch):
    server = sandbox(enrollments=10)
    for key, value in server.info["env"].items():
        monkeypatch.setenv(key, value)
    pipeline.run(boast_source())
    ask(pipeline, "alter table sequence_enrollments add column looked_at date")
    ask(pipeline, "insert into sequence_enrollments from sequence_enrollments limit 1")
    with pytest.raises(Exception, match="share their id"):
        pipeline.run(boast_source())


def test_a_killed_run_leaves_no_scratch_behind_for_long(sandbox, workplace):
    server = sandbox(enrollments=10)
    temporary = workplace.folder / "tmp"
    temporary.mkdir()
    workplace.use(server, TMPDIR=str(temporary))
    server.control("POST", "faults", {"kind": "hold", "seconds": 3600, "path": "enrollments", "times": 1})
    process = workplace.start("load")
    until(lambda: list(temporary.glob("boast-*/run-*")), process=process)
    process.send_signal(signal.SIGKILL)
    finish(process)
    assert workplace.boast("load").code == 0
    assert list(temporary.glob("boast-*/run-*")) == []


def test_an_account_given_in_capitals_is_the_same_account(sandbox, workplace):
    server = sandbox(enrollments=20)
    workplace.use(server)
    assert workplace.boast("load").code == 0
    done = workplace.boast("load", "--json", "--account", server.account_ids[0].upper())
    assert done.code == 0, done.err
    assert [account["loaded"] for account in done.json["accounts"]] == [0]
    assert stored(workplace) == server.truth()


def test_a_range_may_have_fractions_and_an_offset(sandbox, workplace):
    server = sandbox(enrollments=100)
    workplace.use(server)
    since, until = "2025-01-01T02:00:00.500+02:00", "2026-01-01T00:00:00.5"
    done = workplace.boast("load", "--since", since, "--until", until, "--resources", "sequence_enrollments")
    assert done.code == 0, done.err
    inside = {k for k, v in server.truth().items() if "2025-01-01T00:00:00.500Z" <= v["updated_at"] < f"{until}00Z"}
    assert set(stored(workplace)) == inside


def test_fewer_than_no_enrollments_are_wrong_usage(workplace):
    for command in ("sandbox", "demo"):
        done = workplace.boast(command, "--enrollments", "-5")
        assert (done.code, "-5" in done.err) == (2, True)


def test_a_column_that_somebody_added_keeps_its_values(sandbox, workplace):
    server = sandbox(enrollments=20)
    workplace.use(server)
    assert workplace.boast("load").code == 0
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute("alter table boast_data.sequence_enrollments add column followed_up date")
        connection.execute("update boast_data.sequence_enrollments set followed_up = '2026-01-01'")
    server.control("POST", "mutate", {"update": 3})
    assert workplace.boast("load").code == 0
    assert workplace.sql("select count(followed_up) from boast_data.sequence_enrollments") == [(20,)]
