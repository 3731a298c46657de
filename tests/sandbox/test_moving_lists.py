"""The list changes by the clock while eight workers read it over real HTTP: what was there throughout is stored."""

from __future__ import annotations

import random
import threading
import time

import dlt
import pytest

from boast_source import BoastClient
from boast_source.listing.report import Options
from boast_source.load.load import load
from boast_source.warehouse import warehouse_of

ONLY = ["sequence_enrollments"]
STORED = (
    "select id, status, strftime(updated_at at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%g') || 'Z' from"
    " d.sequence_enrollments where missing_since is null"
)


class Changes:
    """So many changes a second until the block ends; `true` collects every content that an enrollment ever had."""

    def __init__(self, server, rate, true):
        self.server, self.rate, self.rng, self.true = server, rate, random.Random(rate), true
        self.made = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go)

    def __enter__(self):
        self.before = set(self.note())
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self.throughout = self.before & set(self.note())

    def note(self):
        truth = self.server.truth()
        for key, record in truth.items():
            self.true.setdefault(key, set()).add((record["status"], record["updated_at"]))
        return truth

    def _go(self):
        due = time.monotonic()
        while not self._stop.is_set():
            self.server.control("POST", "mutate", {self.rng.choice(["update", "insert", "delete", "touch"]): 1})
            self.note()
            self.made += 1
            due += 1 / self.rate
            self._stop.wait(max(0.0, due - time.monotonic()))


@pytest.mark.parametrize(
    ("order", "rate"),
    [("created_asc", 50), ("created_desc", 50), ("updated_asc", 50), ("updated_desc", 50), ("updated_asc", 1)],
)
def test_a_list_that_changes_by_the_clock_loses_nothing_that_was_there_throughout(sandbox, tmp_path, order, rate):
    server = sandbox(enrollments=400, page_size=20, order=order, latency=0.01)
    pipeline = dlt.pipeline(
        "clocked",
        destination=dlt.destinations.duckdb(str(tmp_path / "b.duckdb")),
        dataset_name="d",
        pipelines_dir=str(tmp_path / "p"),
    )

    def run(*, prove):
        with BoastClient(server.access_token, base_url=server.base_url) as client:
            return load(
                warehouse_of(pipeline), client, Options(workers=8, prove=prove, keep_going=True), resources=ONLY
            )

    def stored():
        with pipeline.sql_client() as client:
            return {key: tuple(content) for key, *content in client.execute_sql(STORED)}

    true: dict[str, set[tuple]] = {}
    for prove in (False, True):
        with Changes(server, rate, true) as changes:
            done = run(prove=prove)
        rows = stored()
        if done.verified == "exact":
            assert changes.throughout <= set(rows)
        assert changes.made >= min(rate, 5) / 2
        assert all(content in true[key] for key, content in rows.items())
        assert done.verified != "failed"
    assert run(prove=True).verified == "exact"  # nothing changes any more
    assert stored() == {key: (r["status"], r["updated_at"]) for key, r in server.truth().items()}
