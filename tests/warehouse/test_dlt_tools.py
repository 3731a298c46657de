"""What dlt's own tools show: meanings and relations in its schema, the views in its dataset."""

from __future__ import annotations

import dlt

from boast_source import boast_source, create_views, dataset, verify
from boast_source.models.schema import relations
from boast_source.shapes import HISTORY, SHAPES, VIEWS


def loaded(sandbox, tmp_path, monkeypatch):
    server = sandbox(enrollments=30)
    for name, value in server.info["env"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "state"))
    pipeline = dlt.pipeline("mine", destination="duckdb", dataset_name="boast_data")
    pipeline.run(boast_source())
    return server, pipeline


def test_every_table_and_column_of_dlts_schema_has_its_meaning_and_its_relations(sandbox, tmp_path, monkeypatch):
    server, pipeline = loaded(sandbox, tmp_path, monkeypatch)
    first = pipeline.default_schema
    for name in (*SHAPES, HISTORY):
        table, relation = first.tables[name], relations()[name]
        assert table["description"] == relation.description
        said = {c: column.get("description") for c, column in table["columns"].items() if not c.startswith("_dlt_")}
        assert said == {c: column.description for c, column in relation.columns.items()}
        assert table.get("references", []) == relation.references
    (form,) = [r for r in first.tables["responses"]["references"] if r["columns"] == ["form_id"]]
    assert (form["referenced_table"], form["referenced_columns"]) == ("forms", ["id"])

    for change in ({}, {"update": 2}, {"insert": 1}):
        server.control("POST", "mutate", change)
        pipeline.run(boast_source())
    assert (pipeline.default_schema.version, pipeline.default_schema.version_hash) == (
        first.version,
        first.version_hash,
    )
    with pipeline.sql_client() as client:
        assert client.execute_sql("select count(*) from _dlt_version") == [(1,)]


def test_the_dataset_has_the_views_and_leaves_dlts_schema_alone(sandbox, tmp_path, monkeypatch):
    server, pipeline = loaded(sandbox, tmp_path, monkeypatch)
    create_views(pipeline)
    before = pipeline.default_schema.version_hash
    found = dataset(pipeline)
    assert set(VIEWS) <= set(found.tables)
    rates = found["sequence_performance"].select("sequence_name", "enrolled").fetchall()
    assert sum(enrolled for _, enrolled in rates) == len(server.truth()) == 30
    assert found("select count(*) from enrollment_milestones where status = 'active'").fetchall()
    for name in VIEWS:
        assert len(found[name].limit(1).fetchall()) <= 1
    described = found.schema.tables["sequence_performance"]["columns"]["response_rate"]["description"]
    assert described == relations()["sequence_performance"].columns["response_rate"].description
    assert pipeline.default_schema.version_hash == before
    assert "sequence_performance" not in pipeline.default_schema.tables


def test_a_script_that_verifies_has_runs_so_that_its_freshness_is_known(sandbox, tmp_path, monkeypatch):
    _, pipeline = loaded(sandbox, tmp_path, monkeypatch)
    create_views(pipeline)
    found = dataset(pipeline)
    assert found["runs"].fetchall() == []
    checked = verify(pipeline)
    columns = ("run_id", "command", "status", "exit_code", "verified", "listed", "loaded", "account_ids")
    assert found["runs"].select(*columns).fetchall() == [(checked.run_id, "verify", "ok", 0, "covered", 30, 30, None)]
    assert found["good_runs"].select("run_id").fetchall() == [(checked.run_id,)]
    health = ("verified", "listed", "stored", "last_command", "last_status")
    assert found["pipeline_health"].select(*health).fetchall() == [("covered", 30, 30, "verify", "ok")]

    with pipeline.sql_client() as client:
        client.execute_sql("delete from sequence_enrollments where id in (select min(id) from sequence_enrollments)")
    assert verify(pipeline).exit_code == 3
    kept = found["runs"].select("exit_code", "status", "verified", "error").order_by("exit_code").fetchall()
    assert kept[1][:3] == (3, "attention", "failed")
    assert "differ from what was listed" in kept[1][3]
    assert found["pipeline_health"].select("last_status").fetchall() == [("attention",)]
