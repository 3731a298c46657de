"""Rows that a dlt user alters on their way: what was listed decides what is written, and nothing is written twice."""

from __future__ import annotations

import hashlib

import dlt
import pyarrow as pa
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from boast_source import boast_source, by_row, create_views, verify
from boast_source.errors import ConfigurationError

LIST, HISTORY = BOTH = ("sequence_enrollments", "sequence_enrollments_history")
LISTS = (*BOTH, "contacts")


@pytest.fixture(params=["duckdb", "postgres"])
def world(request, sandbox, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server = sandbox(enrollments=20, accounts=2)
    for key, value in server.info["env"].items():
        monkeypatch.setenv(key, value)
    if request.param == "postgres":
        for key, value in request.getfixturevalue("postgres").env.items():
            monkeypatch.setenv(key, value)
    return World(server, request.param, tmp_path)


duckdb_only = pytest.mark.parametrize("world", ["duckdb"], indirect=True)


class World:
    def __init__(self, server, kind, folder):
        self.server, self.kind, self.folder = server, kind, folder

    def pipeline(self, name="mine"):
        to = dlt.destinations.duckdb(str(self.folder / "one.duckdb")) if self.kind == "duckdb" else self.kind
        return dlt.pipeline(name, destination=to, dataset_name="d", pipelines_dir=str(self.folder / "p"))

    def night(self, alter=lambda source: None, name="mine", resources=LISTS, **options):
        """One run; returns by table the rows that were written."""
        self.last = pipeline = self.pipeline(name)
        source = boast_source().with_resources(*resources)
        alter(source)
        pipeline.run(source, **options)
        written = pipeline.last_trace.last_normalize_info.row_counts
        return {table: count for table, count in written.items() if count and not table.startswith("_dlt")}

    def ask(self, sql):
        with self.pipeline().sql_client() as client:
            return client.execute_sql(sql)

    def row(self, key):
        with (
            self.pipeline().sql_client() as client,
            client.execute_query(
                f"select * from {client.make_qualified_table_name(LIST)} where id = '{key}'"
            ) as cursor,
        ):
            (row,) = cursor.fetchall()
            return dict(zip([column[0] for column in cursor.description], row, strict=True))

    def edit(self, key, **fields):
        self.server.control("POST", "mutate", {"edits": [{"id": key, "set": fields}]})

    def change(self, **kinds):
        return self.server.control("POST", "mutate", kinds)


def mapped(function, *tables):
    def alter(source):
        for table in tables or LISTS:
            source.resources[table].add_map(function)

    return alter


def _hashed(text):
    return text and hashlib.sha256(text.encode()).hexdigest()


def _all_but_the_id(table):
    return table.select(["id"])


def _renamed(table):
    return table.rename_columns(["stage" if name in {"status", "email"} else name for name in table.column_names])


def _made_anew(row):
    return {"id": row["id"], "length": len(row["id"])}


def _without_times(table):
    return table.drop_columns([n for n in ("updated_at", "status", "email") if n in table.column_names])


WAYS = {
    "one column is masked": by_row(lambda row: row | {"contact_id": "***", "email": "***"}),
    "one column is hashed": by_row(
        lambda row: row | {name: _hashed(row.get(name)) for name in ("contact_id", "email") if name in row}
    ),
    "a column becomes a number": by_row(lambda row: row | {"contact_id": 7}),
    "columns are dropped": _without_times,
    "all columns but the id are dropped": _all_but_the_id,
    "a row is made anew": by_row(_made_anew),
    "a column is renamed": _renamed,
}


@pytest.mark.parametrize(
    ("world", "way"),
    [*(("duckdb", way) for way in WAYS), ("postgres", "one column is hashed"), ("postgres", "a row is made anew")],
    indirect=["world"],
)
def test_what_was_listed_decides_what_is_written(world, way):
    alter = mapped(WAYS[way])
    assert world.night(alter) == {LIST: 20, HISTORY: 20, "contacts": 20}
    assert world.night(alter, name="another") == {}
    world.change(update=3)
    gone = world.change(update=2, touch=False, insert=1, delete=1)["deleted"]
    changed = world.night(alter)
    assert changed[LIST] == changed[HISTORY] in {5, 6, 7}  # one may have been changed twice
    kept = world.row(gone[0])
    assert world.night(alter) == {}
    assert world.ask(f"select count(*), count(distinct id), count(missing_since) from {LIST}") == [(21, 21, 1)]
    assert world.ask(f"select count(*) - count(distinct version_key) from {HISTORY}") == [(0,)]
    world.server.control("POST", "mutate", {"restore_ids": gone})
    assert world.night(alter) == {LIST: 1, HISTORY: 1}
    assert kept.pop("missing_since")
    assert kept.items() <= (world.row(gone[0]) | {"content_hash": kept["content_hash"]}).items()


def test_all_is_written_again_where_that_is_asked_for_and_no_version_comes_of_it(world):
    alter = mapped(WAYS["one column is hashed"])
    world.night(alter)
    written = world.night(alter, refresh="drop_data")
    assert (written[LIST], written.get(HISTORY, 0)) == (20, 0)
    assert world.night(alter) == {}
    assert "enrollment_history" in create_views(world.pipeline())
    assert world.ask("select count(*) from d.enrollment_history where is_current") == [(20,)]


def test_masks_that_come_later_or_end_write_what_changes_from_then_on(world):
    alter = mapped(WAYS["one column is masked"])
    world.night()
    world.change(update=1)
    assert world.night(alter) == {LIST: 1, HISTORY: 1}
    assert world.ask(f"select count(*) from {LIST} where contact_id = '***'") == [(1,)]
    assert world.night() == world.night(alter) == {}
    world.change(update=1, insert=1)
    assert world.night() == {LIST: 2, HISTORY: 2}
    assert world.night() == world.night(alter) == {}


def test_rows_that_a_filter_drops_are_never_written_and_those_it_keeps_once(world):
    def alter(source):
        for table in BOTH:
            source.resources[table].add_filter(by_row(lambda row: row["status"] == "active"))

    active = [key for key, record in world.server.truth().items() if record["status"] == "active"]
    assert 0 < len(active) < 20
    assert world.night(alter, resources=BOTH) == {LIST: len(active), HISTORY: len(active)}
    assert verify(world.last).verified == "covered"
    assert world.night(alter, resources=BOTH) == {}
    world.edit(active[0], status="completed")
    world.change(delete_ids=[active[1]])
    assert world.night(alter, resources=BOTH) == {LIST: 1, HISTORY: 1}
    checked = verify(world.last)
    assert (checked.verified, sum(report.listed for report in checked.reports)) == ("covered", 19)
    assert world.row(active[0])["status"] == "active"
    assert world.row(active[1])["missing_since"]
    assert {key for (key,) in world.ask(f"select id from {LIST}")} == set(active)


@duckdb_only
@pytest.mark.parametrize("answer", ["a table", "a mask"])
def test_a_filter_may_answer_with_the_rows_that_it_keeps(world, answer):
    def even(table):
        mask = pa.array([int(key[-1], 16) % 2 == 0 for key in table["id"].to_pylist()])
        return table.filter(mask) if answer == "a table" else mask

    kept = world.night(lambda source: source.sequence_enrollments.add_filter(even), resources=[LIST])[LIST]
    assert 0 < kept < 20
    assert verify(world.last).verified == "covered"


@duckdb_only
def test_a_function_over_rows_that_is_not_wrapped_is_refused_with_the_way_to_wrap_it(world):
    for function in (
        lambda row: row | {"email": "hidden"},
        lambda row: row.get("email") and row,
        lambda row: {**row},
        lambda row: row["email"],
        lambda row: dlt.mark.with_table_name(row, "people"),
    ):
        with pytest.raises(PipelineStepFailed, match="A function on contacts fails, or returns no"):
            world.night(lambda source, f=function: source.contacts.add_map(f), resources=["contacts"])
    assert world.night(resources=["contacts"]) == {"contacts": 20}


@duckdb_only
def test_what_is_said_of_a_function_that_fails_has_nobody_s_values(world):
    def failing(table):
        raise ValueError(table["email"].to_pylist()[0])

    with pytest.raises(PipelineStepFailed) as failed:
        world.night(lambda source: source.contacts.add_map(failing), resources=["contacts"])
    said = failed.value.__cause__
    while not isinstance(said, ConfigurationError):
        said = said.__cause__
    assert "A function on contacts fails" in str(said)
    assert "@" not in str(said)


@duckdb_only
@pytest.mark.parametrize("column", ["id", "account_id", "version_key"])
def test_a_function_that_changes_what_the_next_run_needs_is_refused(world, column):
    table = HISTORY if column == "version_key" else LIST
    with pytest.raises(PipelineStepFailed, match=f"changed or dropped values of {column}"):
        world.night(mapped(by_row(lambda row: row | {column: "***"}), table), resources=BOTH)
    assert not world.pipeline().has_pending_data


@duckdb_only
@pytest.mark.parametrize("part", ["columns", "data_type"])
@pytest.mark.parametrize("mode", ["evolve", "freeze", "discard_value", "discard_row"])
def test_contracts_do_what_dlt_documents_and_nothing_is_written_twice(world, part, mode):
    contract = {part: mode}
    world.night(resources=BOTH)
    first, second, third = list(world.server.truth())[:3]
    if part == "columns":
        world.edit(first, novel=1, other="text")
        world.edit(second, other="text")
    else:
        world.edit(first, updated_at="soon")
        world.edit(second, created_at="late")
    world.edit(third, status="odd")
    if mode == "freeze":
        for _ in range(2):
            with pytest.raises(PipelineStepFailed, match="frozen"):
                world.night(resources=BOTH, schema_contract=contract)
        return
    written = 1 if mode == "discard_row" else 3
    assert world.night(resources=BOTH, schema_contract=contract) == {LIST: written, HISTORY: written}
    assert verify(world.last).verified == "covered"
    assert world.night(resources=BOTH, schema_contract=contract) == {}
    assert world.night(resources=BOTH, schema_contract=contract, name="another") == {}
    new = set(world.row(first)) & {"novel", "other", "updated_at__v_text", "created_at__v_text"}
    assert len(new) == (2 if mode == "evolve" else 0)
    assert world.row(third)["status"] == "odd"
    world.edit(third, status="odder")
    assert world.night(resources=BOTH, schema_contract=contract) == {LIST: 1, HISTORY: 1}


@duckdb_only
@pytest.mark.parametrize("mode", ["freeze", "discard_value", "discard_row"])
def test_tables_that_a_contract_keeps_out_are_not_made(world, mode):
    world.night(resources=["forms"])
    forms = world.ask("select count(*) from d.forms")
    for _ in range(2):
        if mode == "freeze":
            with pytest.raises(PipelineStepFailed, match="frozen"):
                world.night(resources=["contacts"], schema_contract={"tables": mode})
        else:
            assert world.night(resources=["contacts"], schema_contract={"tables": mode}) == {}
    assert world.ask("select count(*) from d.forms") == forms
