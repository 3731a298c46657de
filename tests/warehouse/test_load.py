"""`boast load` in real processes against the sandbox: the table equals the API, and only what differs is loaded."""

from __future__ import annotations

import json
import shutil
import uuid
from datetime import datetime, timedelta, timezone

import pytest

from tests.support.http_server import page, serving
from tests.support.workplace import stored


def loaded(done):
    assert done.code == 0, done.err
    return sum(account["loaded"] for account in done.json["accounts"])


def test_the_second_load_loads_nothing_and_the_third_exactly_what_changed(sandbox, workplace):
    server = sandbox(enrollments=300, accounts=2)
    workplace.use(server)
    assert loaded(workplace.boast("load", "--json")) == 300
    assert stored(workplace) == server.truth()
    assert loaded(workplace.boast("load", "--json")) == 0

    server.control("POST", "mutate", {"update": 17, "insert": 5})
    assert loaded(workplace.boast("load", "--json")) == 22
    assert stored(workplace) == server.truth()
    assert workplace.sql("select count(*), count(distinct id) from boast_data.sequence_enrollments") == [(305, 305)]
    history = "select count(*), count(distinct version_key), max(version) from boast_data.sequence_enrollments_history"
    assert workplace.sql(history) == [(322, 322, 2)]
    assert workplace.sql(
        "select command, status, exit_code, verified, listed, loaded from boast_data.runs order by started_at"
    ) == [
        ("load", "ok", 0, "covered", 300, 300),
        ("load", "ok", 0, "covered", 300, 0),
        ("load", "ok", 0, "covered", 305, 22),
    ]


def test_the_summary_is_exactly_one_json_document_with_the_keys_of_the_contract(sandbox, workplace):
    server = sandbox(enrollments=50)
    done = workplace.use(server).boast("load", "--prove", "--json")
    assert set(done.json) == {"run_id", "status", "accounts"}
    (account,) = done.json["accounts"]
    assert account == account | {
        "account_id": server.account_ids[0],
        "listed": 50,
        "loaded": 50,
        "missing": 0,
        "passes": 2,
        "pages": 6,
        "retries": 0,
        "verified": "exact",
        "error": None,
    }


def test_a_person_reads_a_summary_without_colours_in_a_log(sandbox, workplace):
    done = workplace.use(sandbox(enrollments=50)).boast("load")
    assert "50 enrollments loaded of 50 listed" in done.out
    assert "Verified: covered" in done.out
    assert "\x1b" not in done.out + done.err
    assert done.err == ""


def test_all_lists_are_loaded_with_their_fields_and_accounts(sandbox, workplace):
    server = sandbox(enrollments=60)
    assert workplace.use(server).boast("load").code == 0
    counts = {
        name: workplace.sql(f"select count(*), min(account_id), max(account_id) from boast_data.{name}")[0]
        for name in ("accounts", "contacts", "forms", "responses", "sequences")
    }
    account = server.account_ids[0]
    assert all(low == high == account for _, low, high in counts.values())
    assert {name: count for name, (count, *_) in counts.items()} == {
        "accounts": 1,
        "contacts": 20,
        "forms": 4,
        "responses": server.api.world.length(0, "responses"),
        "sequences": 24,
    }
    rating, tags, created = workplace.sql(
        "select fields__rating, typeof(tags), typeof(created) from boast_data.responses limit 1"
    )[0]
    assert 1 <= rating <= 5
    assert (tags, created) == ("JSON", "TIMESTAMP WITH TIME ZONE")


def test_only_the_named_resources_and_accounts_are_loaded(sandbox, workplace):
    server = sandbox(enrollments=60, accounts=3)
    workplace.use(server)
    one = server.account_ids[1]
    done = workplace.boast("load", "--json", "--account", one, "--resources", "sequence_enrollments")
    assert [account["account_id"] for account in done.json["accounts"]] == [one]
    assert {row["account_id"] for row in stored(workplace).values()} == {one}
    tables = {name for (name,) in workplace.sql("select table_name from duckdb_tables()")}
    assert not tables & {"contacts", "forms", "responses", "sequences", "accounts"}


def test_a_range_loads_what_was_updated_in_it(sandbox, workplace):
    server = sandbox(enrollments=200)
    workplace.use(server)
    assert workplace.boast("load", "--since", "2025-01-01", "--until", "2026-01-01").code == 0
    inside = {k: v for k, v in server.truth().items() if "2025-01-01" <= v["updated_at"] < "2026-01-01"}
    assert stored(workplace) == inside
    assert len(inside) > 20
    assert workplace.sql("select verified, listed, loaded from boast_data.runs") == [(None, None, len(inside))]
    assert workplace.sql("select * from boast_data.good_runs") == [], "all that lies beyond is not there"


