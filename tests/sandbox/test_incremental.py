"""Incremental listings over real HTTP into a DuckDB: what they cost, and that they say no more than is true."""

from __future__ import annotations

import os
import random
from collections import Counter
from datetime import datetime, timedelta, timezone

import dlt
import pytest

from boast_source import BoastClient
from boast_source.listing.incremental import Incremental
from boast_source.listing.report import Options
from boast_source.load.load import load
from boast_source.runs import listings
from boast_source.warehouse import warehouse_of

NIGHTS = int(os.environ.get("BOAST_LIVES", "8"))  # `make soak` asks for many more
DAYS = int(os.environ.get("BOAST_DAYS", "1"))  # of a quarter of an hour each, or of 96 of them: `make soak`
QUARTERS = 96 if DAYS > 1 else 2  # runs a day
ONLY = ["sequence_enrollments"]
BY_UPDATE = ["updated_asc", "updated_desc"]
HOW = Incremental(timedelta(hours=20), timedelta(hours=1))
STORED = (
    "select id, status, response_id, strftime(updated_at at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%g') || 'Z'"
    " from d.sequence_enrollments where missing_since is null"
)
VERSIONS = "select id, status from d.sequence_enrollments_history where missing_since is null"


class Place:
    """A sandbox and a warehouse that follows it."""

    def __init__(self, server, folder):
        self.server = server
        self.pipeline = dlt.pipeline(
            "followed",
            destination=dlt.destinations.duckdb(str(folder / "b.duckdb")),
            dataset_name="d",
            pipelines_dir=str(folder / "p"),
        )
        self.notes = []

    def run(self, how=HOW, resources=ONLY, **options):
        """A load. `requests`: those for lists and records, that for the accounts left out."""
        self.server.control("DELETE", "counters")
        with BoastClient(self.server.access_token, base_url=self.server.base_url) as client:
            told = Options(keep_going=True, incremental=how, **options)
            done = load(warehouse_of(self.pipeline), client, told, resources=resources, on_note=self.notes.append)
        self.report = done.enrollments[0]
        self.requests = self.report.tally.requests
        return done.verified

    def mutate(self, **plan):
        return self.server.control("POST", "mutate", plan)

    def rows(self, sql):
        with self.pipeline.sql_client() as client:
            return client.execute_sql(sql)

    def stored(self):
        return {key: tuple(content) for key, *content in self.rows(STORED)}

    def true(self):
        return {key: (r["status"], r["response_id"], r["updated_at"]) for key, r in self.server.truth().items()}

    def newest(self):
        newest = max(record["updated_at"] for record in self.server.truth().values())
        return datetime.fromisoformat(newest.replace("Z", "+00:00"))

    def state(self):
        (state,) = [s for (_, name), s in listings.states(warehouse_of(self.pipeline)).items() if name == ONLY[0]]
        return state


@pytest.fixture
def place(sandbox, tmp_path):
    def make(**options):
        return Place(sandbox(**options), tmp_path)

    return make


@pytest.mark.parametrize("order", BY_UPDATE)
def test_a_hundred_changes_among_twenty_thousand_take_ten_requests_at_most_and_none_takes_three(place, order):
    here = place(enrollments=20_000, page_size=100, order=order)
    assert here.run() == "covered"
    whole = here.requests
    assert here.run() == "recent"
    assert here.requests <= 3
    here.mutate(update=60, insert=40)
    assert here.run() == "recent"
    assert here.requests <= 10
    assert here.requests <= whole / 20
    assert (here.report.listed, here.report.loaded) == (20_040, 100)
    assert here.stored() == here.true()
    assert {(key, row[0]) for key, row in here.true().items()} <= set(here.rows(VERSIONS))
    assert here.run() == "recent"
    assert here.requests <= 4
    assert here.report.loaded == 0


@pytest.mark.parametrize("order", ["created_asc", "created_desc"])
def test_an_order_by_creation_is_read_whole_and_the_summary_says_why(place, order):
    here = place(enrollments=490, order=order)
    here.run()
    assert here.run() == "covered"
    assert here.requests == 25
    assert here.report.whole == "order by cursor not observed"


def test_the_mark_and_the_order_survive_a_full_refresh_and_are_kept_per_account_and_list(place):
    here = place(enrollments=600, accounts=2, order="updated_desc")
    here.run(resources=["sequence_enrollments", "contacts"])
    here.run(how=None, everything=True)
    known = listings.states(warehouse_of(here.pipeline))
    assert {name for _, name in known} == {"sequence_enrollments", "contacts"}
    assert len(known) == 4
    assert {state.order for (_, name), state in known.items() if name == "sequence_enrollments"} == {"newest_first"}
    assert here.run() == "recent"


@pytest.mark.parametrize("order", BY_UPDATE)
def test_a_few_vanished_rows_are_found_by_bisecting_and_many_make_it_a_full_pass(place, order):
    here = place(enrollments=5_000, page_size=20, order=order)
    here.run()
    gone = here.mutate(delete=3, update=2)["deleted"]
    assert here.run() == "recent"
    assert here.report.missing == len(gone) >= 2
    assert here.requests <= 40
    assert here.stored() == here.true()
    gone = here.mutate(delete=40)["deleted"]
    assert here.run() == "covered"
    assert here.report.missing == len(gone) >= 30
    assert here.stored() == here.true()
    assert here.run() == "recent"


