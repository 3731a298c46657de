"""Rows that name people by an address and sequences by a name: resolved within the account, by this run's listing."""

from __future__ import annotations

import uuid

import pytest

from tests.support.push_office import Office
from tests.support.push_world import ACCOUNTS

ONE, TWO, SEQUENCE = (str(uuid.UUID(int=n, version=4)) for n in (100, 101, 200))
HERE, THERE = ACCOUNTS[:2]
ROW = {"request_id": "r", "account_id": HERE, "sequence_name": "Welcome"}


@pytest.fixture
def desk(tmp_path):
    """A department with two accounts, one contact and one sequence in the first."""
    office = Office(tmp_path, accounts=(HERE, THERE))
    office.sql("create table boast_data.contacts (id text, account_id text, email text, mobile_phone text)")
    office.sql("create table boast_data.sequences (id text, account_id text, name text)")
    office.sql("insert into boast_data.sequences values (?, ?, 'Welcome')", [SEQUENCE, HERE])
    contact(office, ONE, "jo@example.com", "+15550001")
    yield office
    office.close()


def counts(office, **options):
    return {state.value: count for state, count in office.push(**options).counts.items() if count}


def contact(office, key, email, phone=None, account=HERE):
    office.sql("insert into boast_data.contacts values (?, ?, ?, ?)", [key, account, email, phone])


@pytest.mark.parametrize(
    "address",
    [
        {"email": " Jo@Example.COM\n"},
        {"mobile_phone": "+1 (555) 00-01"},
        {"mobile_phone": "001 5550001"},
        {"email": "no@example.com", "mobile_phone": "+15550001"},
        {"contact_id": ONE.upper(), "email": "of somebody else"},
    ],
)
def test_an_address_finds_its_contact(desk, address):
    desk.ask(ROW | address)
    assert counts(desk) == {"enrolled": 1}
    event = desk.newest()["r"]
    assert (event["contact_id"], event["sequence_id"], event["account_id"]) == (ONE, SEQUENCE, HERE)


def test_who_is_not_there_yet_is_looked_at_again_each_night(desk):
    desk.ask(
        ROW | {"email": "new@example.com"}, ROW | {"request_id": "s", "email": "jo@example.com", "sequence_name": "x"}
    )
    assert counts(desk) == {"invalid": 2}
    assert {key: e["error_detail"] for key, e in desk.newest().items()} == {
        "r": "no such contact yet",
        "s": "no such sequence yet",
    }
    contact(desk, TWO, "new@example.com")
    assert counts(desk) == {"enrolled": 1, "invalid": 1}


def test_an_address_of_another_account_is_nobodys(desk):
    contact(desk, TWO, "there@example.com", account=THERE)
    desk.ask(ROW | {"email": "there@example.com"}, {"email": "jo@example.com", "sequence_name": "Welcome"})
    assert counts(desk) == {"invalid": 2}
    assert desk.newest()["r"]["error_detail"] == "no such contact yet"
    assert "account_id is missing, and there are several accounts" in {
        e["error_detail"] for e in desk.newest().values()
    }


def test_several_that_fit_are_held_with_their_ids(desk):
    contact(desk, TWO, "JO@example.com")
    desk.ask(ROW | {"email": "jo@example.com"})
    assert counts(desk) == {"held": 1}
    assert desk.newest()["r"]["error_detail"] == f"several fit: contacts {ONE}, {TWO}"
    desk.sql("update boast_data.asked set contact_id = ?", [TWO])
    assert counts(desk) == {"held": 1}, "an operator decides"
    desk.decide("release", "r")
    assert counts(desk) == {"enrolled": 1}


def test_a_release_waits_until_its_row_fits_one_only(desk):
    contact(desk, TWO, "jo@example.com")
    desk.ask(ROW | {"email": "jo@example.com"})
    for _ in range(2):
        assert counts(desk) == {"held": 1}
        desk.decide("release", "r")
    desk.sql("update boast_data.contacts set email = null where id = ?", [TWO])
    assert counts(desk) == {"enrolled": 1}
    assert desk.newest()["r"]["contact_id"] == ONE


