"""`boast load` into a real Postgres, in real processes: as exact as into DuckDB, also for runs side by side."""

from __future__ import annotations

import itertools

import dlt
import pytest

from boast_source import boast_source, create_views
from tests.support.stored_in_postgres import INTO, counts, listed, loaded, stored
from tests.support.workplace import finish


def test_the_second_load_loads_nothing_and_the_third_exactly_what_changed(sandbox, job, postgres):
    server = sandbox(enrollments=300, accounts=2)
    job.use(server)
    assert loaded(job.boast(*INTO, "--json")) == 300
    assert stored(postgres) == listed(server)
    again = job.boast(*INTO, "--prove", "--json", DLT_DATA_DIR=str(job.folder / "a_new_working_folder"))
    assert loaded(again) == 0
    assert {account["verified"] for account in again.json["accounts"]} == {"exact"}

    server.control("POST", "mutate", {"update": 17, "insert": 5})
    assert loaded(job.boast(*INTO, "--json")) == 22
    assert stored(postgres) == listed(server)
    assert counts(postgres, "sequence_enrollments", "id") == (305, 305)
    assert counts(postgres, "sequence_enrollments_history", "version_key") == (322, 322)
    assert postgres.sql("select status, verified, listed, loaded from boast_data.runs order by started_at") == [
        ("ok", "covered", 300, 300),
        ("ok", "exact", 300, 0),
        ("ok", "covered", 305, 22),
    ]


def test_vanished_rows_are_marked_and_unmarked_and_the_history_has_three_versions(sandbox, job, postgres):
    server = sandbox(enrollments=60)
    job.use(server)
    only = ("--resources", "sequence_enrollments", "--json")
    job.boast(*INTO, *only)
    (gone,) = server.control("POST", "mutate", {"delete": 1})["deleted"]
    assert job.boast(*INTO, *only).json["accounts"][0]["missing"] == 1
    marked = "select id from boast_data.sequence_enrollments where missing_since is not null"
    assert postgres.sql(marked) == [(gone,)]
    server.control("POST", "mutate", {"restore_ids": [gone]})
    assert loaded(job.boast(*INTO, *only)) == 1
    assert postgres.sql(marked) == []
    assert postgres.sql(
        "select version, missing_since is not null from boast_data.sequence_enrollments_history"
        f" where id = '{gone}' order by version"
    ) == [(1, False), (2, True), (3, False)]


LONG = ("one", "two", "three")
AWKWARD = [
    "",
    " ",
    "NULL",
    "null",
    "\\N",
    "\\.",
    "\\",
    '"',
    '""',
    'a,"b"\nc\r\nd',
    "é ☃ 𝄞",
    "\ttab",
    "'; drop table x; --",
    "%s",
]


