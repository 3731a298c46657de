"""What a run left behind: `python -m benchmarks.stored` prints rows and distinct ids of the DuckDB file it finds."""

from __future__ import annotations

import duckdb

if __name__ == "__main__":
    with duckdb.connect("boast.duckdb", read_only=True) as connection:
        counts = connection.execute("select count(*), count(distinct id) from boast_data.sequence_enrollments")
        print(*(counts.fetchone() or ()))
