"""Views that stand as the last run left them are left; whatever was done to one of them by hand is mended."""

from __future__ import annotations

import pytest

from boast_source.models import catalog
from boast_source.shapes import VIEWS

BY_HAND = {
    "drop view boast_data.good_runs cascade": "a view is dropped",
    "create or replace view boast_data.good_runs as"
    " select {columns} from boast_data.runs where finished_at > now()": "it has another definition",
    "comment on view boast_data.pipeline_health is 'mine'": "a comment is altered",
    "alter table boast_data.sequence_enrollments_history add column channel text": "a table has another column",
}


def numbers(place) -> dict[str, int]:
    """The warehouse's own number of each view, which a replacement changes in DuckDB, and of its rule in Postgres."""
    sql = {
        "duckdb": "select view_name, view_oid from duckdb_views() where schema_name = 'boast_data'",
        "postgres": "select c.relname, r.xmin::text::bigint from pg_class c join pg_rewrite r on r.ev_class = c.oid"
        " join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'boast_data'",
    }
    return dict(place.rows(sql[place.kind]))


def definitions(place) -> dict[str, tuple]:
    """The text and the comment of each view."""
    return {name: (text, said) for name, column, said, text in catalog.rows(place.client) if text and not column}


@pytest.fixture
def made(place):
    for name in ("runs", "sequence_enrollments", "sequence_enrollments_history"):
        place.declared(name)
    assert place.views() == list(VIEWS)
    return place


def test_what_nobody_touched_is_left(made):
    before = numbers(made)
    assert set(before) >= set(VIEWS)
    assert made.views() == list(VIEWS)
    assert numbers(made) == before
    assert made.views("Europe/Berlin") == list(VIEWS)  # its days are others
    assert numbers(made).keys() == before.keys()
    assert all(numbers(made)[name] != before[name] for name in before)


@pytest.mark.parametrize("statement", BY_HAND, ids=BY_HAND.values())
def test_what_was_done_by_hand_is_mended(made, statement):
    before = definitions(made)
    made.client.execute_sql(statement.replace("{columns}", ", ".join(made.types()["good_runs"])))
    assert made.views() == list(VIEWS)
    assert definitions(made).keys() == before.keys()
    altered = "channel" in made.types()["enrollment_history"]
    assert altered == ("channel" in statement)
    assert altered or definitions(made) == before


def test_the_function_as_of_is_made_again_when_somebody_dropped_it(made):
    made.client.execute_sql(
        "drop macro table boast_data.as_of" if made.kind == "duckdb" else "drop function boast_data.as_of(timestamptz)"
    )
    assert made.views() == list(VIEWS)
    assert made.rows("select * from boast_data.as_of(now())") == []


def test_a_folder_that_cannot_keep_the_note_makes_them_each_time(made, tmp_path):
    (note,) = tmp_path.rglob("boast_views")
    note.unlink()
    note.mkdir()
    assert made.views() == list(VIEWS)
    note.rmdir()
    note.write_bytes(b"\xff\x00")
    assert made.views() == list(VIEWS)
    assert len(note.read_text()) == 64