def test_every_awkward_value_arrives_as_it_is_and_is_not_loaded_again(sandbox, job, postgres):
    server = sandbox(enrollments=40)
    job.use(server)
    ids = sorted(server.truth())[: len(AWKWARD)]
    deep = {"z": [1, 2.5, None, True, 'é"\\\n'], "a": {"b": {}, "": ""}}
    texts = [
        {"id": key, "set": {"status": text, "note": text, "tags": [text], "deep": deep}}
        for key, text in zip(ids, AWKWARD, strict=True)
    ]
    kinds = [
        {"big": 9_007_199_254_740_993, "ratio": 0.1, "yes": True, "updated_at": "0001-01-01T00:00:00Z"},
        {"big": -9_223_372_036_854_775_808, "ratio": 1e-300, "yes": False, "updated_at": "9999-12-31T23:59:59.999Z"},
        {"ratio": 3, "created_at": "2026-03-29T01:30:00.123456+01:00"},
    ]
    others = sorted(server.truth())[len(AWKWARD) :]
    long = 'a "line"\n' * 60_000  # three of them are more than a block of what is read at once
    for name in LONG:
        server.control("POST", "mutate", {"edits": [{"id": others[3], "set": {name: long}}]})
    server.control("POST", "mutate", {"edits": texts})
    server.control("POST", "mutate", {"edits": [{"id": k, "set": v} for k, v in zip(others, kinds, strict=False)]})
    nul = {"status": "n\0ul", "note": "\0", "deep": {"\0": "\0"}}
    server.control("POST", "mutate", {"edits": [{"id": others[4], "set": nul}]})
    only = ("--resources", "sequence_enrollments", "--json")
    assert loaded(job.boast(*INTO, *only)) == 40
    table = "boast_data.sequence_enrollments"
    columns = f"status, note, tags ->> 0, deep, pg_typeof(tags)::text from {table} where id"
    for key, text in zip(ids, AWKWARD, strict=True):
        assert postgres.sql(f"select {columns} = '{key}'") == [(text, text, text, deep, "jsonb")]
    utc = "extract(epoch from updated_at)::text, extract(epoch from created_at)::text"
    rows = [postgres.sql(f"select big, ratio, yes, {utc} from {table} where id = '{key}'")[0] for key in others[:3]]
    assert [row[:3] for row in rows] == [
        (9_007_199_254_740_993, 0.1, True),
        (-9_223_372_036_854_775_808, 1e-300, False),
        (None, 3.0, None),
    ]
    assert postgres.sql(f"select {', '.join(LONG)} from {table} where id = '{others[3]}'") == [(long,) * 3]
    assert (rows[0][3], rows[1][3], rows[2][4]) == ("-62135596800.000000", "253402300799.999000", "1774744200.123456")
    replaced = postgres.sql(f"select status, note, deep from {table} where id = '{others[4]}'")
    assert replaced == [("n\ufffdul", "\ufffd", {"\ufffd": "\ufffd"})]  # Postgres stores no NUL
    assert loaded(job.boast(*INTO, *only)) == 0  # read back as they were written

    server.control("POST", "mutate", {"edits": [{"id": ids[1], "set": {"status": None, "note": "", "late": "x"}}]})
    server.control("POST", "mutate", {"edits": [{"id": others[0], "set": {"big": "huge"}}]})
    assert loaded(job.boast(*INTO, *only)) == 2
    assert postgres.sql(f"select status, note, late from {table} where id = '{ids[1]}'") == [(None, "", "x")]
    assert postgres.sql(f"select big, big__v_text from {table} where id = '{others[0]}'") == [(None, "huge")]
    assert loaded(job.boast(*INTO, *only)) == 0
    assert counts(postgres, "sequence_enrollments_history", "version_key") == (42, 42)


def test_dlts_refresh_modes_load_again_although_views_read_the_tables(sandbox, job, postgres, monkeypatch):
    server = sandbox(enrollments=30)
    job.use(server)
    pending = "create table boast_data.pending_enrollments as select 'r' request_id, contact_id, sequence_id"
    assert loaded(job.boast(*INTO, "--json")) == 30
    postgres.sql(f"{pending} from boast_data.sequence_enrollments where status <> 'active' limit 1")
    assert job.boast("nightly", "--destination", "postgres", "--new-ledger").code in {0, 3}
    kept = "select * from boast_data.{} order by 1"
    before = {name: postgres.sql(kept.format(name)) for name in ("push_ledger", "runs")}
    history = counts(postgres, "sequence_enrollments_history", "version_key")
    for name, value in job.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(job.folder)
    mine = dlt.pipeline("boast", destination="postgres", dataset_name="boast_data", pipelines_dir=str(job.folder / "p"))
    modes = ("drop_sources", "drop_resources", "drop_data")
    for refresh, chosen in itertools.product(modes, (None, "sequence_enrollments")):
        source = boast_source()
        mine.run(source.with_resources(chosen) if chosen else source, refresh=refresh)
        assert stored(postgres) == listed(server)
        assert {name: postgres.sql(kept.format(name)) for name in before} == before
        assert counts(postgres, "sequence_enrollments_history", "version_key") == history
        assert "enrollment_history" in create_views(mine)  # for the next mode
    assert job.boast("nightly", "--destination", "postgres").code in {0, 3}
    assert postgres.sql("select count(*) from boast_data.enrollment_milestones")[0][0] >= 30


def test_a_field_with_a_name_longer_than_postgres_allows_fails_no_load(sandbox, job, postgres):
    server = sandbox(enrollments=10)
    job.use(server)
    key, other, *_ = server.truth()
    names = ["n" * 62, "long_" * 14 + "a", "long_" * 14 + "b"]

    def edit(key, value):
        server.control("POST", "mutate", {"edits": [{"id": key, "set": dict.fromkeys(names, value)}]})

    for key_, value, expected in ((key, 1, 10), (other, "text", 1), (key, 2, 1)):
        edit(key_, value)
        assert loaded(job.boast(*INTO, "--json")) == expected
        assert loaded(job.boast(*INTO, "--json")) == 0
    columns = postgres.sql(
        "select column_name from information_schema.columns where table_schema = 'boast_data'"
        " and table_name = 'sequence_enrollments' and (column_name like 'long%' or column_name like 'nnn%')"
    )
    names = [name for (name,) in columns if not name.endswith("__v_text")]
    assert (len(columns), len(names)) == (6, 3)
    table = "boast_data.sequence_enrollments"
    for name in names:
        beside = f"select {name}, {name}__v_text from {table} where {name} is not null or {name}__v_text is not null"
        assert sorted(postgres.sql(beside), key=str) == [(2, None), (None, "text")]


