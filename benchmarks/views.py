"""What dashboards ask, at 1,000,000 enrollments of 3 versions each: `python -m benchmarks.views [--rows N] [--runs N]`.

The tables are made by SQL; then, in DuckDB: typical queries over each view, and as processes of their own the report
and the copy for dashboards. Seconds, medians.
"""

from __future__ import annotations

import argparse
import os
import time
from statistics import median

import duckdb

from benchmarks.measure import BOAST, PYTHON, Folder

MADE = """
create schema boast_data; use boast_data;
create table base as
    select i, uuid()::varchar as id, 'account' || i % 2 as account_id, 'sequence' || i % 40 as sequence_id,
        uuid()::varchar as contact_id, hash(i) % 100 as luck, (hash(i + 7) % (86400 * 40))::bigint as seconds,
        timestamptz '2025-01-01' + (i * (600 * 86400 / {rows}.0))::bigint * interval 1 second as created_at
    from range({rows}) t(i);
create table sequence_enrollments_history as
    select *, row_number() over () || '-key' as version_key, hash(id)::varchar as content_hash from (
        select id, contact_id, sequence_id, null::varchar as response_id, 'active' as status, created_at,
            created_at as updated_at, account_id, null::timestamptz as missing_since, 1::bigint as version,
            created_at + interval 3 hour as observed_at from base
        union all
        select id, contact_id, sequence_id, null, if(luck < 10, 'removed', 'active'), created_at,
            created_at + seconds // 2 * interval 1 second, account_id, null, 2,
            created_at + seconds // 2 * interval 1 second + interval 3 hour from base
        union all
        select id, contact_id, sequence_id, if(luck between 10 and 40, 'response' || i, null),
            case when luck < 10 then 'removed' when luck < 70 then 'completed' else 'active' end, created_at,
            created_at + seconds * interval 1 second, account_id,
            if(luck = 5, created_at + seconds * interval 1 second, null), 3,
            created_at + seconds * interval 1 second + interval 4 hour from base
    ) order by observed_at;
create table sequence_enrollments as
    select * exclude (version, version_key, content_hash, observed_at)
    from sequence_enrollments_history where version = 3;
create table responses as
    select response_id as id, updated_at as created, account_id from sequence_enrollments where response_id is not null;
create table sequences as
    select distinct sequence_id as id, 'Sequence ' || sequence_id as name, account_id from sequence_enrollments;
create table runs as
    select 'run' as run_id, 'load' as command, now() as started_at, now() as finished_at, 'ok' as status,
        0::bigint as exit_code, 'exact' as verified, {rows}::bigint as listed, {rows}::bigint as loaded,
        0::bigint as missing, null::bigint as sent, null::bigint as refused, null::bigint as unknown,
        null::bigint as held, '0' as version, null::varchar as error, null::varchar as account_ids;
drop table base;
"""
QUERIES = {
    "status of all at a moment": "select status, count(*) from enrollment_history where valid_from <= '2025-09-01'"
    " and (valid_to > '2025-09-01' or valid_to is null) group by 1",
    "the life of one enrollment": "from enrollment_history where id = '{id}'",
    "active per day": "select day, sum(active), sum(enrolled) from enrollment_daily group by 1 order by 1",
    "one sequence per day": "from enrollment_daily where sequence_id = 'sequence7' order by day",
    "all sequences": "from sequence_performance",
    "cohorts": "select month, sum(enrolled), sum(responded_in_30_days) from enrollment_cohorts group by 1 order by 1",
    "hours to respond by weekday": "select dayofweek(enrolled_at), median(hours_to_respond)"
    " from enrollment_milestones group by 1",
    "health": "from pipeline_health",
}
PUBLISH = (
    "from boast_source.warehouse.pipeline import warehouse_for;"
    " from boast_source.outputs.copy import publish\n"
    "with warehouse_for('duckdb', 'boast_data').open(patience=5) as held:"
    " publish(held, 'bi/boast.duckdb', (), print)"
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.views", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="enrollments; each has three versions")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with Folder() as folder:
        with duckdb.connect(str(folder.path / "boast.duckdb")) as connection:
            connection.execute(MADE.format(rows=given.rows))
        report = [BOAST, "report"]
        folder.run(report, "http://127.0.0.1:9", 1)  # makes the views
        print(f"{given.rows:,} enrollments of 3 versions, {os.cpu_count()} cores, DuckDB {duckdb.__version__}\n")
        print("| what | seconds |\n|---|--:|")
        with duckdb.connect(str(folder.path / "boast.duckdb"), read_only=True) as connection:
            connection.execute("use boast_data")
            (some,) = connection.execute("select min(id) from sequence_enrollments").fetchone() or ("",)
            for name, query in QUERIES.items():
                print(f"| {name} | {median(_timed(connection, query, str(some)) for _ in range(given.runs)):.2f} |")
        for name, command in (("`boast report`", report), ("the copy for dashboards", [PYTHON[0], "-c", PUBLISH])):
            runs = [folder.run(command, "http://127.0.0.1:9", 1) for _ in range(given.runs)]
            print(f"| {name}, process start included | {median(run.seconds for run in runs):.2f} |", flush=True)


def _timed(connection: duckdb.DuckDBPyConnection, query: str, some: str) -> float:
    began = time.perf_counter()
    connection.execute(query.format(id=some)).fetchall()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
