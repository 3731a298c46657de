"""dlt's own `rest_api` source on the same list: upsert by id, all else as dlt sets it.

`python -m benchmarks.rest_api BASE_URL [parquet]`
"""

from __future__ import annotations

import sys

import dlt
from dlt.sources.rest_api import rest_api_source

from benchmarks.fetch import LIST


def load(base_url: str, loader_file_format: str | None) -> None:
    source = rest_api_source(
        {
            "client": {
                "base_url": base_url,
                "auth": {"type": "bearer", "token": "x"},
                "paginator": {"type": "page_number", "base_page": 1, "total_path": "meta.pagination.pages"},
            },
            "resources": [
                {
                    "name": "sequence_enrollments",
                    "endpoint": {"path": LIST.lstrip("/"), "data_selector": "data"},
                    "primary_key": "id",
                    "write_disposition": {"disposition": "merge", "strategy": "upsert"},
                }
            ],
        },
        name="boast",
    )
    pipeline = dlt.pipeline("boast", destination="duckdb", dataset_name="boast_data")
    pipeline.run(source, loader_file_format=loader_file_format)  # type: ignore[arg-type]


if __name__ == "__main__":
    load(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
