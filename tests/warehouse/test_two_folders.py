"""Several customers' folders on one machine, with one state folder: what a run keeps there follows the warehouse."""

from __future__ import annotations

from pathlib import Path

import duckdb
import orjson
import pytest

from boast_source.errors import LockedError
from boast_source.runs.lock import lock
from boast_source.warehouse.pipeline import destination_for, warehouse_for
from boast_source.warehouse.working_folder import address_of, folder_for
from tests.support.workplace import Workplace, finish, stored

ASKS = """create table boast_data.pending_enrollments as
    select 'r' as request_id, c.id as contact_id, s.id as sequence_id from boast_data.contacts c, boast_data.sequences s
    where not exists (from boast_data.sequence_enrollments e where e.contact_id = c.id and e.sequence_id = s.id) limit 1
"""


@pytest.fixture
def customers(sandbox, tmp_path):
    """Two folders, each with its own token and warehouse, and one HOME."""
    found = []
    for seed in (1, 2):
        server = sandbox(enrollments=30, seed=seed, latency=0.02)
        folder = tmp_path / f"customer {seed}"
        folder.mkdir()
        place = Workplace(folder).use(server, DLT_DATA_DIR=str(tmp_path / "state"), HOME=str(tmp_path / "home"))
        found.append((server, place))
    return found


def test_folders_that_take_turns_are_each_exact(customers):
    for change in ({}, {"update": 5, "insert": 3}):
        for server, place in customers:
            server.control("POST", "mutate", change)
            done = place.boast("load", "--json")
            assert done.code == 0, done.err
            assert stored(place) == server.truth()
    for _, place in customers:
        assert place.boast("load", "--json").json["accounts"][0]["loaded"] == 0
        assert place.sql("select count(*) from boast_data.runs") == [(2 + 1,)]


def test_folders_at_once_are_not_in_each_others_way(customers):
    def both(*command):
        for process in [place.start(*command, "--json") for _, place in customers]:
            done = finish(process)
            assert done.code == 0, done.err
            yield done.json

    assert [summary["status"] for summary in both("load")] == ["ok", "ok"]
    for _, place in customers:
        with duckdb.connect(str(place.folder / "boast.duckdb")) as connection:
            connection.execute(ASKS)
    assert [summary["enrolled"] for summary in both("push", "--new-ledger")] == [1, 1]
    assert [summary["enrolled"] for summary in both("push")] == [0, 0]
    for server, place in customers:
        assert stored(place) == server.truth()
        assert len(server.truth()) == 31


def test_a_run_without_a_usable_configuration_is_recorded_in_its_own_folder(customers):
    (_, first), (_, second) = customers
    for place in (first, second):
        assert place.boast("load").code == 0
    assert second.boast("load", SOURCES__BOAST__TIME_ZONE="Atlantis/Capital").code == 2
    for place, failed in ((first, 0), (second, 1)):
        assert place.boast("load").code == 0
        assert place.sql("select count(*) from boast_data.runs where exit_code = 2") == [(failed,)]


def test_a_file_by_whatever_path_is_one_warehouse_with_one_lock(tmp_path, monkeypatch):
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "state"))
    (tmp_path / "one").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "one")
    monkeypatch.chdir(tmp_path)
    names = ("one/w.duckdb", str(tmp_path / "one" / "w.duckdb"), "linked/w.duckdb", "one/../one/w.duckdb")
    folders = set()
    for name in names:
        monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", name)
        with lock(warehouse_for("duckdb", "boast_data").pipeline):
            monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", names[0])
            again = warehouse_for("duckdb", "boast_data").pipeline
            folders.add(again.pipelines_dir)
            with pytest.raises(LockedError), lock(again):
                pass
    assert len(folders) == 1
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", "another.duckdb")
    with lock(again), lock(warehouse_for("duckdb", "boast_data").pipeline):
        pass


def test_what_an_older_version_left_is_taken_over_by_its_folder_and_by_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "state"))
    shared = tmp_path / "state" / "pipelines"
    (shared / "boast").mkdir(parents=True)
    left = {"destination_type": "dlt.destinations.duckdb", "_local": {"initial_cwd": str(tmp_path / "first")}}
    (shared / "boast" / "state.json").write_bytes(orjson.dumps(left))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()

    def where(name):
        monkeypatch.chdir(tmp_path / name)
        return folder_for(shared, "boast", f"dlt.destinations.duckdb {Path.cwd()}/boast.duckdb", "boast_data")

    second = where("second")
    assert second.parent == shared
    assert where("first") == shared
    assert where("second") == second


@pytest.mark.parametrize(
    ("setting", "given"),
    [
        ("DESTINATION__POSTGRES__CREDENTIALS", "postgresql://{}:secret-{}@db:5432/boast"),
        ("DESTINATION__SQLALCHEMY__CREDENTIALS", "mysql+pymysql://{}:secret-{}@db:3306/boast"),
    ],
)
def test_a_servers_address_is_the_same_for_everybody_who_logs_in_and_names_nobody(setting, given, monkeypatch):
    found = set()
    for user in ("ann", "bob"):
        monkeypatch.setenv(setting, given.format(user, user))
        found.add(address_of(destination_for(setting.split("__")[1].lower())))
    (address,) = found
    assert "db" in address
    assert "secret" not in address
    assert "ann" not in address
