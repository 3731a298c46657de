"""Ledgers that somebody altered by hand: events that cannot be read stop the push, and their requests are held."""

from __future__ import annotations

import pytest

from boast_source.errors import ConfigurationError, DestinationError
from tests.support.push_office import Office
from tests.unit.test_push_safety import DAY, counts, row

LEDGER = "boast_data.push_ledger"
ALTERED = [
    *(f"update {LEDGER} set {column} = null" for column in ("request_key", "event", "attempt", "state")),
    f"update {LEDGER} set state = 'Enrolled, I think'",
    f"update {LEDGER} set state = null where state = 'enrolled'",
    f"update {LEDGER} set event = null where request_key = 'r2'",
    *(f"alter table {LEDGER} drop column {column}" for column in ("request_key", "event", "state")),
    f"alter table {LEDGER} rename column attempt to attempts",
]


@pytest.fixture
def desk(tmp_path):
    """A department that enrolled four contacts sixty days ago, who have completed the sequence since."""
    made = Office(tmp_path)
    made.ask(*map(row, range(4)))
    assert counts(made.push()) == {"enrolled": 4}
    for key in list(made.world.enrollments):
        made.world.change(key, "completed")
    made.pass_time(60 * DAY)
    yield made
    made.close()


@pytest.mark.parametrize("altered", ALTERED)
def test_events_that_cannot_be_read_stop_the_push_and_once_accepted_nobody_is_sent_twice(desk, altered):
    desk.sql(altered)
    desk.sql("delete from boast_data.runs")  # so that no count of sends tells of it
    desk.ask(row(9))
    with pytest.raises(ConfigurationError, match=r"cannot be read.*--accept-ledger") as refused:
        desk.push()
    assert refused.value.exit_code == 2
    assert "push_ledger" in refused.value.message
    with pytest.raises(ConfigurationError, match="first push only"):
        desk.push(new_ledger=True)
    assert counts(desk.push(accept_ledger=True))["enrolled"] == 1
    desk.push()
    assert len(desk.world.posts) == 5, "nobody twice, and the new one once"


def test_what_only_older_events_of_a_request_lack_is_in_no_doubt(desk):
    desk.sql(f"update {LEDGER} set attempt = null where event = 1")
    desk.push(accept_ledger=True)
    assert set(desk.states().values()) == {"enrolled"}


def test_a_pause_that_cannot_be_read_goes_on(desk):
    desk.sql(
        f"insert into {LEDGER} (request_key, content_key, run_id, event, attempt, recorded_at)"
        " values (' pause *', '', 'run 1', 1, 0, current_timestamp)"
    )
    desk.ask(row(9))
    assert counts(desk.push(accept_ledger=True)) == {"deferred": 1}


def test_a_number_that_is_none_is_told_with_its_table(desk):
    desk.sql(f"alter table {LEDGER} alter attempt type double using 'nan'::double")
    with pytest.raises(DestinationError, match=r"cannot hold a value \(push_ledger\).*Give the column back the type"):
        desk.push()


def test_a_table_of_somebody_elses_that_is_called_runs_counts_no_sends(desk):
    desk.sql("drop table boast_data.runs")
    desk.sql("create table boast_data.runs as select 'a marathon' as event")
    assert desk.ledger.count("lost_sends") == desk.ledger.count("sends_of_runs") == 0
    assert desk.ledger.enrolled_and_unlisted() == []


def test_another_loss_after_one_was_accepted_is_said_again(desk):
    desk.sql(f"update {LEDGER} set state = null where request_key = 'r0'")
    desk.push(accept_ledger=True)
    desk.push()
    desk.sql(f"update {LEDGER} set state = null where request_key = 'r1'")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        desk.push()


def test_what_was_there_before_a_claim_is_not_known_where_that_was_altered(desk):
    desk.ask(row(9))
    desk.push("is lost")
    desk.sql(f"update {LEDGER} set known_enrollment_ids = '{{nope'")
    desk.sql(f"update {LEDGER} set note = 'no plan' where state = 'planned'")
    assert counts(desk.push(exact=False)) == {"unknown": 1}
    desk.pass_time(DAY)
    assert counts(desk.push()) == {"enrolled": 1}


def test_on_postgres_nothing_is_sent_that_a_trigger_keeps_from_the_ledger(tmp_path, postgres):
    here = Office(tmp_path, database=postgres)
    here.ask(row(0))
    here.push()
    here.ask(row(1))
    postgres.sql("create function boast_data.no() returns trigger language plpgsql as $$begin return null; end$$")
    postgres.sql(f"create trigger no before insert on {LEDGER} for each row execute function boast_data.no()")
    with pytest.raises(DestinationError, match=r"push_ledger.* kept 0 of 1 events.*Remove the trigger"):
        here.push()
    assert len(here.world.posts) == 1
    postgres.sql(f"drop trigger no on {LEDGER}")
    assert counts(here.push()) == {"enrolled": 1}
    here.close()


def test_on_postgres_ids_are_read_from_columns_of_any_type(tmp_path, postgres):
    here = Office(tmp_path, database=postgres)
    here.ask(row(0), row(1, action="remove"))
    here.push()
    for column in ("account_id", "contact_id", "sequence_id", "enrollment_id"):
        postgres.sql(f"alter table {LEDGER} alter {column} type uuid using {column}::uuid")
    here.ask(row(2))
    assert counts(here.push()) == {"enrolled": 1}
    here.close()


def test_on_postgres_events_are_numbered_after_those_that_cannot_be_read(tmp_path, postgres):
    here = Office(tmp_path, database=postgres)
    here.ask(row(0), row(1))
    here.push("is lost")
    here.pass_time(DAY)
    here.sql(f"update {LEDGER} set state = 'no word' where request_key = 'r0'")
    assert counts(here.push(accept_ledger=True)) == {"held": 1}
    here.decide("retry", "r0")
    assert counts(here.push()) == {"enrolled": 1}
    here.close()


def test_who_is_active_twice_is_told_where_the_ledger_lost_events(desk):
    pair = next(pair for pair, _ in desk.world.posts)
    for _ in range(2):
        desk.world.enroll(pair, ours=False)
    desk.sql(f"delete from {LEDGER}")
    pushed = desk.push(accept_ledger=True)
    (held,) = [e for e in desk.newest().values() if e["contact_id"] == pair[1]]
    assert (held["state"], held["error_code"]) == ("held", "unaccounted")
    assert "active 2 times" in held["error_detail"]
    assert pushed.exit_code == 3
    desk.decide("drop", held["request_key"])
    assert held["request_key"] not in [e["request_key"] for e in desk.newest().values() if e["state"] == "held"]
    assert len(desk.world.posts) == 4


def test_a_fraction_keeps_its_spelling_since_it_may_be_a_line_of_an_order(desk):
    desk.ask(row(5, request_id="1001.1"), row(6, request_id="1001.10"))
    assert counts(desk.push()) == {"enrolled": 2}
    assert desk.states().keys() >= {"1001.1", "1001.10"}
    assert counts(desk.push()) == {}