@pytest.mark.parametrize("key", ["r", None])
def test_the_request_stays_what_it_was_when_the_address_changes(desk, key):
    desk.ask(ROW | {"request_id": key, "email": "jo@example.com"})
    assert counts(desk) == {"enrolled": 1}
    desk.sql("update boast_data.contacts set email = 'jo.new@example.com'")
    desk.sql("update boast_data.asked set email = 'jo.new@example.com'")
    assert counts(desk) == {}
    if key:  # the row still has the old address, or it is somebody else's by now
        desk.sql("update boast_data.asked set email = 'jo@example.com'")
        assert counts(desk) == {}
        contact(desk, TWO, "jo@example.com")
        assert counts(desk) == {}
    assert len(desk.world.posts) == 1


@pytest.mark.parametrize(
    "names",
    [
        {"email": "jo@example.com", "mobile_phone": "+15550002"},
        {"email": "jo@example.com", "contact_id": TWO},
        {"mobile_phone": "+15550001", "contact_id": TWO},
        {"email": "jo@example.com", "sequence_id": TWO},
    ],
)
def test_a_row_whose_ids_addresses_and_names_contradict_each_other_is_not_sent(desk, names):
    contact(desk, TWO, "al@example.com", "+15550002")
    desk.ask(ROW | names)
    assert counts(desk) == {"invalid": 1}
    assert " are not of one " in desk.newest()["r"]["error_detail"]
    desk.sql("update boast_data.asked set email = 'jo@example.com', mobile_phone = null, contact_id = null")
    desk.sql("update boast_data.asked set sequence_id = null")
    assert counts(desk) == {"enrolled": 1}


def test_what_was_sent_is_held_when_its_row_comes_to_contradict_itself(desk):
    contact(desk, TWO, "al@example.com")
    desk.ask(ROW | {"contact_id": ONE, "sequence_id": SEQUENCE})
    assert counts(desk) == {"enrolled": 1}
    desk.sql("update boast_data.asked set contact_id = ?, email = 'jo@example.com'", [TWO])
    assert counts(desk) == {"held": 1}
    desk.sql("update boast_data.asked set email = null")
    assert counts(desk) == {"held": 1}
    assert len(desk.world.posts) == 1


def test_what_was_dropped_stays_so_when_its_address_becomes_clear(desk):
    contact(desk, TWO, "jo@example.com")
    desk.ask(ROW | {"email": "jo@example.com"}, ROW | {"request_id": "s", "email": "new@example.com"})
    assert counts(desk) == {"held": 1, "invalid": 1}
    desk.decide("drop", "r", "s")
    desk.sql("update boast_data.contacts set email = 'new@example.com' where id = ?", [TWO])
    assert counts(desk) == {}
    assert desk.world.posts == []


def test_a_removal_finds_its_contact_too(desk):
    desk.world.enroll((HERE, ONE, SEQUENCE), ours=False)
    desk.ask(ROW | {"email": "jo@example.com", "action": "remove"})
    assert counts(desk) == {"removed": 1}
    assert desk.world.status_of((HERE, ONE, SEQUENCE)) == {"removed"}


@pytest.mark.parametrize("key", ["r", None])
def test_an_opt_out_is_that_of_whoever_has_its_address_by_now(desk, key):
    desk.world.enroll((HERE, ONE, SEQUENCE), ours=False)
    desk.ask(ROW | {"request_id": key, "email": "jo@example.com", "action": "remove"})
    assert counts(desk) == {"removed": 1}
    desk.sql("update boast_data.contacts set email = null")
    assert key is None or counts(desk) == {}
    contact(desk, TWO, "jo@example.com")  # two contacts became one
    if key:
        assert counts(desk) == counts(desk, dry_run=True) == {}, "who is not in the sequence needs no removal"
    desk.world.enroll((HERE, TWO, SEQUENCE), ours=False)
    assert counts(desk) == ({"held": 1} if key else {"removed": 1})
    if key:
        assert desk.newest()["r"]["error_code"] == "changed"
        desk.decide("release", "r")
        assert counts(desk) == {"removed": 1}
    assert desk.world.status_of((HERE, TWO, SEQUENCE)) == {"removed"}
    assert counts(desk) == {}


