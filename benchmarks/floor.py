"""The bare floor: what a load costs with no connector at all. No history, no comparison, no retry, no second run.

`requests` in threads, orjson, one Arrow table, one DuckDB insert: `python -m benchmarks.floor BASE_URL WORKERS`
"""

from __future__ import annotations

import sys

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.fetch import with_requests

COLUMNS = ("id", "contact_id", "sequence_id", "response_id", "status", "created_at", "updated_at")


def load(base_url: str, workers: int) -> None:
    records = [record for page in with_requests(base_url, workers) for record in page]
    table = pa.Table.from_pylist(records, schema=pa.schema([(name, pa.string()) for name in COLUMNS]))
    for name in ("created_at", "updated_at"):
        moments = pc.cast(table[name], pa.timestamp("us", "UTC"))
        table = table.set_column(table.schema.get_field_index(name), name, moments)
    with duckdb.connect("boast.duckdb") as connection:
        connection.execute("create schema boast_data")
        connection.register("incoming", table)
        connection.execute("create table boast_data.sequence_enrollments as from incoming")


if __name__ == "__main__":
    load(sys.argv[1], int(sys.argv[2]))