def test_a_range_does_not_call_exact_what_has_rows_that_vanished(sandbox, workplace):
    server = sandbox(enrollments=60)
    workplace.use(server)
    assert workplace.boast("load").code == 0
    server.control("POST", "mutate", {"delete": 1})
    for arguments, says in ((("--since", "2020-01-01"), "moving"), ((), "exact"), (("--since", "2020-01-01"), "exact")):
        (account,) = workplace.boast("load", "--json", "--prove", *arguments).json["accounts"]
        assert account["verified"] == says


@pytest.mark.parametrize("more", [1, 1000])
def test_a_list_that_counts_more_than_it_lists_is_loaded_and_told(workplace, more):
    records = [
        {"id": str(uuid.UUID(int=n)), "status": "active", "updated_at": "2026-01-01T00:00:00.000Z"} for n in range(40)
    ]

    def answer(request):
        path, _, number = request.target.partition("?page=")
        if not path.endswith("sequence_enrollments"):
            return page({"id": str(uuid.UUID(int=1)), "name": "One"}) if path == "/v1/accounts" else page()
        return page(*(records if number in {"", "1"} else []), count=40 + more, page=1, items=100, pages=1)

    with serving(answer) as server:
        workplace.env["SOURCES__BOAST__BASE_URL"] = f"{server.url}/v1"
        workplace.env["SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN"] = "token"
        done = workplace.boast("load", "--json", "--prove")
    (account,) = done.json["accounts"]
    assert (done.code, account["verified"], account["loaded"]) == (0, "moving", 40)
    assert f"the API counts {40 + more:,} sequence_enrollments and lists 40, which are loaded" in done.err


def test_a_full_refresh_writes_all_again_and_drops_nothing(sandbox, workplace):
    server = sandbox(enrollments=80)
    workplace.use(server)
    workplace.boast("load")
    assert loaded(workplace.boast("load", "--full-refresh", "--json")) == 80
    assert stored(workplace) == server.truth()
    assert workplace.sql("select count(*) from boast_data.sequence_enrollments_history") == [(80,)]


def test_vanished_rows_are_marked_and_unmarked_and_the_history_has_three_versions(sandbox, workplace):
    server = sandbox(enrollments=80)
    workplace.use(server)
    workplace.boast("load")
    (gone,) = server.control("POST", "mutate", {"delete": 1})["deleted"]
    done = workplace.boast("load", "--json")
    assert (done.code, done.json["accounts"][0]["missing"]) == (0, 1)
    marked = "select id from boast_data.sequence_enrollments where missing_since is not null"
    assert workplace.sql(marked) == [(gone,)]
    server.control("POST", "mutate", {"restore_ids": [gone]})
    assert loaded(workplace.boast("load", "--json")) == 1
    assert workplace.sql(marked) == []
    versions = workplace.sql(
        "select version, missing_since is not null from boast_data.sequence_enrollments_history"
        f" where id = '{gone}' order by version"
    )
    assert versions == [(1, False), (2, True), (3, False)]


def test_an_empty_listing_over_a_full_table_marks_nothing_and_ends_with_3(sandbox, workplace):
    server = sandbox(enrollments=30)
    workplace.use(server)
    workplace.boast("load")
    server.control("POST", "mutate", {"delete_ids": list(server.truth())})
    done = workplace.boast("load", "--json")
    assert done.code == 3
    (account,) = done.json["accounts"]
    assert (account["verified"], account["missing"]) == ("failed", 0)
    assert "--accept-missing" in account["error"]
    assert workplace.sql("select count(*) from boast_data.sequence_enrollments where missing_since is null") == [(30,)]
    assert workplace.boast("load", "--accept-missing").code == 0
    assert workplace.sql("select count(*) from boast_data.sequence_enrollments where missing_since is null") == [(0,)]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_failing_account_does_not_take_down_the_others(sandbox, workplace, status):
    server = sandbox(enrollments=90, accounts=3)
    workplace.use(server)
    bad = server.account_ids[1]
    server.control("POST", "faults", {"kind": "status", "status": status, "path": f"{bad}/sequence"})
    done = workplace.boast("load", "--resources", "sequence_enrollments", "--json")
    assert done.code == 3
    errors = {account["account_id"]: account["error"] for account in done.json["accounts"]}
    assert f"HTTP {status}" in errors.pop(bad)
    assert set(errors.values()) == {None}
    assert stored(workplace) == {k: v for k, v in server.truth().items() if v["account_id"] != bad}


def test_an_account_that_is_seen_later_gets_its_whole_past(sandbox, workplace):
    server = sandbox(enrollments=90, accounts=3)
    workplace.use(server)
    server.control("POST", "mutate", {"update": 20})  # the cursor is beyond everything of the others
    seen = []
    for account in server.account_ids:
        seen.append(account)
        whole = {key: row for key, row in server.truth().items() if row["account_id"] in seen}
        done = workplace.boast("load", "--json", SOURCES__BOAST__ACCOUNT_IDS=json.dumps(seen))
        assert loaded(done) == sum(row["account_id"] == account for row in whole.values())
        assert stored(workplace) == whole
    assert stored(workplace) == server.truth()


