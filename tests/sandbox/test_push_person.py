"""Rows with an e-mail address and the name of a sequence, over a real listing: no address gets into what is kept."""

from __future__ import annotations

import uuid

import pytest

from tests.support.sandbox_client import POST, client_of

pytest_plugins = ["tests.support.postgres", "tests.support.push_fixtures"]


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_a_first_push_and_its_preview_list_contacts_and_sequences_to_resolve_the_rows(
    pushing, request, workplace, kind
):
    database = request.getfixturevalue("postgres") if kind == "postgres" else None
    desk = pushing(database)
    (pair,) = desk.free_pairs(1)
    with client_of(desk.server) as client:
        email = next(c["email"] for c in client.every("contacts") if c["id"] == pair["contact_id"])
        name = next(s["name"] for s in client.every("sequences") if s["id"] == pair["sequence_id"])
    desk.table("request_id text, email text, sequence_name text")
    desk.ask({"request_id": "r", "email": email.upper(), "sequence_name": f" {name} "})
    desk.ask({"request_id": "s", "email": "secret.person@example.com", "sequence_name": name})
    looked = workplace.boast("push", "--dry-run", "--destination", kind, "--json")
    plan = workplace.boast("push", "--plan", "plan.json", "--destination", kind, "--json")
    for seen in (looked, plan):  # by what the API has now: no contact is loaded yet
        assert (seen.json["deferred"], seen.json["invalid"]) == (1, 1), seen.err
    tables = desk.execute("select table_name from information_schema.tables where table_schema = 'boast_data'")
    assert [name for (name,) in tables] == ["pending_enrollments"]
    done = workplace.boast("push", "--new-ledger", "--destination", kind, "--json", "--debug")
    assert (done.json["enrolled"], done.json["invalid"]) == (1, 1), done.err
    (truth,) = [
        e
        for e in desk.server.truth().values()
        if e["contact_id"] == pair["contact_id"] and e["sequence_id"] == pair["sequence_id"]
    ]
    assert truth["status"] == "active"
    assert desk.writes == {POST: 1}
    listed = workplace.boast("requests", "list", "--destination", kind)
    assert "no such contact yet" in listed.out
    said = done.out + done.err + listed.out + listed.err + repr(desk.execute("select * from boast_data.push_ledger"))
    assert "secret.person" not in said
    assert email.lower() not in said.lower()


def test_a_contact_that_is_no_longer_listed_has_no_address(pushing, workplace):
    desk = pushing()
    (pair,) = desk.free_pairs(1)
    with client_of(desk.server) as client:
        email = next(c["email"] for c in client.every("contacts") if c["id"] == pair["contact_id"])
    assert workplace.boast("load").code == 0
    for gone, address in ((1, email), (2, "gone@example.com")):  # as Boast's deleted contacts stay in the table
        id_ = str(uuid.UUID(int=gone, version=4))
        account = "(select any_value(account_id) from boast_data.contacts)"
        desk.execute(
            f"insert into boast_data.contacts (id, account_id, email) values ('{id_}', {account}, '{address}')"
        )
    desk.table("request_id text, email text, sequence_id text")
    desk.ask({"request_id": "again", "email": email, "sequence_id": pair["sequence_id"]})
    desk.ask({"request_id": "gone", "email": "gone@example.com", "sequence_id": pair["sequence_id"]})
    looked = workplace.boast("push", "--dry-run", "--json").json
    assert (looked["deferred"], looked["invalid"]) == (1, 1)
    done = workplace.boast("push", "--new-ledger", "--json").json
    assert (done["enrolled"], done["invalid"]) == (1, 1)
    assert pair["contact_id"] in {e["contact_id"] for e in desk.server.truth().values()}


def test_a_push_ends_and_says_why_where_addresses_were_given_another_type(pushing, workplace):
    desk = pushing()
    (pair,) = desk.free_pairs(1)
    assert workplace.boast("load").code == 0
    desk.execute("alter table boast_data.contacts alter email type varchar[] using [email]")
    desk.table("request_id text, email text, sequence_id text")
    desk.ask({"request_id": "r", "email": "somebody@example.com", "sequence_id": pair["sequence_id"]})
    done = workplace.boast("push", "--new-ledger")
    assert done.code == 1
    assert "cannot hold a value (contacts)" in done.err


def test_a_table_without_any_way_to_name_a_contact_is_refused(pushing):
    desk = pushing()
    desk.table("request_id text, sequence_name text")
    refused = desk.push()
    assert (refused.code, "has no column contact_id" in refused.error) == (2, True)
