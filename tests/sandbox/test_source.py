"""The source in anybody's own dlt script."""

from __future__ import annotations

from datetime import datetime, timezone

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from boast_source import boast_source, verify
from boast_source.shapes import HISTORY
from boast_source.warehouse import Warehouse, parts


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def pipeline(name="mine"):
        return dlt.pipeline(name, destination="duckdb", dataset_name="d", pipelines_dir=str(tmp_path / "p"))

    return pipeline


@pytest.fixture
def source_for(monkeypatch):
    """The source as a user calls it, configured through the environment."""

    def source_for(server, **arguments):
        for key, value in server.info["env"].items():
            monkeypatch.setenv(key, value)
        return boast_source(**arguments)

    return source_for


def ask(pipeline, sql):
    with pipeline.sql_client() as client:
        return client.execute_sql(sql)


def rows_of(pipeline):
    normalized = pipeline.last_trace.last_normalize_info.row_counts
    return {table: count for table, count in normalized.items() if not table.startswith("_dlt")}


def test_it_works_in_anybodys_own_pipeline_and_hands_on_only_what_differs(sandbox, pipeline, source_for):
    server = sandbox(enrollments=50)
    mine = pipeline()
    mine.run(source_for(server))
    assert ask(mine, "select count(*) from sequence_enrollments") == [(50,)]
    mine.run(source_for(server))
    assert rows_of(mine).get("sequence_enrollments", 0) == 0
    server.control("POST", "mutate", {"update": 4})
    mine.run(source_for(server))
    assert rows_of(mine)["sequence_enrollments"] == 4
    assert ask(mine, "select count(*) from sequence_enrollments_history") == [(54,)]


def test_the_cursor_is_declared_and_kept_in_dlts_state(sandbox, pipeline, source_for):
    server = sandbox(enrollments=50)
    mine = pipeline()
    mine.run(source_for(server))
    state = mine.state["sources"]["boast"]["resources"]["sequence_enrollments"]["incremental"]["updated_at"]
    newest = ask(mine, "select max(updated_at) from sequence_enrollments")[0][0]
    assert state["last_value"] == newest


def test_timestamps_are_timestamps_and_every_row_has_its_account(sandbox, pipeline, source_for):
    server = sandbox(enrollments=30, accounts=2)
    mine = pipeline()
    mine.run(source_for(server).with_resources("sequence_enrollments"))
    columns = mine.default_schema.tables["sequence_enrollments"]["columns"]
    assert columns["updated_at"]["data_type"] == "timestamp"
    assert columns["id"]["primary_key"]
    truth = server.truth()
    assert dict(ask(mine, "select id, account_id from sequence_enrollments")) == {
        key: record["account_id"] for key, record in truth.items()
    }


def test_with_resources_takes_what_it_names(sandbox, pipeline, source_for):
    mine = pipeline()
    mine.run(source_for(sandbox(enrollments=30)).with_resources("forms", "sequences"))
    assert set(rows_of(mine)) == {"forms", "sequences"}


def test_account_ids_may_be_a_list_or_a_text(sandbox, pipeline, source_for):
    server = sandbox(enrollments=40, accounts=4)
    mine = pipeline()
    mine.run(source_for(server, account_ids=server.account_ids[:2]).with_resources("sequence_enrollments"))
    mine.run(source_for(server, account_ids=",".join(server.account_ids[2:3])).with_resources("sequence_enrollments"))
    held = {account for (account,) in ask(mine, "select distinct account_id from sequence_enrollments")}
    assert held == set(server.account_ids[:3])


def test_the_same_source_object_runs_twice(sandbox, pipeline, source_for):
    server = sandbox(enrollments=20)
    mine, source = pipeline(), source_for(server).with_resources("sequence_enrollments")
    mine.run(source)
    server.control("POST", "mutate", {"insert": 3})
    mine.run(source)
    assert ask(mine, "select count(*) from sequence_enrollments") == [(23,)]


def test_another_pipeline_name_compares_with_the_same_tables(sandbox, pipeline, source_for, tmp_path):
    server = sandbox(enrollments=20)
    file = dlt.destinations.duckdb(str(tmp_path / "one.duckdb"))
    for name in ("first", "second"):
        mine = dlt.pipeline(name, destination=file, dataset_name="d", pipelines_dir=str(tmp_path / "p"))
        mine.run(source_for(server).with_resources("sequence_enrollments"))
    assert rows_of(mine).get("sequence_enrollments", 0) == 0


