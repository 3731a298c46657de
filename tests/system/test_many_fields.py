"""Thousands of undocumented fields load in time, and nothing of them is lost: `make soak` takes 100,000 rows."""

from __future__ import annotations

import os
import sys

import duckdb

from benchmarks.measure import Folder, serving

ROWS = int(os.environ.get("BOAST_ROWS", "10000"))
FIELDS, IN_EACH, COLUMNS = 5000, 5, 200
MINUTE = 60.0  # seconds of a processor, which a busy machine does not lengthen as it does a clock's


def test_5000_fields_load_in_less_than_a_minute(tmp_path):
    load = [sys.executable, "-m", "boast_source", "load", "--resources", "sequence_enrollments"]
    with serving(ROWS, 100, 0, fields=FIELDS) as url, Folder({"HOME": str(tmp_path)}) as folder:
        run = folder.run(load, url, 8)
        assert folder.stored() == (ROWS, ROWS)
        with duckdb.connect(str(folder.path / "boast.duckdb")) as connection:
            columns = {name for name, *_ in connection.sql("describe boast_data.sequence_enrollments").fetchall()}
            own = sorted(name for name in columns if name[0] == "f" and name[1:].isdigit())
            rest = "coalesce(len(json_keys(other_fields)), 0)"
            filled = " + ".join([rest, *(f"({name} is not null)::int" for name in own)])
            found = connection.sql(
                f"select {filled}, count(*) from boast_data.sequence_enrollments group by 1"
            ).fetchall()
    assert len(own) == COLUMNS
    assert found == [(IN_EACH, ROWS)]
    assert run.cpu < MINUTE, run
