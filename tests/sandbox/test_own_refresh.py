"""What a user tells dlt of writing: refresh modes start tables anew, the history goes on; dispositions do nothing."""

from __future__ import annotations

import dlt
import pytest

from boast_source import boast_source, by_row, load_job, verify

LIST, HISTORY = BOTH = ("sequence_enrollments", "sequence_enrollments_history")
MODES = pytest.mark.parametrize("mode", ["drop_sources", "drop_resources", "drop_data"])


@pytest.fixture
def world(sandbox, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server = sandbox(enrollments=20, accounts=2)
    for key, value in server.info["env"].items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "one.duckdb"))
    return World(server)


class World:
    def __init__(self, server):
        self.server = server
        self.pipeline = dlt.pipeline("mine", destination="duckdb", dataset_name="d")

    def night(self, *tables, alter=lambda source: None, **options):
        source = boast_source().with_resources(*(tables or BOTH))
        alter(source)
        self.pipeline.run(source, **options)
        return verify(self.pipeline)

    def ask(self, sql):
        with self.pipeline.sql_client() as client:
            return client.execute_sql(sql)

    def mutate(self, **kinds):
        self.server.control("POST", "mutate", kinds)

    def set(self, **fields):
        for key in sorted(self.server.truth())[:4]:
            self.mutate(edits=[{"id": key, "set": fields}])

    def state(self):
        kept = self.ask(f"select id, missing_since, status from {LIST} order by all")
        return kept, self.ask(f"select id, version, missing_since from {HISTORY} order by all")


@MODES
def test_what_vanishes_is_marked_also_in_a_night_that_refreshes(world, mode):
    world.night()
    before = set(world.server.truth())
    world.mutate(delete=2)
    gone = sorted(before - set(world.server.truth()))
    assert world.night(refresh=mode).verified == "covered"
    marked = "where missing_since is not null and version = 2 order by 1"
    assert [key for (key,) in world.ask(f"select id from {LIST} where missing_since is not null order by 1")] == gone
    assert [key for (key,) in world.ask(f"select id from {HISTORY} {marked}")] == gone
    state = world.state()
    for options in ({"refresh": mode}, {}):
        world.night(**options)
        assert world.state() == state
    load_job("duckdb", "d")
    assert world.state() == state


@MODES
def test_a_value_of_another_type_in_a_night_that_refreshes_fits_the_history(world, mode):
    world.set(score=1, kept="text", flag=True)
    world.night()
    world.set(score=0.5, kept={"a": 1}, flag="perhaps")
    for options in ({"refresh": mode}, {}, {"refresh": mode}):
        assert world.night(**options).verified == "covered"
        for table in BOTH:
            values = f"select distinct score__v_text, kept, flag__v_text from {table}"
            found = world.ask(f"{values} where score__v_text is not null")
            assert found == [("0.5", '{"a":1}', "perhaps")]
        assert world.ask(f"select count(*), max(version) from {HISTORY}") == [(24, 2)]
    load_job("duckdb", "d")
    assert world.ask(f"select count(*), max(version) from {HISTORY}") == [(24, 2)]


def test_the_history_loaded_alone_is_verified_and_learns_what_vanishes(world):
    def half(source):
        source.sequence_enrollments_history.add_filter(by_row(lambda row: row["id"] > "8"))

    assert world.night(HISTORY, alter=half).verified == "covered"
    assert world.night(HISTORY).verified == "covered"
    before = set(world.server.truth())
    world.mutate(delete=2)
    gone = before - set(world.server.truth())
    for _ in range(2):
        assert world.night(HISTORY).verified == "covered"
        found = world.ask(f"select id, version from {HISTORY} where missing_since is not null")
        assert set(found) == {(key, 2) for key in gone}
        assert len(found) == 2


def test_what_a_filter_keeps_out_of_the_table_vanishes_in_the_history_alone(world):
    def alter(source):
        source.sequence_enrollments.add_filter(by_row(lambda row: row["id"] > "8"))

    world.night(alter=alter)
    before = set(world.server.truth())
    world.mutate(delete=6)
    gone = before - set(world.server.truth())
    assert {key > "8" for key in gone} == {True, False}
    for _ in range(2):
        assert world.night(alter=alter).verified == "covered"
        assert {key for (key,) in world.ask(f"select id from {LIST}")} == {key for key in before if key > "8"}
        marked = world.ask(f"select id, version from {HISTORY} where missing_since is not null")
        assert sorted(marked) == [(key, 2) for key in sorted(gone)]


@pytest.mark.parametrize("way", ["append", "replace", {"disposition": "merge", "strategy": "scd2"}])
def test_another_write_disposition_has_no_effect(world, way):
    world.night(alter=lambda source: source.sequence_enrollments.apply_hints(write_disposition=way))
    for versions in (23, 26):
        world.mutate(update=3)
        assert world.night(write_disposition=way).verified == "covered"
        assert world.ask(f"select (select count(*) from {LIST}), (select count(*) from {HISTORY})") == [(20, versions)]
