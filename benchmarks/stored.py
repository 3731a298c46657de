"""What a run left behind: `python -m benchmarks.stored` prints rows and distinct ids of the DuckDB file it finds, or of
the Postgres database that the environment names.
"""

from __future__ import annotations

import os

import duckdb

from benchmarks.postgres import CREDENTIALS

COUNTS = "select count(*), count(distinct id) from boast_data.sequence_enrollments"


def stored() -> tuple[int, ...]:
    if CREDENTIALS not in os.environ:
        with duckdb.connect("boast.duckdb", read_only=True) as connection:
            return connection.execute(COUNTS).fetchone() or ()
    import psycopg2  # noqa: PLC0415 -- with the extra only

    with psycopg2.connect(os.environ[CREDENTIALS]) as connection, connection.cursor() as cursor:
        cursor.execute(COUNTS)
        return cursor.fetchone() or ()


if __name__ == "__main__":
    print(*stored())
