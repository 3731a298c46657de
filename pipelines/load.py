"""A dlt script to copy and edit: load sequence enrollments into DuckDB. Run `python pipelines/load.py`."""

import dlt

from boast_source import boast_source

if __name__ == "__main__":
    pipeline = dlt.pipeline("boast_copy", destination="duckdb", dataset_name="boast_data")
    source = boast_source().with_resources("sequence_enrollments", "sequence_enrollments_history", "sequences")
    print(pipeline.run(source))