def test_the_full_pass_in_the_same_run_reuses_the_pages_that_were_read(place):
    here = place(enrollments=600, order="updated_desc")
    here.run()
    here.mutate(insert=1, updated_at=1_700_000_000.0)  # appears far below the overlap
    assert here.run() == "covered"
    assert here.requests == 31
    assert "the API counts 601 records where the warehouse has 600" in here.report.whole
    assert here.stored() == here.true()


def test_a_silent_change_turns_incremental_off_until_an_operator_says_otherwise(place):
    here = place(enrollments=600, order="updated_desc")
    here.run()
    here.mutate(update=1, touch=False)
    assert here.run() == "recent"
    assert here.stored() != here.true()
    assert here.run(how=None) == "covered"
    assert here.stored() == here.true()
    assert any("changed without their cursor" in note for note in here.notes)
    assert here.run() == "covered"
    assert "changed without its cursor" in here.report.whole
    assert here.run(how=Incremental(HOW.full_every, HOW.overlap, forced=True)) == "recent"
    assert here.run() == "recent"


def test_a_full_listing_is_due_after_full_every(place):
    here = place(enrollments=600, order="updated_desc")
    here.run()
    assert here.run(how=Incremental(timedelta(0), HOW.overlap)) == "covered"
    assert here.report.whole == "full listing due"


def test_a_range_or_a_proof_reads_whole_and_a_range_moves_no_mark(place):
    here = place(enrollments=600, order="updated_desc")
    here.run()
    before = here.state()
    here.mutate(update=5)
    since = datetime(2026, 6, 1, tzinfo=timezone.utc)
    here.run(how=None, until=since - timedelta(days=100))
    assert here.state() == before
    assert here.run() == "recent"
    assert here.stored() == here.true()


def test_the_state_of_dlt_carries_the_newest_cursor_value(place):
    here = place(enrollments=600, order="updated_desc")
    for _ in range(3):
        here.run()
        state = here.pipeline.state["sources"]["boast"]["resources"]["sequence_enrollments"]["incremental"]
        assert state["updated_at"]["last_value"] == here.newest()
        here.mutate(update=2)


def test_what_the_warehouse_lost_is_noticed_by_the_count(place):
    here = place(enrollments=600, order="updated_desc")
    here.run()
    oldest = "(select id from d.sequence_enrollments order by updated_at limit 2)"
    here.rows(f"delete from d.sequence_enrollments where id in {oldest}")
    assert here.run() == "covered"
    assert here.report.loaded == 2
    assert here.stored() == here.true()


SILENT = {"update": 1, "touch": False}
KINDS = [{"update": 3}, {"insert": 2}, {"delete": 1}, SILENT, {"late": 1}, {}]


def life(here, rng, hows, kinds=KINDS):
    """A run under drift for each of `hows` (None: a full listing). Everything that was to be seen is stored; so is all
    after a full listing. Late rows come within the overlap.
    """
    unseen, ended = set(), []
    for how in hows:
        for kind in rng.sample(kinds, rng.randrange(len(kinds))):
            plan = dict(kind)
            if plan.pop("late", 0):
                plan |= {"insert": 1, "updated_at": here.newest().timestamp() - rng.randrange(3000)}
            done = here.mutate(**plan)
            if not plan.get("touch", True):
                unseen |= set(done["updated"])
            unseen -= {*done["deleted"], *(done["updated"] if plan.get("touch", True) else ())}
        if rng.random() < 0.3:
            here.server.control("POST", "advance", {"seconds": rng.randrange(20_000), "events": rng.randrange(4)})
        ended.append(here.run(how=how))
        stored, true = here.stored(), here.true()
        if ended[-1] == "recent":
            assert {key for key in true.keys() | stored.keys() if true.get(key) != stored.get(key)} <= unseen
            assert len(stored) == len(true) == here.report.listed
        else:
            assert stored == true
            unseen.clear()
    return ended


@pytest.mark.parametrize("seed", range(NIGHTS))
def test_recent_is_true_by_its_own_definition_in_all_four_orders(place, seed):
    rng = random.Random(seed)
    order = ["updated_asc", "updated_desc", "created_asc", "created_desc"][seed % 4]
    here = place(enrollments=rng.randrange(100, 400), page_size=rng.choice([10, 20]), order=order, seed=seed)
    here.run()
    ended = life(here, rng, [None if rng.random() < 0.2 else HOW for _ in range(4)])
    assert "failed" not in ended


@pytest.mark.timeout(40_000)
@pytest.mark.parametrize("order", ["updated_asc", "updated_desc", "created_asc", "created_desc"])
def test_every_morning_of_a_month_equals_the_truth_and_no_run_of_its_days_says_more(place, order):
    """A run every quarter of an hour, a full one each night; in the last days also changes that no cursor shows."""
    here = place(enrollments=300, page_size=20, order=order)
    here.run()
    rng, ended = random.Random(order), Counter()
    for day in range(DAYS):
        kinds = KINDS if day > DAYS * 0.8 else [kind for kind in KINDS if kind is not SILENT]
        ended.update(life(here, rng, [HOW] * (QUARTERS - 1) + [None], kinds))
    assert not ended["failed"]
    assert ended["recent"] > DAYS / 2 or not order.startswith("updated"), ended
