"""The name of the pending table may be anything, and its view is read after the night's load."""

from __future__ import annotations

from contextlib import closing

import pytest

from boast_source.errors import ConfigurationError, PendingError
from boast_source.listing.scratch import Scratch
from boast_source.push.pending import Pending
from boast_source.push.requests import read_ledger
from boast_source.warehouse.pipeline import warehouse_for
from tests.support.sandbox_client import POST, client_of

pytest_plugins = ["tests.support.postgres", "tests.support.push_fixtures"]

SOME_ID = "5b2e0f5c-0000-4000-8000-000000000001"
ROW = "as select 'c' as contact_id, 's' as sequence_id"
# the table as it is in the warehouse, and how its name may be given
NAMES = [
    ('"boast_data"."wanted"', ["wanted", "boast_data.wanted", '"boast_data"."wanted"', " boast_data . wanted "]),
    ('"boast_data"."Wanted"', ['"Wanted"', 'boast_data."Wanted"', "Wanted"]),
    ('"boast_data"."a.b"', ['"a.b"', 'boast_data."a.b"']),
    ('"boast_data"."who, and ""why""?"', ['"who, and ""why""?"']),
    ('"Other.Schema"."T 1"', ['"Other.Schema"."T 1"', '"Other.Schema".T 1']),
]


