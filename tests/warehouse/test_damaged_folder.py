"""Whatever happens to the files of the working folder, the next run goes on: the warehouse decides."""

from __future__ import annotations

import json
import shutil

import dlt
import pytest

from boast_source import boast_source

DAMAGE = {
    "empty": lambda _: b"",
    "cut": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "other": lambda _: b"[1]",
}


def newer(content):
    if b"{" not in content:
        return b"999.0.0"
    document = json.loads(content)
    return json.dumps(document | {key: 999 for key in document if key.endswith("engine_version")}).encode()


@pytest.fixture
def server(sandbox):
    return sandbox(enrollments=20)


@pytest.fixture
def folder(server, workplace):
    assert workplace.use(server).boast("load").code == 0
    return workplace.folder / "state" / "pipelines" / "boast"


@pytest.mark.parametrize("name", ["state.json", "schemas/boast.schema.json", "normalize/.version", "load/.version"])
def test_a_state_schema_or_version_that_cannot_be_read_is_set_aside(folder, workplace, server, name):
    file = folder / name
    for damage in (*DAMAGE.values(), newer):
        server.control("POST", "mutate", {"update": 3})
        file.write_bytes(damage(file.read_bytes()))
        done = workplace.boast("load", "--json")
        assert (done.code, done.json["accounts"][0]["loaded"]) == (0, 3), done.err
        assert "set aside" in done.err
        (aside,) = (folder.parent / "boast_set_aside").iterdir()
        assert (aside / name).exists()
        shutil.rmtree(aside)
    assert workplace.boast("load", "--json").json["accounts"][0]["loaded"] == 0


@pytest.mark.parametrize("normalized", [False, True], ids=["extracted", "normalized"])
def test_a_damaged_package_is_set_aside(folder, workplace, server, monkeypatch, normalized):
    for key, value in workplace.env.items():
        monkeypatch.setenv(key, value)
    destination = dlt.destinations.duckdb(str(workplace.folder / "boast.duckdb"))
    pipeline = dlt.pipeline(
        "boast", destination=destination, dataset_name="boast_data", pipelines_dir=str(folder.parent)
    )
    place = folder / ("load/normalized" if normalized else "normalize/extracted")
    for damage in DAMAGE.values():
        server.control("POST", "mutate", {"update": 3})
        pipeline.extract(boast_source())
        if normalized:
            pipeline.normalize()
        (package,) = place.iterdir()
        for file in package.rglob("*"):
            if file.is_file():
                file.write_bytes(damage(file.read_bytes()))
        run = workplace.boast("load", "--json")
        assert run.code == 0, run.err
        assert "set aside" in run.err
        assert not list(place.iterdir())
        assert run.json["accounts"][0]["loaded"] == 3
    assert workplace.sql("select count(*) from boast_data.sequence_enrollments") == [(20,)]


@pytest.mark.parametrize(
    "moments",
    [
        {"finished_at": "2026-11-27T05:00:00"},
        {"started_at": "soon", "finished_at": "soon"},
        {"started_at": 5, "finished_at": 5},
        {"started_at": "2030-01-01T00:00:00", "finished_at": "2030-01-01T00:00:00"},
    ],
)
def test_the_status_passes_over_a_run_record_without_moments(folder, workplace, moments):
    kept = folder.parent / "boast.runs.jsonl"
    kept.write_text(json.dumps({"run_id": "abc", "command": "load", **moments}) + "\n")
    done = workplace.boast("status")
    assert (done.code, "Nothing needs attention" in done.out) == (0, True), done.err
    done = workplace.boast("load")
    assert done.code == 0, done.err


def test_damaged_run_records_do_not_stop_a_run(folder, workplace):
    kept = folder.parent / "boast.runs.jsonl"
    for count, damage in enumerate((*DAMAGE.values(), lambda _: b"\xff\xfe\n"), start=2):
        kept.write_bytes(damage(b'{"run_id": "abc", "command": "load"}\n'))
        assert workplace.boast("status").code == 0
        assert workplace.boast("load").code == 0
        assert workplace.sql("select count(*) from boast_data.runs") == [(count,)]
