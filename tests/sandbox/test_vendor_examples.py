"""The vendor's own examples, served as they are documented, are stored whole and in their own columns."""

from __future__ import annotations

import json
from pathlib import Path

import dlt
import pyarrow as pa
import pytest

from boast_source import boast_source
from boast_source.shapes import SHAPES
from tests.support.http_server import page, serving

EXAMPLES = json.loads((Path(__file__).parent.parent / "support" / "vendor_examples.json").read_text())
JSON_FIELDS = {"fields__photo", "additional_fields", "tags"}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads from a server that has one record of each list, `meta` left out as in the documentation."""
    monkeypatch.chdir(tmp_path)
    pipeline = dlt.pipeline("p", destination="duckdb", dataset_name="d", pipelines_dir=str(tmp_path / "p"))

    def answer(request):
        return page(EXAMPLES[request.target.split("?")[0].rpartition("/")[2]])

    def load():
        with serving(answer) as server:
            pipeline.run(boast_source("x", base_url=f"{server.url}/v1"))
        return pipeline

    load.pipeline = pipeline
    return load


def flattened(record, prefix=""):
    for name, value in record.items():
        if isinstance(value, dict) and prefix + name not in JSON_FIELDS:
            yield from flattened(value, f"{prefix}{name}__")
        else:
            yield prefix + name, value


def row_of(pipeline, name):
    with pipeline.sql_client() as client, client.execute_query(f"select * from {name}") as cursor:
        (row,) = cursor.fetchall()
        return dict(zip(cursor.columns_schema, row, strict=True))


def test_each_documented_value_is_stored_in_its_own_column(load):
    pipeline = load()
    for name in SHAPES:
        row = row_of(pipeline, name)
        assert [column for column in row if column.endswith("__v_text")] == []
        for field, value in flattened(EXAMPLES[name]):
            assert field in SHAPES[name].columns, f"{name}.{field} is documented"
            assert (row[field] is None) == (value is None), f"{name}.{field}"
            if isinstance(value, str) and SHAPES[name].columns[field] == "text":
                assert row[field] == value


def test_a_consent_that_an_earlier_version_stored_as_boolean_keeps_its_column_and_loses_no_word(load):
    record = {"id": EXAMPLES["responses"]["id"], "consent": True, "account_id": EXAMPLES["accounts"]["id"]}
    earlier = pa.Table.from_pylist([record])
    disposition = {"disposition": "merge", "strategy": "upsert"}
    load.pipeline.run(earlier, table_name="responses", primary_key="id", write_disposition=disposition)
    row = row_of(load(), "responses")
    assert (row["consent"], row["consent__v_text"]) == (None, "received")