@pytest.fixture(params=["duckdb", "postgres"])
def place(request, tmp_path, monkeypatch):
    """A connection to an empty dataset."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "state"))
    if request.param == "postgres":
        for name, value in request.getfixturevalue("postgres").env.items():
            monkeypatch.setenv(name, value)
    with warehouse_for(request.param, "boast_data").open(patience=5) as found:
        found.client.execute_sql("create schema boast_data")
        yield found


@pytest.mark.parametrize(("table", "given"), NAMES)
def test_a_name_is_found_as_sql_reads_it_else_as_it_is_written(place, table, given):
    place.client.execute_sql('create schema "Other.Schema"')
    place.client.execute_sql(f"create table {table} {ROW}")
    for name in given:
        (batch,) = Pending(place, name).batches()
        assert batch.to_pylist()[0]["contact_id"] == "c", name


def test_a_table_of_another_catalog_is_found(place, tmp_path):
    if place.name == "postgres":
        ((catalog,),) = place.client.execute_sql("select current_database()")
    else:
        catalog = "else.where"
        place.client.execute_sql(f"attach '{tmp_path / 'other.duckdb'}' as \"{catalog}\"")
    place.client.execute_sql("create schema shop" if place.name == "postgres" else f'create schema "{catalog}".shop')
    place.client.execute_sql(f'create table "{catalog}".shop.wanted {ROW}')
    (batch,) = Pending(place, f'"{catalog}".shop.wanted').batches()
    assert batch.num_rows == 1


@pytest.mark.parametrize("name", ["", " ", ".", "a.", ".a", 'a"b', '""', "a..b"])
def test_what_is_no_name_is_an_error(place, name):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Pending(place, name)


def test_an_error_of_the_view_is_not_that_there_is_none(place):
    place.client.execute_sql(f"create table boast_data.mine {ROW}")
    place.client.execute_sql("create view boast_data.wanted as select * from boast_data.mine")
    with pytest.raises(PendingError, match="There is no table or view"):
        Pending(place, "nowhere")
    if place.name != "postgres":  # which would not let it go
        place.client.execute_sql("drop table boast_data.mine")
        with pytest.raises(PendingError, match=r"Your table or view .* cannot be read: a table"):
            Pending(place, "wanted")


FAILING = {
    "duckdb": {
        "phone * phone": "Out of Range Error",
        "error('no consent: ' || name)": "Invalid Input Error",
        "strptime(name, '%Y')": "Invalid Input Error",
        "regexp_matches('x', '[' || name)": "Invalid Input Error",
        "name::int": "Conversion Error: to INT32 from column name",
    },
    "postgres": {
        "phone * phone": "bigint out of range",
        "boast_data.refuse(name)": "RaiseException (SQLSTATE P0001)",
        "to_date(name, 'YYYY')": "InvalidDatetimeFormat (SQLSTATE 22007)",
        "'x' ~ ('[' || name)": "InvalidRegularExpression (SQLSTATE 2201B)",
        "name::int": "invalid input syntax for type integer",
        "split_part(name, ',', 1)::regclass::text": "UndefinedTable (SQLSTATE 42P01)",
        "has_schema_privilege(name, 'usage')::text": "InvalidSchemaName (SQLSTATE 3F000)",
    },
}


def test_a_view_that_fails_on_a_row_is_told_by_the_kind_of_error_and_without_the_row(place):
    run = place.client.execute_sql
    run("create table boast_data.crm as select cast(4917000000007 as bigint) as phone, 'Canary, Ann' as name")
    if place.name == "postgres":
        run(
            "create function boast_data.refuse(name text) returns text language plpgsql as"
            " $$ begin raise exception 'no consent: %', name; end $$"
        )
    for expression, said in FAILING[place.name].items():
        run("drop view if exists boast_data.wanted")
        columns = f"{expression} as request_id, 'c' as contact_id, 's' as sequence_id"
        run(f"create view boast_data.wanted as select {columns} from boast_data.crm")
        with pytest.raises(PendingError) as raised:
            list(Pending(place, "wanted").batches())
        assert raised.value.message == f'Your table or view "boast_data"."wanted" cannot be read: {said}'


# of one key, its column's values as the types of both warehouses have them
SAME_KEY = {
    "4711": [
        *("4711", "cast(4711 as bigint)", "cast(4711 as numeric(10, 2))", "cast(4711 as float8)"),
        *("cast(4711 as float4)", "'4711'"),
    ],
    "1000000000000000": ["cast(1e15 as float8)", "cast(1e15 as numeric(20, 4))", "cast(1e15 as bigint)"],
    "2026-05-01T12:00:00Z": [
        *("timestamptz '2026-05-01 12:00:00+00'", "timestamptz '2026-05-01 14:00:00+02'"),
        *("timestamp '2026-05-01 12:00:00'", "'2026-05-01T12:00:00.000Z'"),
    ],
    "2026-05-01": ["date '2026-05-01'", "timestamp '2026-05-01 00:00:00'", "'2026-05-01'"],
    SOME_ID: [f"cast('{SOME_ID}' as uuid)", f"'{SOME_ID.upper()}'"],
}


@pytest.mark.parametrize(("key", "values"), SAME_KEY.items())
def test_a_key_is_one_whatever_type_its_column_has(place, key, values):
    given = []
    for number, value in enumerate(values):
        place.client.execute_sql(f"create table boast_data.wanted{number} {ROW}, {value} as request_id")
        given += [batch["request_id"][0].as_py() for batch in Pending(place, f"wanted{number}").batches()]
    with closing(Scratch()) as scratch:
        read_ledger(scratch, [])
        keys = {scratch.value("select key_of($text)", {"text": text}) for text in given}
    assert keys == {key}, given


@pytest.mark.parametrize("command", ["push", "nightly"])
def test_a_view_is_read_after_tonights_load_though_an_earlier_push_has_read_it(pushing, workplace, command):
    desk = pushing(REPORT_PATH="")
    one, two = desk.free_pairs(2)
    desk.execute("drop table boast_data.pending_enrollments")
    desk.table(name="wanted")
    desk.ask({"request_id": "1", **one}, {"request_id": "2", **two}, name="wanted")
    assert desk.push(pending="wanted", limit=0).counts == {"deferred": 2}
    desk.execute(
        "create view boast_data.pending_enrollments as select w.* from boast_data.wanted w where not exists (select 1"
        " from boast_data.sequence_enrollments e where (e.contact_id, e.sequence_id) = (w.contact_id, w.sequence_id))"
    )
    assert desk.push(limit=0).counts == {"deferred": 2}
    with client_of(desk.server) as client:
        assert client.enroll(one["contact_id"], one["sequence_id"]).status == 201
    done = workplace.boast(command, "--json").json
    found = done["push"] if command == "nightly" else done
    assert (found["queried"], found["enrolled"]) == (1, 1), "not even skipped: the view does not ask for it any more"
    assert desk.states() == {"2": "enrolled"}
    assert desk.writes == {POST: 2}