@pytest.mark.parametrize("order", ["created_asc", "created_desc", "updated_asc", "updated_desc"])
def test_a_list_that_changes_while_it_is_read_loses_no_row(sandbox, workplace, order):
    server = sandbox(enrollments=200, order=order)
    workplace.use(server)
    before = set(server.truth())
    server.control("POST", "drift", {"insert": 1, "delete": 1, "update": 1, "every_pages": 2, "times": 12})
    done = workplace.boast("load", "--prove", "--json")
    assert done.code == 0, done.err
    throughout = before & set(server.truth())
    assert throughout <= set(stored(workplace))
    assert workplace.boast("load", "--prove", "--json").json["accounts"][0]["verified"] == "exact"
    assert stored(workplace) == server.truth()


def test_unknown_fields_odd_types_and_missing_fields_are_kept(sandbox, workplace):
    server = sandbox(enrollments=40)
    workplace.use(server)
    a, b, c, d = list(server.truth())[:4]
    edits = [
        {"id": a, "set": {"campaign": "spring", "score": 3, "Tags": ["x"], "status": "on hold"}},
        {"id": b, "set": {"score": 2.5, "status": None, "updated_at": "yesterday"}},
        {"id": c, "set": {"score": "n/a", "status": {"a": 1}}, "drop": ["created_at"]},
        {"id": d, "set": {"campaign": 7, "status": 9}},
    ]
    server.control("POST", "mutate", {"edits": edits})
    assert workplace.boast("load").code == 0
    answer = workplace.sql(
        "select id, status, campaign, score, tags::varchar, updated_at__v_text, created_at is null"
        " from boast_data.sequence_enrollments"
    )
    rows = {key: tuple(values) for key, *values in answer}
    assert rows[a] == ("on hold", "spring", "3", '["x"]', None, False)
    assert rows[b] == (None, None, "2.5", None, "yesterday", False)
    assert rows[c] == ('{"a":1}', None, "n/a", None, None, True)
    assert rows[d] == ("9", "7", None, None, None, False)
    assert loaded(workplace.boast("load", "--json")) == 0

    server.control("POST", "mutate", {"edits": [{"id": a, "set": {"response_count": 1}}]})
    workplace.boast("load")
    server.control("POST", "mutate", {"edits": [{"id": a, "set": {"response_count": "many"}}]})
    assert loaded(workplace.boast("load", "--json")) == 1
    query = f"select response_count, response_count__v_text from boast_data.sequence_enrollments where id = '{a}'"
    assert workplace.sql(query) == [(None, "many")]


def test_fields_beyond_the_bound_stay_in_one_json_column_and_load_once(sandbox, workplace):
    server = sandbox(enrollments=20)
    workplace.use(server, SOURCES__BOAST__MAX_EXTRA_COLUMNS="2")
    key = next(iter(server.truth()))
    server.control("POST", "mutate", {"edits": [{"id": key, "set": {"a": 1, "b": "x", "c": [2], "d": True}}]})
    done = workplace.boast("load")
    assert (done.code, done.err.count("max_extra_columns (2). 2 of them")) == (0, 1)
    query = f"select a, b, other_fields::json from boast_data.sequence_enrollments where id = '{key}'"
    ((a, b, rest),) = workplace.sql(query)
    assert (a, b, json.loads(rest)) == (1, "x", {"c": [2], "d": True})
    again = workplace.boast("load", "--json")
    assert (loaded(again), "max_extra_columns" in again.err) == (0, False)
    server.control("POST", "mutate", {"edits": [{"id": key, "set": {"d": False}}]})
    assert loaded(workplace.boast("load", "--json")) == 1


def test_late_rows_ties_and_content_that_changes_without_updated_at_are_loaded(sandbox, workplace):
    server = sandbox(enrollments=60)
    workplace.use(server)
    workplace.boast("load")
    server.control("POST", "mutate", {"insert": 2, "updated_at": 1_650_000_000})
    server.control("POST", "mutate", {"update": 3, "touch": False})
    assert loaded(workplace.boast("load", "--json")) == 5
    assert stored(workplace) == server.truth()


def test_of_the_packages_set_aside_the_newest_three_are_kept_for_thirty_days(sandbox, workplace):
    folder = workplace.folder / "state" / "pipelines" / "boast_set_aside"
    now = datetime.now(timezone.utc)
    names = [f"{now - timedelta(days=days):%Y%m%dT%H%M%S.%f}" for days in (1, 2, 29, 29.5)]
    old = f"{now - timedelta(days=31):%Y%m%dT%H%M%S}"  # as an earlier version named them
    for name in (*names, old):
        (folder / name / "load").mkdir(parents=True)
    assert workplace.use(sandbox(enrollments=10)).boast("load").code == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted(names[:3])
    shutil.rmtree(folder / names[0])
    (folder / old).mkdir()
    assert workplace.boast("load").code == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted(names[1:3])