def test_the_status_is_in_utc_whatever_the_session_s_zone(sandbox, job, postgres):
    job.use(sandbox(enrollments=5))
    assert job.boast(*INTO).code == 0
    ((ended,),) = postgres.sql(
        "select to_char(finished_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI') from boast_data.runs"
    )
    assert f"{ended} UTC" in job.boast("status", *INTO[1:]).out
    found = job.boast("status", *INTO[1:], "--json").json
    assert found["health"]["last_finished_at"].replace("T", " ")[:16] == ended
    assert found["health"]["last_finished_at"].endswith("+00:00")


def test_a_wrong_password_is_one_line_without_it(sandbox, job, postgres):
    job.use(sandbox(enrollments=20))
    wrong = {"DESTINATION__POSTGRES__CREDENTIALS": postgres.url(password="tr0ub4dor")}
    running = [job.start(*command, **wrong) for command in (INTO, ("check", "--destination", "postgres"))]
    load, check = map(finish, running)
    for done in (load, check):
        assert done.code == 1
        assert "password authentication failed" in done.out + done.err
        assert "tr0ub4dor" not in done.out + done.err
    assert len(load.err.strip().splitlines()) == 1


def test_an_unreachable_server_is_one_line_with_the_next_step(sandbox, job, postgres):
    job.use(sandbox(enrollments=20))
    done = job.boast(*INTO, DESTINATION__POSTGRES__CREDENTIALS=postgres.url(port=1))
    assert done.code == 1
    assert len(done.err.strip().splitlines()) == 1
    assert "boast check" in done.err


def test_a_connection_lost_while_loading_is_made_good_by_the_next_run(sandbox, job, postgres):
    server = sandbox(enrollments=100)
    job.use(server)
    job.boast(*INTO)
    postgres.sql(
        "create function lose() returns trigger language plpgsql as"
        " $$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$;"
        " create trigger lose before insert or update on boast_data.sequence_enrollments_history"
        " execute function lose()"
    )
    server.control("POST", "mutate", {"update": 9})
    done = job.boast(*INTO, LOAD__RAISE_ON_MAX_RETRIES="1")
    assert done.code == 1
    assert len(done.err.strip().splitlines()) == 1
    assert "boast check" in done.err
    postgres.sql("drop trigger lose on boast_data.sequence_enrollments_history")
    assert job.boast(*INTO).code == 0
    assert stored(postgres) == listed(server)
    assert counts(postgres, "sequence_enrollments_history", "version_key") == (109, 109)


OTHER_TYPES = {
    "sequence_enrollments.id": "(sequence_enrollments_history, sequence_enrollments)",
    "sequence_enrollments_history.id": "(sequence_enrollments_history, sequence_enrollments)",
    "sequence_enrollments.account_id": 'column "account_id" is of type uuid',
    "contacts.id": "(contacts): operator does not exist: uuid = character varying",
}


@pytest.fixture
def altered(sandbox, job, postgres):
    """A load, a pending table without rows, and a column that somebody made a uuid."""
    job.use(sandbox(enrollments=20))
    job.boast(*INTO)
    postgres.sql("create table boast_data.pending_enrollments (contact_id text, sequence_id text)")

    def alter(column):
        table, name = column.split(".")
        views = "select table_name from information_schema.views where table_schema = 'boast_data'"
        for (view,) in postgres.sql(views):
            postgres.sql(f"drop view if exists boast_data.{view} cascade")
        postgres.sql(f"alter table boast_data.{table} alter {name} type uuid using {name}::uuid")

    return alter


@pytest.mark.parametrize(("column", "named"), OTHER_TYPES.items())
def test_a_key_that_somebody_gave_another_type_is_named_with_its_table(altered, sandbox, job, column, named):
    altered(column)
    job.use(sandbox(enrollments=20, seed=2))
    done = job.boast(*INTO)
    assert done.code == 1
    assert named in done.err
    assert "uuid" in done.err


def test_a_push_names_the_table_with_the_other_type_and_not_the_ledger_alone(altered, job):
    push = ("push", "--new-ledger", "--destination", "postgres")
    assert job.boast(*push).code == 0
    altered("sequence_enrollments.account_id")
    done = job.boast(*push[:1], *push[2:])
    assert done.code == 1
    assert "(push_ledger, sequence_enrollments): UNION types text and uuid" in done.err
