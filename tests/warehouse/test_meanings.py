"""The catalog of a warehouse that has everything, against models/schema.yml: names, types and comments."""

from __future__ import annotations

import pytest

from boast_source.jobs.nightly import nightly_job
from boast_source.models import catalog, comments
from boast_source.models.schema import relations
from tests.support.sandbox_client import client_of


@pytest.fixture
def full(place, sandbox, monkeypatch):
    """A warehouse after a night that loaded every list and enrolled somebody."""
    server = sandbox(enrollments=30)
    monkeypatch.setenv("SOURCES__BOAST__REPORT_PATH", "")
    for name, value in server.info["env"].items():
        monkeypatch.setenv(name, value)
    with client_of(server) as client:
        contacts, sequences = client.every("contacts"), client.every("sequences")
    busy = {(e["contact_id"], e["sequence_id"]) for e in server.truth().values()}
    free = next((c["id"], s["id"]) for c in contacts for s in sequences if (c["id"], s["id"]) not in busy)
    asked = [dict(zip(("contact_id", "sequence_id"), free, strict=True))]
    place.table("pending_enrollments", {"contact_id": "text", "sequence_id": "text"}, asked)
    assert nightly_job(place.kind, "boast_data", new_ledger=True).exit_code == 0
    assert place.rows("select state from boast_data.push_requests") == [("enrolled",)]
    return place


def test_the_catalog_and_the_file_name_the_same_tables_and_columns_in_the_same_types(full):
    there = {name: columns for name, columns in full.types().items() if not name.startswith("_dlt")}
    assert there.pop("pending_enrollments")
    expected = full.declared_types()
    assert there == expected
    assert {name: list(columns) for name, columns in there.items()} == {n: list(c) for n, c in expected.items()}


def test_every_table_view_and_column_carries_its_description_and_the_users_table_none(full):
    found = {
        (table, column): said
        for table, column, said, _ in full.rows(catalog.QUERIES[full.kind].replace("%s", "'boast_data'"))
    }
    expected = {
        (table, name): relation.columns[name].description if name else relation.description
        for table, relation in relations().items()
        for name in (None, *relation.columns)
    }
    assert {key: said for key, said in found.items() if said} == expected
    assert found["pending_enrollments", "contact_id"] is None

    written = []

    class Watched:
        def __getattr__(self, name):
            return getattr(full.client, name)

        def execute_sql(self, sql, *args):
            written.append(sql)
            return full.client.execute_sql(sql, *args)

    comments.comment(Watched())
    assert len(written) == 1, "comments that are there are written again"