@pytest.mark.parametrize("person", [{"contact_id": ONE}, {"mobile_phone": "+15550001"}])
@pytest.mark.parametrize("opt_out", [{}, {"sequence_name": "Other"}])
def test_nobody_is_enrolled_whom_an_opt_out_by_a_shared_address_may_mean(desk, person, opt_out):
    contact(desk, TWO, "jo@example.com")
    removal = ROW | {"request_id": "out", "action": "remove", "requested_at": "2026-02-02T00:00:00Z"}
    removal |= {"email": "jo@example.com"} | opt_out
    desk.ask(ROW | person | {"requested_at": "2026-02-01T00:00:00Z"}, removal)
    if "sequence_name" in opt_out:  # an opt-out from another sequence says nothing about this one
        desk.sql("insert into boast_data.sequences values (?, ?, 'Other')", [str(uuid.uuid4()), HERE])
        assert counts(desk) == {"enrolled": 1, "held": 1}
        return
    for _ in range(2):
        assert not any(verdict.send for _, verdict in desk.push(dry_run=True).planned), "no plan promises it"
        assert counts(desk) == {"deferred": 1, "held": 1}
    desk.decide("drop", "out")
    assert counts(desk) == {"enrolled": 1}


def test_a_later_word_than_an_opt_out_by_a_shared_address_counts(desk):
    contact(desk, TWO, "jo@example.com")
    removal = ROW | {"request_id": "out", "action": "remove", "email": "jo@example.com"}
    desk.ask(
        removal | {"requested_at": "2026-02-01T00:00:00Z"},
        ROW | {"contact_id": ONE, "requested_at": "2026-02-02T00:00:00Z"},
    )
    assert counts(desk) == {"enrolled": 1, "held": 1}


def test_an_opt_out_that_was_dropped_stays_so_whoever_has_its_address(desk):
    desk.ask(ROW | {"email": "jo@example.com", "action": "remove"})
    assert counts(desk) == {"refused": 1}
    desk.decide("drop", "r")
    desk.sql("update boast_data.contacts set email = null")
    contact(desk, TWO, "jo@example.com")
    desk.world.enroll((HERE, TWO, SEQUENCE), ours=False)
    assert counts(desk) == {}


def test_nobodys_address_is_in_the_ledger(desk):
    contact(desk, TWO, "twin@example.com")
    contact(desk, str(uuid.uuid4()), "twin@example.com")
    rows = ["jo@example.com", "nobody@example.com", "twin@example.com"]
    desk.ask(*(ROW | {"request_id": f"k{n}", "email": email} for n, email in enumerate(rows)))
    desk.ask({"account_id": HERE, "sequence_name": "Welcome", "email": "without.key@example.com"})
    assert counts(desk) == {"enrolled": 1, "invalid": 2, "held": 1}
    assert "example.com" not in repr(desk.sql("select * from boast_data.push_ledger"))


def test_nor_is_one_that_stands_in_a_wrong_column(desk):
    at = "jo@example.com"
    wrong = ({"contact_id": at}, {"sequence_id": at}, {"account_id": at}, {"action": at}, {"requested_at": at})
    plain = {"account_id": HERE, "contact_id": ONE, "sequence_id": SEQUENCE}
    rows = [plain | one for one in (*wrong, {"action": "remove", "enrollment_id": at})]
    desk.ask(*(row | {"request_id": f"k{n}"} for n, row in enumerate(rows)))
    assert [counts(desk), counts(desk)] == [{"invalid": 6}] * 2
    events = desk.sql("select * from boast_data.push_ledger")
    assert (len(events), "example.com" in repr(events)) == (6, False)


def test_a_run_withdraws_what_its_own_pending_table_no_longer_asks_for_and_that_of_one_that_is_gone(desk):
    desk.ask(ROW | {"email": "new@example.com"})
    desk.sql("create table boast_data.campaign as from boast_data.asked")
    desk.sql("update boast_data.campaign set request_id = 'of the campaign'")
    assert counts(desk, pending_table="Campaign") == counts(desk) == {"invalid": 1}
    desk.sql("delete from boast_data.asked")
    assert counts(desk) == {}
    assert desk.states() == {"r": "withdrawn", "of the campaign": "invalid"}
    assert counts(desk, pending_table='boast_data."campaign"') == {"invalid": 1}
    desk.sql("drop table boast_data.campaign")
    assert counts(desk) == {}
    assert desk.states()["of the campaign"] == "withdrawn"