def edit(server, key, drop=(), **fields):
    server.control("POST", "mutate", {"edits": [{"id": key, "set": fields, "drop": list(drop)}]})


FIELDS = "select user_id, user_id_x from sequence_enrollments where id = '%s'"


@pytest.mark.parametrize("second", ["mine", "another"])
@pytest.mark.parametrize(("field", "other"), [("user_id", "userId"), ("userId", "user_id")])
def test_a_field_keeps_the_column_that_it_got_first(sandbox, pipeline, source_for, field, other, second):
    server = sandbox(enrollments=10)
    key = next(iter(server.truth()))
    edit(server, key, **{field: "first"})
    file = dlt.destinations.duckdb("one.duckdb")

    def run(name):
        mine = dlt.pipeline(name, destination=file, dataset_name="d", pipelines_dir=pipeline().pipelines_dir)
        mine.run(source_for(server).with_resources("sequence_enrollments", "sequence_enrollments_history"))
        return mine

    run("mine")
    edit(server, key, **{other: "second"})
    assert ask(run(second), FIELDS % key) == [("first", "second")]
    edit(server, key, drop=[field])
    assert ask(run("mine"), FIELDS % key) == [(None, "second")]


def test_a_field_that_the_api_dropped_is_null_also_when_another_pipeline_sees_it(sandbox, pipeline, source_for):
    server = sandbox(enrollments=10)
    key = next(iter(server.truth()))
    edit(server, key, campaign="spring", score=7)
    file = dlt.destinations.duckdb("one.duckdb")
    for name, drop in (("first", []), ("second", ["campaign"]), ("third", ["score"])):
        edit(server, key, drop=drop)
        mine = dlt.pipeline(name, destination=file, dataset_name="d", pipelines_dir=pipeline().pipelines_dir)
        mine.run(source_for(server).with_resources("sequence_enrollments", "sequence_enrollments_history"))
    assert ask(mine, f"select campaign, score from sequence_enrollments where id = '{key}'") == [(None, None)]


def test_many_vanished_rows_take_a_second_pass_not_a_question_each(sandbox, pipeline, source_for):
    server = sandbox(enrollments=600, page_size=10)
    mine = pipeline()
    mine.run(source_for(server).with_resources("sequence_enrollments"))
    gone = server.control("POST", "mutate", {"delete": 115})["deleted"]
    server.control("DELETE", "counters")
    mine.run(source_for(server).with_resources("sequence_enrollments"))
    assert sum(server.control("GET", "counters")["requests"].values()) <= 2 * 50 + 1  # 165 where each is asked for
    missing = ask(mine, "select id from sequence_enrollments where missing_since is not null")
    assert {key for (key,) in missing} == set(gone)


# one list alone in each mode: see the conformance suite
def test_a_row_that_vanished_in_a_run_over_a_range_has_the_moment_of_its_version(sandbox, pipeline, source_for):
    server, mine = sandbox(enrollments=20), pipeline()
    both = ("sequence_enrollments", "sequence_enrollments_history")
    mine.run(source_for(server).with_resources(*both))
    server.control("POST", "mutate", {"delete": 1})
    source = source_for(server).with_resources(*both)
    initial, end = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (1990, 1991))
    between = dlt.sources.incremental("updated_at", initial_value=initial, end_value=end)
    source.sequence_enrollments.apply_hints(incremental=between)
    mine.run(source)
    missing = [f"select missing_since from {table} where missing_since is not null" for table in both]
    assert [len(ask(mine, sql)) for sql in missing] == [0, 1]
    mine.run(source_for(server).with_resources(*both))
    in_table, in_history = (ask(mine, sql) for sql in missing)
    assert in_table == in_history != []


