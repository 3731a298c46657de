"""docs/model.md, docs/dashboards.md and the dbt sources: what they name is there, what they configure works."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import psycopg2
import pytest
import sqlalchemy
import yaml

from boast_source.models.schema import relations

DOCS = Path(__file__).parents[2] / "docs"
MODEL = (DOCS / "model.md").read_text(encoding="utf-8")
BI = (DOCS / "dashboards.md").read_text(encoding="utf-8")
DBT = yaml.safe_load((DOCS.parent / "dbt" / "models" / "sources.yml").read_text(encoding="utf-8"))["sources"][0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def copy(sandbox, workplace):
    """A published copy after a night with a push."""
    everything = {"SOURCES__BOAST__PUBLISH_PATH": "bi/boast.duckdb", "SOURCES__BOAST__PUBLISH_WITHOUT": "[]"}
    workplace.use(sandbox(enrollments=300), **everything)
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute("create schema boast_data; create table boast_data.pending_enrollments (contact_id text,"
                           " sequence_id text)")  # fmt: skip
    done = workplace.boast("nightly", "--new-ledger")
    assert done.code == 0, done.err
    return workplace.folder / "bi" / "boast.duckdb"


def test_the_model_the_comments_and_dbt_name_what_is_there_and_the_keys_find_each_other(copy):
    (drawing,) = blocks(MODEL, "text")
    table = MODEL.split("| table or view |")[1].split("\n\n")[0]
    rows = [[re.findall(r"`(\w+)`", cell) for cell in line.split("|")[1:5]] for line in table.splitlines()[2:]]
    described = {name: (key, joins) for names, _, key, joins in rows for name in names}
    assert set(re.findall(r"\w{5,}", drawing)) - {"counted"} == set(described)
    with duckdb.connect(str(copy), read_only=True) as connection:
        connection.execute("use boast_data")
        there: dict[str, set[str]] = {}
        for name, column in connection.execute("select table_name, column_name from duckdb_columns()").fetchall():
            there.setdefault(name, set()).add(column)
        for name, (key, joins) in described.items():
            assert {*key, *joins} <= there[name], name
            keys = ", ".join(key)
            twice = f"select count(*) from (select {keys} from {name} group by {keys} having count(*) > 1)"
            assert connection.execute(twice).fetchone() == (0,), name
            for join in joins:
                one = "sequence_enrollments" if join in {"id", "enrollment_id"} else f"{join.removesuffix('_id')}s"
                orphans = (
                    f"select count(*) from {name} where {join} is not null and {join} not in (select id from {one})"
                )
                assert connection.execute(orphans).fetchone() == (0,), (name, join)
        assert set(relations()) <= set(there)
        for source in DBT["tables"]:
            assert {column["name"] for column in source.get("columns", ())} <= there[source["name"]]


def test_every_view_is_in_the_reference():
    from boast_source.shapes import VIEWS  # noqa: PLC0415

    for view in VIEWS:
        assert f"`{view}" in (DOCS / "reference.md").read_text(encoding="utf-8"), view


def test_superset_s_address_reads_the_published_copy_and_cannot_write(copy):
    (address,) = [text for text in blocks(BI, "text") if text.startswith("duckdb:")]
    (parameters,) = blocks(BI, "json")
    engine = sqlalchemy.create_engine(
        address.strip().replace("/srv/bi/boast.duckdb", str(copy)), **json.loads(parameters)
    )
    queries = [sql for sql in blocks(BI, "sql") if sql.startswith("select")]
    assert queries
    with engine.connect() as connection:
        for query in queries:
            assert connection.execute(sqlalchemy.text(query)).fetchall()
        with pytest.raises(sqlalchemy.exc.DBAPIError, match=r"read-only|Cannot execute"):
            connection.execute(sqlalchemy.text("create table boast_data.mine (x int)"))
    assert "enrollment_daily" in sqlalchemy.inspect(engine).get_view_names("boast_data")
    engine.dispose()


def test_the_reader_role_reads_every_view_no_person_and_writes_nothing(sandbox, workplace, postgres):
    workplace.use(sandbox(enrollments=60), **postgres.env)
    assert workplace.boast("load", "--destination", "postgres").code == 0
    (role,) = [sql for sql in blocks(BI, "sql") if sql.startswith("create role")]
    name = f"reader_{workplace.folder.name[-12:]}".replace("-", "_").lower()
    dsn = postgres.env["DESTINATION__POSTGRES__CREDENTIALS"]
    owner = sqlalchemy.create_engine(dsn.replace("postgresql://", "postgresql+psycopg2://"))
    with owner.begin() as connection:
        for statement in role.replace("boast_reader", name).split(";")[:-1]:
            connection.execute(sqlalchemy.text(statement))
    address = next(text for text in blocks(BI, "text") if text.startswith("postgresql+psycopg2"))
    url = owner.url.set(username=name, password="choose one")
    assert address.startswith(url.drivername)
    reader = sqlalchemy.create_engine(url)
    try:
        with reader.connect() as connection:
            for view in (
                "enrollment_daily",
                "sequence_performance",
                "enrollment_cohorts",
                "pipeline_health",
                "enrollment_history",
            ):
                assert connection.execute(sqlalchemy.text(f"select * from boast_data.{view}")).fetchall()
        for forbidden in (
            "select * from boast_data.contacts",
            "delete from boast_data.runs",
            "create table boast_data.x (i int)",
        ):
            with reader.connect() as connection, pytest.raises(sqlalchemy.exc.ProgrammingError) as refused:
                connection.execute(sqlalchemy.text(forbidden))
            assert isinstance(refused.value.orig, psycopg2.errors.InsufficientPrivilege)
        there = url.set(drivername="postgresql").render_as_string(hide_password=False)
        seen = workplace.boast(
            "status", "--destination", "postgres", "--json", DESTINATION__POSTGRES__CREDENTIALS=there
        )
        assert seen.code == 0, seen.err
        assert (seen.json["health"]["stored"], "contacts" in seen.json["rows"]) == (60, False)
        assert workplace.boast("load", "--destination", "postgres").code == 0
        with reader.connect() as connection:
            assert connection.execute(sqlalchemy.text("select stored from boast_data.pipeline_health")).scalar() == 60
    finally:
        reader.dispose()
        with owner.begin() as connection:
            connection.execute(sqlalchemy.text(f"drop owned by {name}; drop role {name}"))
        owner.dispose()


def test_what_dbt_would_test_holds(copy):
    """The same tests as SQL of our own; `make test-dbt` runs them by dbt itself."""
    asked = 0
    with duckdb.connect(str(copy), read_only=True) as connection:
        connection.execute("use boast_data")
        for table in DBT["tables"]:
            for column in table.get("columns", ()):
                for test in column.get("data_tests", ()):
                    wrong = failing(table["name"], column["name"], test)
                    assert connection.execute(f"select count(*) from ({wrong})").fetchone() == (0,), wrong
                    asked += 1
        (good,) = [table for table in DBT["tables"] if table["name"] == "good_runs"]
        fresh = good["config"]["freshness"]
        age = f"select date_diff('hour', max({good['loaded_at_field']}), now()) from good_runs"
        assert connection.execute(age).fetchone()[0] < fresh["warn_after"]["count"]
    assert asked > 15


def failing(table: str, column: str, test) -> str:
    if test == "unique":
        return f"select {column} from {table} group by 1 having count(*) > 1"
    if test == "not_null":
        return f"select * from {table} where {column} is null"
    if "accepted_values" in test:
        values = ", ".join(f"'{value}'" for value in test["accepted_values"]["arguments"]["values"])
        return f"select * from {table} where {column} not in ({values})"
    given = test["relationships"]["arguments"]
    to = re.search(r"'boast', '(\w+)'", given["to"])[1]
    return f"select * from {table} where {column} is not null and {column} not in (select {given['field']} from {to})"
