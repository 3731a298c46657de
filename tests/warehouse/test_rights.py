"""`boast check` says before the first night what a load may not do, with the statements that allow it."""

from __future__ import annotations

import re

import pytest

from tests.support.postgres import found_package, replica
from tests.support.workplace import finish

TO = ("--destination", "postgres")


def role(postgres, name, *grants):
    """Make a role without rights; returns the environment of a command that uses it."""
    postgres.sql(f"drop role if exists {name}; create role {name} login password 'secret1'")
    for grant in grants:
        postgres.sql(grant)
    return {"DESTINATION__POSTGRES__CREDENTIALS": postgres.url().replace("boast:correct-horse", f"{name}:secret1")}


def test_a_role_without_create_is_told_the_statements_and_works_once_they_are_run(sandbox, workplace, postgres):
    workplace.use(sandbox(enrollments=5)).env |= role(postgres, "narrow")
    check = workplace.boast("check", *TO)
    assert check.code == 1
    statements = re.findall(r'create schema "\w+" authorization "narrow";', check.out)
    assert len(statements) == 2, check.out
    load = workplace.boast("load", *TO)
    assert load.code == 1
    assert "The warehouse's role may not do this" in load.err
    for statement in statements:
        postgres.sql(statement)
    assert workplace.boast("check", *TO).code == 0
    night = workplace.boast("load", *TO)
    alone = workplace.boast("load", *TO, "--account", workplace.boast("prepare", *TO).out.split()[0])
    assert (alone.code, "makes a staging schema of its own" in alone.err) == (1, True), alone.err
    assert (night.code, "not all views" in night.err) == (0, False), night.err
    postgres.sql("drop owned by narrow cascade; drop role narrow")


def test_a_role_that_owns_no_table_or_may_not_create_is_told_so(sandbox, workplace, postgres):
    workplace.use(sandbox(enrollments=5)).env |= postgres.env
    assert workplace.boast("load", *TO).code == 0
    given = role(postgres, "other", f"grant create on database {postgres.name} to other")
    check = workplace.boast("check", *TO, **given)
    assert check.code == 1
    assert 'grant usage, create on schema "boast_data" to "other";' in check.out
    postgres.sql("grant usage, create on schema boast_data to other")
    assert 'alter table "boast_data"."runs" owner to "other";' in workplace.boast("check", *TO, **given).out
    postgres.sql("drop owned by other cascade; drop role other")


def test_a_role_that_may_only_read_is_told_so(sandbox, workplace, postgres):
    given = role(postgres, "reader", "alter role reader set default_transaction_read_only = on")
    workplace.use(sandbox(enrollments=5)).env |= given
    check = workplace.boast("check", *TO)
    assert (check.code, "may only read" in check.out) == (1, True)
    load = workplace.boast("load", *TO)
    assert (load.code, "The warehouse is read-only" in load.err) == (1, True), load.err
    postgres.sql("drop role reader")


def test_on_a_replica_what_reads_works_and_what_writes_is_refused(sandbox, workplace):
    package = found_package()
    if package is None:
        pytest.skip("no Postgres is installed")
    workplace.use(sandbox(enrollments=5))

    def fill(database):
        assert workplace.boast("load", *TO, **database.env).code == 0
        database.sql("create view boast_data.pending_enrollments as select 'c' contact_id, 's' sequence_id where false")
        assert workplace.boast("push", "--new-ledger", *TO, **database.env).code == 0
        database.sql("create role analyst login password 'secret1'; grant usage on schema boast_data to analyst")
        database.sql("grant select on all tables in schema boast_data to analyst")
        database.sql("revoke select on boast_data.contacts, boast_data.responses from analyst")

    with replica(package, fill) as database:
        workplace.env |= database.env
        check = workplace.boast("check", *TO)
        assert (check.code, "The server is a read-only replica" in check.out) == (1, True), check.out
        for command in ("load", "push", "nightly", "prepare"):
            done = workplace.boast(command, *TO)
            assert (done.code, "The warehouse is read-only" in done.err) == (1, True), done.err
        for reading in (("status",), ("report",), ("requests", "list"), ("sql", "select count(*) from runs")):
            for who in (database.url(), database.url().replace("boast:correct-horse", "analyst:secret1")):
                done = workplace.boast(*reading, *TO, DESTINATION__POSTGRES__CREDENTIALS=who)
                assert done.code == 0, done.err


@pytest.mark.parametrize("file", ["boast_data.duckdb", "BOAST_DATA.duckdb", "boast_data.2.duckdb"])
def test_a_duckdb_file_called_like_the_dataset_is_refused_by_its_name(sandbox, workplace, file):
    workplace.use(sandbox(enrollments=5), DESTINATION__DUCKDB__CREDENTIALS=file)
    done = workplace.boast("load")
    assert done.code == 2
    assert file in done.err
    assert list(workplace.folder.glob("*.duckdb")) == []


