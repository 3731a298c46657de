"""Any schedule of changes, runs and crashes against a plain API: what is stored was true, and nothing is forgotten.

`BOAST_SCHEDULES` (default 12) schedules go through sweep and comparison into a real DuckDB with the merges written
here; a thirtieth as many go through whole loads with dlt. `make soak` runs thousands.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import dlt
import pytest
from hypothesis import HealthCheck, Phase, settings

from boast_source.listing.listing import listing_of
from boast_source.load.load import load
from boast_source.load.source import HISTORY, source_of
from boast_source.shapes import SEQUENCE_ENROLLMENTS as SHAPE
from boast_source.warehouse import warehouse_of
from tests.support.load_schedule import Schedule

SCHEDULES = int(os.environ.get("BOAST_SCHEDULES", "12"))


@pytest.fixture(scope="module", autouse=True)
def file():
    """One DuckDB file, kept open, for all schedules that make their merges themselves."""
    folder = tempfile.mkdtemp(prefix="boast-model-")
    pipeline = dlt.pipeline(
        "model",
        destination=dlt.destinations.duckdb(f"{folder}/model.duckdb"),
        dataset_name="swift",
        pipelines_dir=folder,
    )
    with warehouse_of(pipeline).open(patience=1) as found:
        found.client.create_dataset()
        Swift.warehouse, Swift.connection = found, found.client.native_connection
        yield
    shutil.rmtree(folder)


class Swift(Schedule):
    """Sweep, comparison and verification as they are; the two merges as dlt makes them, in SQL."""

    schema = "swift"

    def __init__(self):
        super().__init__()
        self.kinds: dict[str, str] = {}
        self.fields: dict[str, str] = {}
        self.close()

    def sql(self, query):
        with self.connection.cursor() as cursor:
            cursor.execute("use swift")
            return cursor.execute(query).fetchall()

    def run_load(self, options, outcome):
        listing = listing_of(self.api, options)
        try:
            listing.prepare(SHAPE, self.warehouse, self.kinds or None, self.fields)
            batches = [(SHAPE.name, "id", list(listing.rows(SHAPE)))]
            batches += [(HISTORY, "version_key", list(listing.versions(SHAPE, self.warehouse)))]
            left_out = {"table only": HISTORY, "history only": SHAPE.name}.get(outcome)
            if outcome != "nothing":
                self.fields |= listing.fields(SHAPE)
                for table, key, rows in batches:
                    for batch in rows:
                        self.merge(table, key, batch.slice(0, 0) if table == left_out else batch)
                self.kinds = {column.name: column.kind for column in listing._lists[SHAPE.name].columns}
            if outcome == "whole":
                listing.verify(self.warehouse)
            return [report for report in listing.reports if report.resource == SHAPE.name]
        finally:
            listing.close()

    def merge(self, table, key, rows):
        with self.connection.cursor() as cursor:
            cursor.execute("use swift")
            cursor.register("incoming", rows)
            cursor.execute(f"create table if not exists {table} as from incoming limit 0")
            known = {row[0] for row in cursor.execute(f"describe {table}").fetchall()}
            for name, kind, *_ in cursor.execute("describe incoming").fetchall():
                if name not in known:
                    cursor.execute(f"alter table {table} add column {name} {kind}")
            if key == "id":
                cursor.execute(f"delete from {table} where id in (select id from incoming)")
            cursor.execute(f"insert into {table} by name from incoming where {key} not in (select {key} from {table})")

    def close(self):
        for table in (SHAPE.name, HISTORY):
            self.sql(f"drop table if exists {table}")


class Whole(Schedule):
    """Whole loads with dlt; "pending" is one that died before its package was loaded."""

    schema = "whole"
    outcomes = ("whole", "pending", "table only", "history only")

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="boast-model-"))

    def pipeline(self):
        return dlt.pipeline(
            "whole",
            destination=dlt.destinations.duckdb(str(self.folder / "boast.duckdb")),
            dataset_name="whole",
            pipelines_dir=str(self.folder / "pipelines"),
        )

    def sql(self, query):
        with self.pipeline().sql_client() as client:
            client.native_connection.execute(f"create schema if not exists {self.schema}")
            return client.native_connection.execute(f"use {self.schema}").execute(query).fetchall()

    def run_load(self, options, outcome):
        pipeline = self.pipeline()
        if outcome == "pending":
            with contextlib.closing(listing_of(self.api, options)) as listing:
                pipeline.extract(source_of(listing).with_resources(SHAPE.name, HISTORY))
                pipeline.normalize()
            return []
        undone = {"table only": HISTORY, "history only": SHAPE.name}.get(outcome)
        if undone and not self.columns(undone):
            outcome = undone = None
        if undone:
            self.sql(f"create or replace table before as from {undone}")
        done = load(warehouse_of(pipeline), self.api, options, resources=[SHAPE.name])
        if undone:
            self.sql(f"delete from {undone}")
            self.sql(f"insert into {undone} by name from before")
            shutil.rmtree(pipeline.working_dir)  # what could have finished it died with it
        return done.enrollments

    def close(self):
        shutil.rmtree(self.folder)


def _of(machine, count, steps):
    case = machine.TestCase
    case.settings = settings(
        max_examples=count,
        stateful_step_count=steps,
        deadline=None,
        derandomize="BOAST_SCHEDULES" not in os.environ,
        database=None,
        phases=[Phase.generate],  # to shrink takes minutes; a schedule is short enough to read
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    return case


TestSweepAndComparison = _of(Swift, SCHEDULES, 8)
TestWholeLoads = _of(Whole, max(2, SCHEDULES // 30), 5)
