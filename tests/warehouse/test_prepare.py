"""`boast prepare`: tables and views are there before runs side by side begin, and nothing that is stored changes."""

from __future__ import annotations

from tests.support.workplace import finish, stored

COLUMNS = (
    "select table_name, column_name, data_type from information_schema.columns where table_schema = 'boast_data'"
    " and table_name not like '\\_dlt%' escape '\\' order by all"
)


def test_it_makes_the_tables_and_views_that_a_load_makes_and_prints_the_accounts(sandbox, workplace, tmp_path):
    server = sandbox(enrollments=40, accounts=3)
    workplace.use(server)
    done = workplace.boast("prepare", "--json")
    assert (done.code, done.json["status"], done.json["accounts"]) == (0, "ok", server.account_ids)
    made = workplace.sql(COLUMNS)
    assert workplace.sql("select count(*) from boast_data.enrollment_daily") == [(0,)]
    assert server.control("GET", "counters")["arrived"] == {"GET accounts": 1}
    assert workplace.boast("load").code == 0
    assert workplace.sql(COLUMNS) == made
    assert stored(workplace) == server.truth()
    assert workplace.boast("prepare").out.split() == server.account_ids
    only = server.account_ids[1]
    assert workplace.boast("prepare", SOURCES__BOAST__ACCOUNT_IDS=only).out.split() == [only]


def test_what_is_stored_stays_as_it_is_also_what_is_unknown_or_missing(sandbox, workplace):
    server = sandbox(enrollments=40)
    workplace.use(server).boast("load")
    (gone,) = server.control("POST", "mutate", {"delete": 1})["deleted"]
    edited = min(server.truth())
    server.control("POST", "mutate", {"edits": [{"id": edited, "set": {"campaign": "spring", "deep": {"a": [1]}}}]})
    workplace.boast("load")
    tables = ("sequence_enrollments", "sequence_enrollments_history", "contacts", "accounts")
    rows = "select * from boast_data.{} order by all"
    before = [workplace.sql(rows.format(table)) for table in tables]
    assert workplace.boast("prepare").code == 0
    assert [workplace.sql(rows.format(table)) for table in tables] == before
    assert workplace.boast("load", "--json").json["accounts"][0]["loaded"] == 0
    assert workplace.sql(f"select missing_since is null from boast_data.sequence_enrollments where id = '{gone}'") == [
        (False,)
    ]


def test_a_column_that_somebody_dropped_is_made_again(sandbox, workplace):
    import duckdb  # noqa: PLC0415

    workplace.use(sandbox(enrollments=20)).boast("load")
    made = workplace.sql(COLUMNS)
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute("alter table boast_data.forms drop column name")
    assert workplace.boast("prepare").code == 0
    assert workplace.sql(COLUMNS) == made


def test_a_run_that_is_alive_is_not_disturbed(sandbox, workplace):
    workplace.use(sandbox(enrollments=40, latency=0.5))
    running = workplace.start("load")
    while not list(workplace.folder.glob("state/**/boast.lock.json")):
        assert running.poll() is None
    done = workplace.boast("prepare")
    assert done.code == 4
    assert "Another run" in done.err
    assert finish(running).code == 0