def test_a_dataset_with_a_blank_gets_the_name_that_is_said_and_no_warnings(sandbox, workplace):
    workplace.use(sandbox(enrollments=5))
    done = workplace.boast("load", "--dataset", "my data")
    assert (done.code, len(done.err) < 1000, "my_data" in done.err + done.out) == (0, True, True), done.err
    assert workplace.sql("select count(*) from my_data.sequence_enrollments") == [(5,)]


def test_a_dataset_whose_name_postgres_shortens_brings_no_warnings(sandbox, workplace, postgres):
    workplace.use(sandbox(enrollments=5), **postgres.env)
    for name in ("d" * 58, "d" * 70):  # the first only with _staging
        done = workplace.boast("load", "--destination", "postgres", "--dataset", name)
        assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("name", ["日本", "中国", "--"])
def test_a_dataset_of_whose_name_nothing_would_be_left_is_refused(sandbox, workplace, name):
    """Two customers' data would meet in the dataset `x`."""
    workplace.use(sandbox(enrollments=5))
    done = workplace.boast("load", "--dataset", name)
    assert (done.code, f"cannot be called {name}" in done.err) == (2, True), done.err
    assert list(workplace.folder.glob("*.duckdb")) == []


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_a_dataset_whose_name_dlt_would_take_for_parameters_is_refused(sandbox, workplace, kind, request):
    own = {f"DESTINATION__{kind.upper()}__ENABLE_DATASET_NAME_NORMALIZATION": "false"}
    workplace.use(sandbox(enrollments=5), **own, **(request.getfixturevalue(kind).env if kind == "postgres" else {}))
    done = workplace.boast("load", "--destination", kind, "--dataset", "100%s")
    assert (done.code, "cannot be called 100%s" in done.err) == (2, True), done.err


@pytest.mark.parametrize("loaded", [False, True])
def test_ten_checks_at_once_all_succeed(sandbox, workplace, loaded):
    workplace.use(sandbox(enrollments=5))
    assert not loaded or workplace.boast("load").code == 0
    done = [finish(process) for process in [workplace.start("check") for _ in range(10)]]
    assert [one.out + one.err for one in done if one.code] == []


def test_a_dataset_that_postgres_spells_otherwise_has_all_views_and_its_statements(sandbox, workplace, postgres):
    workplace.use(sandbox(enrollments=5), DESTINATION__ENABLE_DATASET_NAME_NORMALIZATION="false").env |= postgres.env
    named = (*TO, "--dataset", "MyData")
    done = workplace.boast("load", *named)
    assert (done.code, done.err) == (0, "")
    assert postgres.sql("select sum(enrolled) from mydata.sequence_performance") == [(5,)]
    given = role(postgres, "other", f"grant create on database {postgres.name} to other")
    assert 'grant usage, create on schema "mydata" to "other";' in workplace.boast("check", *named, **given).out
    postgres.sql("drop owned by other cascade; drop role other")


@pytest.mark.parametrize("command", [("check",), ("load",), ("sql", "select 1")])
def test_credentials_in_the_file_that_dlt_takes_none_from_are_said_to_stand_there(sandbox, workplace, command):
    workplace.use(sandbox(enrollments=5))
    (workplace.folder / ".dlt").mkdir()
    (workplace.folder / ".dlt" / "config.toml").write_text('[destination.duckdb]\ncredentials = "other.duckdb"\n')
    done = workplace.boast(*command)
    assert (done.code, "are in .dlt/config.toml" in done.out + done.err) == (2, True), done.err


def test_every_run_loads_into_the_dataset_that_is_said_whatever_dlt_s_development_mode(sandbox, workplace):
    workplace.use(sandbox(enrollments=5), DEV_MODE="true")
    assert workplace.boast("load").code == 0
    assert workplace.sql("select count(*) from boast_data.sequence_enrollments") == [(5,)]


def test_a_publication_of_all_tables_is_named_as_what_keeps_rows_from_being_replaced(sandbox, workplace, postgres):
    workplace.use(sandbox(enrollments=5)).env |= postgres.env
    assert workplace.boast("load", *TO).code == 0
    postgres.sql("create publication everything for all tables")
    assert "One of your publications" in workplace.boast("load", *TO).err
    for table in ("runs", "listings"):
        postgres.sql(f"alter table boast_data.{table} replica identity full")
    done = workplace.boast("load", *TO)
    assert (done.code, done.err) == (0, "")


def test_a_rule_on_a_table_is_named_as_what_keeps_rows_from_being_merged(sandbox, workplace, postgres):
    workplace.use(sandbox(enrollments=5)).env |= postgres.env
    assert workplace.boast("load", *TO).code == 0
    postgres.sql("create rule told as on insert to boast_data.forms do also notify forms")
    done = workplace.boast("load", *TO, "--full-refresh")
    assert (done.code, "has one of your rules" in done.err, "(forms)" in done.err) == (1, True, True), done.err