def test_a_history_that_is_read_in_parts_gets_each_version_once(sandbox, pipeline, source_for, monkeypatch):
    monkeypatch.setattr(parts, "SORTED", 7)
    server, mine = sandbox(enrollments=20), pipeline()
    for changes in (0, 3, 0):
        server.control("POST", "mutate", {"update": changes})
        mine.run(source_for(server).with_resources("sequence_enrollments", "sequence_enrollments_history"))
    versions = ask(mine, "select version, count(*) from sequence_enrollments_history group by 1 order by 1")
    assert versions == [(1, 20), (2, 3)]


@pytest.mark.parametrize("rows_in_a_part", [7, 1000])
def test_of_rows_and_versions_only_those_that_differ_are_read(
    sandbox, pipeline, source_for, monkeypatch, rows_in_a_part
):
    monkeypatch.setattr(parts, "SORTED", rows_in_a_part)
    server, mine, read = sandbox(enrollments=20), pipeline(), []
    names = ("sequence_enrollments", "sequence_enrollments_history")
    mine.run(source_for(server).with_resources(*names))
    whole = Warehouse.read

    def noted(self, table, columns, **how):
        read.append((table, how.get("ids")))
        return whole(self, table, columns, **how)

    monkeypatch.setattr(Warehouse, "read", noted)
    server.control("POST", "mutate", {"update": 3})
    mine.run(source_for(server).with_resources(*names))
    assert verify(mine).verified == "covered"
    assert [len(ids) for table, ids in read if table == names[1] and ids is not None] == [3]
    assert [table for table, ids in read if ids is None] == ["sequence_enrollments", HISTORY]  # the second: lost rows


@pytest.mark.parametrize(
    ("refresh", "chosen"),
    [("drop_sources", None), ("drop_resources", None), ("drop_data", None), ("drop_sources", "forms")],
)
def test_dlts_refresh_modes_load_again_and_never_touch_the_history(sandbox, pipeline, source_for, refresh, chosen):
    server = sandbox(enrollments=30)
    mine = pipeline()
    mine.run(source_for(server))
    server.control("POST", "mutate", {"update": 6})
    source = source_for(server)
    mine.run(source.with_resources(chosen) if chosen else source, refresh=refresh)
    mine.run(source_for(server))
    assert ask(mine, "select count(*), count(distinct id) from sequence_enrollments") == [(30, 30)]
    assert ask(mine, "select count(*) from sequence_enrollments_history") == [(36,)]


def test_an_account_that_fails_fails_the_extraction_and_names_it(sandbox, pipeline, source_for):
    server = sandbox(enrollments=30, accounts=2)
    server.control("POST", "faults", {"kind": "status", "status": 403, "path": server.account_ids[1]})
    with pytest.raises(PipelineStepFailed, match=server.account_ids[1]):
        pipeline().run(source_for(server))


def test_a_frozen_schema_contract_refuses_a_new_field(sandbox, pipeline, source_for):
    server = sandbox(enrollments=10)
    mine = pipeline()
    mine.run(source_for(server))
    (key, *_) = server.truth()
    server.control("POST", "mutate", {"edits": [{"id": key, "set": {"novel": 1}}]})
    with pytest.raises(PipelineStepFailed):
        mine.run(source_for(server), schema_contract={"columns": "freeze"})


def test_a_list_can_be_looked_at_without_a_pipeline(sandbox, source_for):
    batches = list(source_for(sandbox(enrollments=25)).sequence_enrollments)
    assert sum(batch.num_rows for batch in batches) == 25


def test_resources_that_run_in_threads_load_the_same(sandbox, pipeline, source_for):
    server = sandbox(enrollments=50)
    mine = pipeline()
    for _ in range(2):
        mine.run(source_for(server).parallelize())
    assert ask(mine, "select count(*), count(distinct id) from sequence_enrollments") == [(50, 50)]
    assert ask(mine, "select count(*) from sequence_enrollments_history") == [(50,)]
    assert rows_of(mine).get("sequence_enrollments", 0) == 0


def test_credentials_may_be_the_token_itself(sandbox, pipeline, source_for, monkeypatch):
    server = sandbox(enrollments=20)
    token = server.info["env"]["SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN"]
    monkeypatch.setenv("SOURCES__BOAST__BASE_URL", server.base_url)
    mine = pipeline()
    mine.run(boast_source(credentials=token).with_resources("sequence_enrollments"))
    assert ask(mine, "select count(*) from sequence_enrollments") == [(20,)]
