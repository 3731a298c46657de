"""The sandbox answers as the API documents, and as the options say where nothing is documented."""

from __future__ import annotations

import re

import pytest

from tests.support.sandbox_client import client_of

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
FIELDS = {
    "contacts": "id first_name last_name email mobile_phone organization job_title time_zone country_code location_id "
    "staff_id source created_at updated_at links",
    "forms": "id name status created_at updated_at",
    "sequences": "id collection_form_id enrollment_form_id name status created_at updated_at",
    "responses": "id status thumbnail consent display_weight form_id contact_id location_id staff_id accepted created "
    "updated fields additional_fields tags links",
    "webhook_subscriptions": "id event_name filters target_url user_id created_at",
    "sequence_enrollments": "id contact_id sequence_id response_id status created_at updated_at",
}
RESPONSE_FIELDS = (
    "first_name last_name email feedback headline sentiment rating rating_type rating_max video photo company "
    "job_title mobile_phone"
)


@pytest.fixture
def client(sandbox):
    with client_of(sandbox(enrollments=45)) as client:
        yield client


def active(client):
    return next(record for record in client.every() if record["status"] == "active")


@pytest.mark.parametrize("noun", FIELDS)
def test_every_list_carries_exactly_the_documented_fields(client, noun):
    records = client.every(noun)
    assert records
    assert {frozenset(record) for record in records} == {frozenset(FIELDS[noun].split())}
    assert all(UUID.fullmatch(record["id"]) for record in records)


def test_responses_nest_as_documented(client):
    for record in client.every("responses"):
        assert set(record["fields"]) == set(RESPONSE_FIELDS.split())
        assert set(record["thumbnail"]) == {"url", "open_graph_url", "unprocessed_url"}
        assert set(record["links"]) == {"detail", "edit", "share"}
        assert all(set(tag) == {"name"} for tag in record["tags"])


def test_timestamps_are_iso_8601_with_milliseconds_and_z(client):
    for record in client.every():
        assert STAMP.fullmatch(record["created_at"])
        assert STAMP.fullmatch(record["updated_at"])
        assert record["created_at"] <= record["updated_at"]


def test_enrollments_point_at_contacts_sequences_and_responses_that_exist(client):
    known = {noun: {record["id"] for record in client.every(noun)} for noun in ("contacts", "sequences", "responses")}
    for record in client.every():
        assert record["contact_id"] in known["contacts"]
        assert record["sequence_id"] in known["sequences"]
        assert record["response_id"] is None or record["response_id"] in known["responses"]


def test_a_page_tells_count_page_items_and_pages(client):
    answer = client.page(3)
    assert answer["meta"] == {"pagination": {"count": 45, "page": 3, "items": 20, "pages": 3}}
    assert len(answer["data"]) == 5


def test_items_may_be_the_rows_of_the_page(sandbox):
    with client_of(sandbox(enrollments=45, items_of_page=True)) as client:
        assert client.page(3)["meta"]["pagination"]["items"] == 5


def test_an_empty_list_has_one_page(sandbox):
    with client_of(sandbox(enrollments=0)) as client:
        assert client.page() == {"data": [], "meta": {"pagination": {"count": 0, "page": 1, "items": 20, "pages": 1}}}


def test_without_meta_the_answer_is_the_whole_list(sandbox):
    with client_of(sandbox(enrollments=45, meta=False)) as client:
        answer = client.page()
        assert len(answer["data"]) == 45
        assert "meta" not in answer


def test_a_page_past_the_end_is_empty_an_error_or_the_last_page(sandbox):
    for past_end, status, rows in (("empty", 200, 0), ("404", 404, None), ("last", 200, 5)):
        with client_of(sandbox(enrollments=45, past_end=past_end)) as client:
            answer = client.ask("GET", "sequence_enrollments?page=4")
            assert answer.status == status
            if rows is None:
                assert answer.json()["errors"][0]["code"] == "not_found"
            else:
                assert len(answer.json()["data"]) == rows


@pytest.mark.parametrize("order", ["created_asc", "created_desc", "updated_asc", "updated_desc"])
def test_the_list_comes_in_the_order_asked_for(sandbox, order):
    field, direction = order.split("_")
    with client_of(sandbox(enrollments=90, order=order)) as client:
        times = [record[f"{field}_at"] for record in client.every()]
        assert times == sorted(times, reverse=direction == "desc")
        assert len({record["id"] for record in client.every()}) == 90


