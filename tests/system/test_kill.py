"""kill -9 at any moment: the next run ends right, and does its own work too."""

from __future__ import annotations

import os
import random
import time

from deltalake import DeltaTable

from tests.support.workplace import DYING, finish, stored

ONLY = ("load", "--resources", "sequence_enrollments", "--json")
PIPELINE = "dlt.pipeline.pipeline:Pipeline"
# listed and compared; between dlt's steps; between the merges of two tables; before the package counts as loaded
STAGES = {
    "duckdb": [
        "after 1 boast_source.listing.listing:Listing.prepare",
        f"after 1 {PIPELINE}.extract",
        f"after 1 {PIPELINE}.normalize",
        "after 1 boast_source.warehouse.duckdb:_MergeJob.run",
        "after 2 boast_source.warehouse.duckdb:_MergeJob.run",
        "before 1 dlt.destinations.job_client_impl:SqlJobClientBase.complete_load",
        f"after 1 {PIPELINE}.load",
        "after 1 boast_source.listing.listing:Listing.verify",
    ],
    "postgres": [
        f"after 1 {PIPELINE}.extract",
        f"after 1 {PIPELINE}.normalize",
        "after 1 dlt.destinations.job_client_impl:SqlLoadJob.run",
        "after 2 dlt.destinations.job_client_impl:SqlLoadJob.run",
        "before 1 dlt.destinations.job_client_impl:SqlJobClientBase.complete_load",
        f"after 1 {PIPELINE}.load",
    ],
    "filesystem": [
        f"after 1 {PIPELINE}.normalize",
        "after 1 dlt.destinations.impl.filesystem.filesystem:DeltaLoadFilesystemJob.run",
        "after 2 dlt.destinations.impl.filesystem.filesystem:DeltaLoadFilesystemJob.run",
        "before 1 dlt.destinations.impl.filesystem.filesystem:FilesystemClient.complete_load",
        f"after 1 {PIPELINE}.load",
    ],
}
COLUMNS = ("id", "status", "missing_since")

KILLS = int(os.environ.get("BOAST_KILLS", "5"))  # `make soak` asks for many more


def history_holds_every_stored_version(workplace):
    """Each row of the table is the newest version of its id in the history."""
    missing = workplace.sql(
        "select e.id from boast_data.sequence_enrollments e left join ("
        " select * from boast_data.sequence_enrollments_history"
        " qualify row_number() over (partition by id order by version desc) = 1) h using (id)"
        " where h.id is null or h.status is distinct from e.status or h.updated_at is distinct from e.updated_at"
        " or (h.missing_since is null) is distinct from (e.missing_since is null)"
    )
    return missing == []


def test_killed_at_random_moments_the_next_run_ends_right(sandbox, workplace):
    server = sandbox(enrollments=400, page_size=50)
    workplace.use(server)
    rng = random.Random(11)
    arguments = ("load", "--resources", "sequence_enrollments")
    began = time.monotonic()
    assert workplace.boast(*arguments).code == 0
    usual = time.monotonic() - began
    for _ in range(KILLS):
        server.control("POST", "mutate", {"update": 20, "insert": 5, "delete": 1})
        process = workplace.start(*arguments)
        time.sleep(rng.uniform(0.3, 1.1) * usual)
        process.kill()
        finish(process)
        server.control("POST", "mutate", {"update": 3, "insert": 2})  # what the crashed run cannot know
        done = workplace.boast(*arguments)
        assert done.code == 0, done.err + done.out
        assert stored(workplace) == server.truth()
        assert history_holds_every_stored_version(workplace)
    counts = "select count(*) = count(distinct id) from boast_data.sequence_enrollments"
    assert workplace.sql(counts) == [(True,)]
    keys = "select count(*) = count(distinct version_key) from boast_data.sequence_enrollments_history"
    assert workplace.sql(keys) == [(True,)]


def of_the_lake(workplace, name):
    return DeltaTable(str(workplace.folder / "lake" / "boast_data" / name)).to_pyarrow_table().to_pylist()


def killed_at_each_stage(server, workplace, destination, read):
    """`read(table, columns)`: the rows of a table as tuples."""
    arguments = (*ONLY, "--destination", destination)
    first = workplace.boast(*arguments)
    assert first.code == 0, first.err
    for stage in STAGES[destination]:
        server.control("POST", "mutate", {"update": 7, "insert": 3, "delete": 1})
        died = workplace.boast(*arguments, DIE_AT=stage, PYTHONPATH=DYING, RUNTIME__DLTHUB_TELEMETRY="false")
        assert died.code == -9, (stage, died.err)
        server.control("POST", "mutate", {"update": 3, "insert": 1})  # what the crashed run cannot know
        done = workplace.boast(*arguments)
        assert done.code == 0, (stage, done.err)
        rows = read("sequence_enrollments", COLUMNS)
        assert len(rows) == len({row[0] for row in rows}), stage
        there = {key: status for key, status, missing in rows if missing is None}
        assert there == {key: record["status"] for key, record in server.truth().items()}, stage
        versions = sorted(read("sequence_enrollments_history", ("id", "version", *COLUMNS[1:])), key=lambda v: v[1])
        assert len(versions) == len({version[:2] for version in versions}), stage
        newest = {key: (status, missing is None) for key, _, status, missing in versions}
        assert newest == {key: (status, missing is None) for key, status, missing in rows}, stage


def test_killed_at_each_stage_on_duckdb_the_next_run_ends_right(sandbox, workplace):
    server = sandbox(enrollments=120, page_size=20)
    workplace.use(server)
    killed_at_each_stage(
        server,
        workplace,
        "duckdb",
        lambda table, columns: workplace.sql(f"select {', '.join(columns)} from boast_data.{table}"),
    )


def test_killed_at_each_stage_on_postgres_the_next_run_ends_right(sandbox, workplace, postgres):
    server = sandbox(enrollments=120, page_size=20)
    workplace.use(server).env |= postgres.env
    killed_at_each_stage(
        server,
        workplace,
        "postgres",
        lambda table, columns: postgres.sql(f"select {', '.join(columns)} from boast_data.{table}"),
    )


def test_killed_at_each_stage_on_delta_tables_the_next_run_ends_right(sandbox, workplace):
    server = sandbox(enrollments=120, page_size=20)
    workplace.use(server, DESTINATION__FILESYSTEM__BUCKET_URL=(workplace.folder / "lake").as_uri())
    killed_at_each_stage(
        server,
        workplace,
        "filesystem",
        lambda table, columns: [tuple(row.get(c) for c in columns) for row in of_the_lake(workplace, table)],
    )
