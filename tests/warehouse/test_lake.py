"""Delta tables on a file system: the same promises as in a SQL warehouse."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

import dlt
import pytest
from deltalake import DeltaTable
from dlt.pipeline.exceptions import PipelineStepFailed

from boast_source import boast_source
from boast_source.install import INSTALL
from boast_source.warehouse import warehouse_of
from tests.support.workplace import AS_A_USER, finish


@pytest.fixture
def bucket(workplace):
    workplace.env["DESTINATION__FILESYSTEM__BUCKET_URL"] = (workplace.folder / "lake").as_uri()
    return workplace


def table(workplace, name):
    path = workplace.folder / "lake" / "boast_data" / name
    return DeltaTable(str(path)).to_pyarrow_table().to_pylist()


def load(workplace, *arguments):
    done = workplace.boast("load", "--destination", "filesystem", "--json", *arguments)
    assert done.code == 0, done.err
    return sum(account["loaded"] for account in done.json["accounts"])


def test_only_what_differs_is_merged_and_the_history_is_whole(sandbox, bucket):
    server = sandbox(enrollments=80)
    bucket.use(server)
    assert load(bucket) == 80
    assert load(bucket) == 0
    server.control("POST", "mutate", {"update": 7, "insert": 2})
    (gone,) = server.control("POST", "mutate", {"delete": 1})["deleted"]
    assert load(bucket, "--prove") in {8, 9}  # one of the new or changed may be the one that went
    rows = {row["id"]: row for row in table(bucket, "sequence_enrollments")}
    truth = server.truth()
    assert {key: row["status"] for key, row in rows.items() if row["missing_since"] is None} == {
        key: record["status"] for key, record in truth.items()
    }
    assert gone not in rows or rows[gone]["missing_since"] is not None
    versions = table(bucket, "sequence_enrollments_history")
    newest = {}
    for version in sorted(versions, key=lambda version: version["version"]):
        newest[version["id"]] = version["status"]
    assert newest == {key: row["status"] for key, row in rows.items()}
    assert [run["exit_code"] for run in table(bucket, "runs")] == [0, 0, 0]


def test_the_status_judges_by_the_views_of_a_warehouse(sandbox, bucket):
    server, into = sandbox(enrollments=20), ("--destination", "filesystem")
    bucket.use(server)
    assert "No load has succeeded yet" in bucket.boast("status", *into).out
    assert bucket.boast("status", *into, "--max-age", "26h").code == 1
    assert load(bucket) == 20
    server.control("POST", "mutate", {"delete": 1})
    assert load(bucket) == 0
    done = bucket.boast("status", *into, "--max-age", "26h")
    assert (done.code, done.out.splitlines()[0]) == (0, "Nothing needs attention."), done.err
    found = bucket.boast("status", *into, "--json").json
    health = {name: found["health"][name] for name in ("verified", "listed", "stored", "missing", "waiting")}
    assert health == {"verified": "covered", "listed": 19, "stored": 19, "missing": 1, "waiting": 0}
    assert [run["command"] for run in found["runs"]] == ["load", "load"]
    assert bucket.boast("load", *into, SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN="wrong").code == 1
    later = bucket.boast("status", *into)
    assert "The last run needs attention." in later.out
    assert "HTTP 401" in later.out
    assert bucket.boast("status", *into, "--max-age", "1").code == 1


def test_a_night_says_what_it_leaves_out(sandbox, bucket):
    bucket.use(sandbox(enrollments=20))
    night = bucket.boast("nightly", "--destination", "filesystem", SOURCES__BOAST__REPORT_PATH="report.html")
    assert night.code == 0, night.err
    assert "no report and no copy for dashboards: they are made of views, and this destination has none" in night.err
    assert not (bucket.folder / "report.html").exists()


def test_plain_files_are_refused_with_the_reason(sandbox, bucket):
    bucket.use(sandbox(enrollments=10))
    without = bucket.folder / "without"
    without.mkdir()
    (without / "deltalake.py").write_text("raise ImportError")
    path = os.pathsep.join([str(without), AS_A_USER])
    done = bucket.boast("load", "--destination", "filesystem", "--json", PYTHONPATH=path)
    assert done.code == 2
    assert "Plain files cannot merge" in done.err
    assert INSTALL in done.err
    assert not (bucket.folder / "lake").exists()


def test_reading_what_is_not_there_gives_nothing(bucket, tmp_path, monkeypatch):

    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", (tmp_path / "empty").as_uri())
    pipeline = dlt.pipeline("p", destination="filesystem", dataset_name="d", pipelines_dir=str(tmp_path / "p"))
    assert list(warehouse_of(pipeline).read("nothing", ["id"])) == []


def test_a_format_that_is_not_the_tables_own_is_refused_before_anything_is_loaded(sandbox, bucket, monkeypatch):
    bucket.use(sandbox(enrollments=5))
    for name, value in bucket.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(bucket.folder)
    mine = dlt.pipeline("mine", destination="filesystem", dataset_name="boast_data", pipelines_dir="p")
    with pytest.raises(PipelineStepFailed, match="The table format iceberg is not that of this warehouse"):
        mine.run(boast_source(), table_format="iceberg")
    with pytest.raises(PipelineStepFailed, match="Delta and Iceberg tables are made of Parquet files"):
        mine.run(boast_source(), loader_file_format="jsonl")
    assert list((bucket.folder / "lake").rglob("*.parquet")) == []


@pytest.mark.parametrize("refresh", ["drop_sources", "drop_resources", "drop_data"])
def test_dlts_refresh_modes_load_again_and_never_touch_the_history(sandbox, bucket, monkeypatch, refresh):
    server = sandbox(enrollments=40)
    bucket.use(server)
    for name, value in bucket.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(bucket.folder)
    mine = dlt.pipeline("mine", destination="filesystem", dataset_name="boast_data", pipelines_dir="p")
    mine.run(boast_source())
    server.control("POST", "mutate", {"update": 6})
    for chosen in (None, "sequence_enrollments"):
        source = boast_source()
        mine.run(source.with_resources(chosen) if chosen else source, refresh=refresh)
        rows = {row["id"]: row["status"] for row in table(bucket, "sequence_enrollments")}
        assert rows == {key: record["status"] for key, record in server.truth().items()}
        assert len(table(bucket, "sequence_enrollments_history")) == 46


def test_files_that_no_version_needs_are_removed_and_small_ones_joined(sandbox, bucket, monkeypatch, tmp_path):
    server = sandbox(enrollments=40)
    bucket.use(server)
    for name, value in bucket.env.items():
        monkeypatch.setenv(name, value)
    for _ in range(3):
        server.control("POST", "mutate", {"update": 5, "insert": 1})
        load(bucket)
    folder = bucket.folder / "lake" / "boast_data"
    before = {name: table(bucket, name) for name in ("sequence_enrollments", "sequence_enrollments_history", "runs")}
    lying = {name: len(list((folder / name).glob("*.parquet"))) for name in before}
    pipeline = dlt.pipeline(
        "boast", destination="filesystem", dataset_name="boast_data", pipelines_dir=str(tmp_path / "p")
    )
    warehouse_of(pipeline).tidy(datetime.now(timezone.utc) - timedelta(days=1), kept_hours=0, most_files=1)
    for name, rows in before.items():
        key = "run_id" if name == "runs" else "version_key" if "history" in name else "id"
        assert sorted(table(bucket, name), key=lambda row: row[key]) == sorted(rows, key=lambda row: row[key])
        assert len(list((folder / name).glob("*.parquet"))) == 1 < lying[name]
    warehouse_of(pipeline).tidy(datetime.now(timezone.utc))
    assert table(bucket, "runs") == []
    assert load(bucket) == 0


def test_runs_over_single_accounts_compare_with_the_same_tables(sandbox, bucket):
    server = sandbox(enrollments=80, accounts=2)
    bucket.use(server)
    key, *_ = sorted(server.truth())

    def edit(score):
        server.control("POST", "mutate", {"edits": [{"id": key, "set": {"score": score, "deep": {"a": [1, None]}}}]})

    edit("n/a")
    assert load(bucket) == 80
    for account in server.account_ids:
        assert load(bucket, "--account", account) == 0
    edit(3)  # a change of type, seen by a pipeline that has never seen the field
    (gone,) = server.control("POST", "mutate", {"delete": 1})["deleted"]
    assert sum(load(bucket, "--account", account) for account in server.account_ids) == (0 if gone == key else 1)
    assert load(bucket) == 0
    rows = {row["id"]: row for row in table(bucket, "sequence_enrollments")}
    assert [row["id"] for row in rows.values() if row["missing_since"]] == [gone]
    assert gone == key or rows[key]["score"] == "3"
    assert len(table(bucket, "sequence_enrollments_history")) == 81 + (gone != key)
    server.control("POST", "faults", {"kind": "wrong_shape", "data": [], "path": "sequence_enrollments$"})
    for account in server.account_ids:
        done = bucket.boast("load", "--destination", "filesystem", "--json", "--account", account)
        assert done.code == 3
        assert "too many to believe" in done.out
    assert [row["id"] for row in table(bucket, "sequence_enrollments") if row["missing_since"]] == [gone]


def test_runs_over_single_accounts_side_by_side_lose_nothing(sandbox, bucket):
    server = sandbox(enrollments=90, accounts=3)
    bucket.use(server)
    load(bucket, "--account", server.account_ids[0])
    for _ in range(2):
        server.control("POST", "mutate", {"update": 20, "insert": 5})
        arguments = ("load", "--destination", "filesystem", "--json", "--account")
        for process in [bucket.start(*arguments, account) for account in server.account_ids]:
            done = finish(process)
            assert done.code == 0, done.err
        rows = table(bucket, "sequence_enrollments")
        assert {row["id"]: row["status"] for row in rows} == {k: r["status"] for k, r in server.truth().items()}
        assert len(rows) == len(server.truth())
        versions = table(bucket, "sequence_enrollments_history")
        assert len({(row["id"], row["version"]) for row in versions}) == len(versions)
    assert load(bucket) == 0