def test_equal_seeds_give_equal_content_and_others_do_not(sandbox):
    def content(**options):
        with client_of(sandbox(enrollments=40, **options)) as client:
            return [client.every(noun) for noun in FIELDS]

    assert content(seed=3) == content(seed=3)
    assert content(seed=3) != content(seed=4)


def test_one_enrollment_is_the_one_of_the_list(client):
    record = client.page()["data"][7]
    assert client.ask("GET", f"sequence_enrollments/{record['id']}").json() == {"data": record}


def test_accounts_are_listed_and_shown(sandbox):
    with client_of(sandbox(enrollments=60, accounts=3)) as client:
        listed = client.raw("GET", "/accounts").json()["data"]
        assert [record["id"] for record in listed] == client.info["account_ids"]
        assert client.raw("GET", f"/accounts/{listed[2]['id']}").json()["data"] == listed[2]


def test_several_accounts_share_nothing(sandbox):
    with client_of(sandbox(enrollments=60, accounts=3)) as client:
        held = []
        for account in client.info["account_ids"]:
            answer = client.ask("GET", "sequence_enrollments", account=account).json()
            held.append({record["id"] for record in answer["data"]})
        assert len(set.union(*held)) == sum(map(len, held))
        stranger = held[1].pop()
        assert client.ask("GET", f"sequence_enrollments/{stranger}").status == 404


def test_enrolling_answers_the_new_active_record(client):
    old = client.page()["data"][0]
    answer = client.enroll(old["contact_id"], old["sequence_id"])
    record = answer.json()["data"]
    assert answer.status == 201
    assert (record["status"], record["response_id"]) == ("active", None)
    assert (record["contact_id"], record["sequence_id"]) == (old["contact_id"], old["sequence_id"])
    assert client.ask("GET", f"sequence_enrollments/{record['id']}").json()["data"] == record


def test_two_equal_posts_make_two_enrollments(client):
    old = client.page()["data"][0]
    made = {client.enroll(old["contact_id"], old["sequence_id"]).json()["data"]["id"] for _ in range(2)}
    assert len(made) == 2
    assert client.page()["meta"]["pagination"]["count"] == 47


def test_a_pair_that_is_active_may_be_refused(sandbox):
    with client_of(sandbox(enrollments=45, on_duplicate="refuse")) as client:
        old = active(client)
        answer = client.enroll(old["contact_id"], old["sequence_id"])
        assert answer.status == 422
        assert answer.json()["errors"][0]["status"] == 422


@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_unknown_contact_or_sequence_is_refused_with_an_errors_body(sandbox, status):
    with client_of(sandbox(enrollments=45, unknown_status=status)) as client:
        old = client.page()["data"][0]
        for pair in ((old["sequence_id"], old["sequence_id"]), (old["contact_id"], old["contact_id"])):
            answer = client.enroll(*pair)
            assert answer.status == status
            assert {"detail", "code", "status"} <= set(answer.json()["errors"][0])


def test_json_without_its_content_type_is_ignored(client):
    old = client.page()["data"][0]
    body = f'{{"contact_id": "{old["contact_id"]}", "sequence_id": "{old["sequence_id"]}"}}'
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "text/plain"}
    assert client.ask("POST", "sequence_enrollments", body=body, headers=headers).status == 422
    assert client.page()["meta"]["pagination"]["count"] == 45


def test_removing_answers_the_removed_record_once(client):
    record = active(client)
    answer = client.ask("DELETE", f"sequence_enrollments/{record['id']}")
    assert (answer.status, answer.json()["data"]["status"]) == (200, "removed")
    assert answer.json()["data"]["updated_at"] >= record["updated_at"]
    assert client.ask("DELETE", f"sequence_enrollments/{record['id']}").status == 422


def test_removing_what_is_not_active_may_leave_it_unchanged(sandbox):
    with client_of(sandbox(enrollments=45, on_inactive="unchanged")) as client:
        record = next(record for record in client.every() if record["status"] == "completed")
        answer = client.ask("DELETE", f"sequence_enrollments/{record['id']}")
        assert (answer.status, answer.json()["data"]) == (200, record)


def test_unknown_paths_accounts_and_records_are_404_and_wrong_methods_405(client):
    nobody = "09f1bd66-84fe-454f-ac12-4dc323f656aa"
    for answer in (
        client.raw("GET", "/nowhere"),
        client.ask("GET", "contacts", account=nobody),
        client.ask("GET", f"sequence_enrollments/{nobody}"),
    ):
        assert (answer.status, answer.json()["errors"][0]["code"]) == (404, "not_found")
    assert client.ask("PUT", "contacts").status == 405
