"""Tables of the connector's own that somebody altered by hand: a run goes on, and says so, or names the table."""

from __future__ import annotations

import pytest

from boast_source.errors import DestinationError
from boast_source.runs import listings
from boast_source.warehouse import warehouse_of
from tests.conftest import SandboxOptions, running
from tests.sandbox.test_incremental import Place

KEYS, TIMES = ("account_id", "resource"), ("full_at", "read_at", "newest", "silent_at")
TEXTS, NUMBERS = (*KEYS, "cursor_order"), ("counted", "pages")
ALTERED = [
    *(f"alter table d.listings alter {name} type varchar[] using [{name}::varchar]" for name in (*TEXTS, *TIMES[:1])),
    *(f"update d.listings set {name} = null" for name in KEYS),
    *(f"alter table d.listings drop column {name}" for name in ("resource", "full_at", "pages")),
    "update d.listings set cursor_order = 'any'",
    "alter table d.listings alter full_at type date",
    "alter table d.listings alter newest type varchar using 'yesterday'",
    "alter table d.listings alter pages type double using 'nan'::double",
    "insert into d.listings default values",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A warehouse with a list that is read incrementally, and a copy of what is known of it."""
    with running(SandboxOptions(enrollments=600, order="updated_desc")) as server:
        here = Place(server, tmp_path_factory.mktemp("altered"))
        here.run()
        here.rows("create table d.known as from d.listings")
        yield here


@pytest.fixture(autouse=True)
def known(place):
    """Begin with what is known, unaltered."""
    place.rows("create or replace table d.listings as from d.known")
    place.notes.clear()


@pytest.mark.parametrize("altered", ALTERED)
def test_what_is_known_of_the_lists_is_not_believed_where_somebody_altered_it(place, altered):
    place.rows(altered)
    with pytest.raises(DestinationError, match=r"The table .*listings.* was altered.*Drop it"):
        listings.states(warehouse_of(place.pipeline))


def test_a_run_then_reads_whole_says_so_and_leaves_it_right(place):
    place.rows("alter table d.listings drop column pages")
    place.mutate(update=2)
    assert place.run() == "covered"
    assert any("reads every list whole: The table" in note for note in place.notes), place.notes
    assert place.run() == "recent"
    assert place.stored() == place.true()


def test_texts_in_place_of_numbers_and_times_are_read_as_what_they_say(place):
    before = place.state()
    for name, kind in (("pages", "varchar"), ("counted", "double"), ("full_at", "varchar"), ("read_at", "timestamp")):
        place.rows(f"alter table d.listings alter {name} type {kind}")
    assert (place.state().pages, place.state().counted) == (before.pages, before.counted)
    assert place.state().full_at == before.full_at


def test_marks_of_the_future_are_not_believed(place):
    place.rows("update d.listings set read_at = '2099-01-01', newest = '2099-01-01'")
    assert place.run() == "covered"
    assert place.run() == "recent"


def test_a_table_of_somebody_elses_under_our_name_is_left_as_it_is(place):
    place.rows("create or replace table d.listings as select 1 as rent")
    assert place.run() == "covered"
    assert any("your own table or view" in note for note in place.notes), place.notes
    assert place.rows("select * from d.listings") == [(1,)]


def test_versions_that_stand_twice_in_the_history_are_said_to(place):
    place.rows("create table d.copy as from d.sequence_enrollments_history limit 3")
    place.rows("insert into d.sequence_enrollments_history from d.copy")
    assert place.run(how=None) == "failed"
    assert place.report.error.startswith("3 rows of sequence_enrollments_history share their version_key")
    place.rows(
        "delete from d.sequence_enrollments_history where rowid not in"
        " (select min(rowid) from d.sequence_enrollments_history group by version_key)"
    )
    assert place.run(how=None) == "covered"


@pytest.mark.parametrize("loss", ["drop table d.sequence_enrollments", "delete from d.sequence_enrollments"])
def test_rows_that_no_listing_brings_back_come_from_the_history(place, loss, caplog):
    place.mutate(delete=2)
    place.run(how=None)
    rows = "select * from d.sequence_enrollments where missing_since is not null order by id"
    gone, versions = place.rows(rows), place.rows("select count(*) from d.sequence_enrollments_history")
    assert gone
    place.rows(loss)
    assert place.run(how=None) == "covered"
    assert place.rows(rows) == gone
    assert place.stored() == place.true()
    assert place.rows("select count(*) from d.sequence_enrollments_history") == versions
    assert f"{len(gone)} enrollments that the API no longer has come back from the history" in caplog.text
