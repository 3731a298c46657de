"""Every view always exists, with the same columns and types, whatever was loaded and pushed so far."""

from __future__ import annotations

import random

import pytest

from boast_source import models
from boast_source.models.schema import relations
from boast_source.shapes import VIEWS
from tests.support.workplace import NO_REPORT

TABLES = [name for name, relation in relations().items() if not relation.is_view]
READ = [
    "accounts",
    "sequence_enrollments",
    "sequence_enrollments_history",
    "sequences",
    "responses",
    "push_ledger",
    "runs",
]


@pytest.mark.parametrize("seed", range(3))
def test_all_views_are_there_with_their_types_whichever_tables_come_first(place, seed):
    """On Postgres a view keeps the types that it had first, so those over nothing must be right."""
    order = random.Random(seed).sample(TABLES, len(TABLES))
    expected = place.declared_types()
    for name in order:
        place.declared(name)
        made = place.views()
        assert made in ([], list(VIEWS))
        assert (made == []) == set(READ).isdisjoint(place.types())
        for view in made:
            assert list(place.types()[view].items()) == list(expected[view].items()), (name, view)
            rows = place.rows(f"select * from boast_data.{view}")
            assert len(rows) == (view == "pipeline_health"), (name, view)
    assert place.rows("select stored, missing, waiting, last_run_id from boast_data.pipeline_health") == [
        (0, 0, 0, None)
    ]


def test_a_dataset_with_nothing_of_ours_gets_no_views(place):
    place.table("somebodys", {"id": "text"}, [])
    assert place.views() == []
    assert list(place.types()) == ["somebodys"]


def test_a_view_whose_columns_come_in_another_order_than_before_is_replaced(place):
    """An unknown field of the API takes its place among the known ones."""
    place.declared("runs")
    assert place.views() == list(VIEWS)
    columns = place.types()["enrollment_history"]
    stored = {name: kind for name, kind in columns.items() if name not in {"valid_from", "valid_to", "is_current"}}
    place.table("sequence_enrollments_history", {"id": "text", "channel": "text", **stored}, [])
    assert place.views() == list(VIEWS)
    assert "channel" in place.types()["enrollment_history"]


def test_somebodys_own_view_over_ours_stays_and_ours_are_replaced(place):
    place.declared("sequence_enrollments_history")
    place.views()
    place.client.execute_sql("create view boast_data.mine as select id, status from boast_data.enrollment_history")
    assert place.views() == list(VIEWS)
    assert place.rows("select * from boast_data.mine") == []


@pytest.mark.parametrize("place", ["postgres"], indirect=True)  # DuckDB replaces a view whatever its columns
def test_a_view_that_cannot_make_room_for_its_new_columns_is_told_and_no_other_is_lost(place):
    place.declared("sequence_enrollments_history")
    place.views()
    place.client.execute_sql("alter view boast_data.enrollment_daily rename column day to date")
    place.client.execute_sql("create view boast_data.mine as select * from boast_data.enrollment_daily")
    told = []
    assert models.create(place.warehouse, time_zone="UTC", on_refused=told.append) == [
        name for name in VIEWS if name != "enrollment_daily"
    ]
    assert ["enrollment_daily" in str(error) or "column" in str(error) for error in told] == [True]
    assert set(VIEWS) < set(place.types())


@pytest.mark.parametrize(
    "made", ["table boast_data.good_runs (mine text)", "view boast_data.good_runs as select 1 as mine"]
)
def test_a_table_or_view_of_the_users_under_one_of_our_names_stays_and_is_told(place, made):
    place.declared("sequence_enrollments_history")
    place.client.execute_sql(f"create {made}")
    told = []
    names = models.create(place.warehouse, time_zone="UTC", on_refused=told.append)
    assert set(VIEWS) - set(names) == {"good_runs", "enrollment_cohorts", "pipeline_health"}  # which read it
    assert any("good_runs" in str(error) and "yours" in str(error) for error in told)
    models.drop(place.client)
    assert place.types()["good_runs"].keys() == {"mine"}


@pytest.mark.parametrize("place", ["postgres"], indirect=True)  # which has more kinds of tables
@pytest.mark.parametrize(
    "made",
    [
        "materialized view boast_data.good_runs as select 1 as status",
        "table boast_data.good_runs (status int) partition by list (status)",
    ],
)
def test_what_else_stands_under_one_of_our_names_stays_without_a_comment_of_ours(place, made):
    place.declared("sequence_enrollments_history")
    place.client.execute_sql(f"create {made}")
    told = []
    names = models.create(place.warehouse, time_zone="UTC", on_refused=told.append)
    assert set(VIEWS) - set(names) == {"good_runs", "enrollment_cohorts", "pipeline_health"}
    assert "yours" in str(told[0])
    said = "select count(*) from pg_description where objoid = '{}'::regclass"
    assert place.rows(said.format("boast_data.good_runs")) == [(0,)]
    assert place.rows(said.format("boast_data.enrollment_history"))[0][0] > 0


def test_a_column_that_an_older_version_named_like_one_of_the_view_breaks_no_view(place):
    columns = place.declared_types()["sequence_enrollments_history"]
    place.table("sequence_enrollments_history", {"valid_from": "text", "is_current": "text", **columns}, [])
    assert place.views() == list(VIEWS)
    assert place.types()["enrollment_history"]["is_current"] == "boolean"


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("to", ["duckdb", "postgres"])
def test_any_order_of_commands_from_an_empty_warehouse_ends_well(sandbox, workplace, request, to, seed):
    server = sandbox(enrollments=6)
    workplace.use(server, **NO_REPORT)
    if to == "postgres":
        workplace.env |= request.getfixturevalue("postgres").env
    lists = ("accounts", "contacts", "sequence_enrollments", "responses", "sequences")
    commands = [("load", "--resources", name) for name in lists]
    commands += [("push", "--new-ledger"), ("prepare",), ("requests", "list"), ("load",), ("nightly", "--new-ledger")]
    order = random.Random(seed).sample(commands, len(commands))
    for command in order:
        done = workplace.boast(*command, "--destination", to)
        refused = command[0] in {"push", "requests"}  # where there is nothing to push from yet
        assert done.code in ({0, 1, 2, 3} if refused else {0}), (order, command, done.err)
        assert "not all views" not in done.err
    assert workplace.boast("nightly", "--destination", to).code == 0
    assert workplace.boast("status", "--destination", to).code == 0
