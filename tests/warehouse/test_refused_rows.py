"""A rule that a user gave a table by hand refuses rows: the message names the table and column, and holds no row."""

from __future__ import annotations

import pytest

from tests.support.webhook import webhook
from tests.support.workplace import NO_REPORT

CANARY = "canary@people.example"
VIEWS = "enrollment_history, enrollment_daily, enrollment_milestones, enrollment_cohorts, sequence_performance"
NIGHT = ("nightly", "--json", "--debug")
QUIET = NO_REPORT | {"SOURCES__BOAST__PUSH__ENABLED": "false"}

RULES = {
    "a type": ("alter column response_id type uuid using null", {"response_id": CANARY}, "response_id"),
    "not null": (
        "alter column status set not null",
        {"status": None, "response_id": CANARY},
        "sequence_enrollments.status",
    ),
    "a check": ("add constraint no_mail check (status not like '%@%')", {"status": CANARY}, "no_mail"),
    "a length": ("alter column status type varchar(9)", {"status": CANARY}, "character varying(9)"),
    "a domain": ("alter column status type short using 'x'", {"status": CANARY}, "short"),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_of_the_users_on_postgres_is_named_and_no_row_is_shown(sandbox, workplace, postgres, rule):
    ddl, edit, named = RULES[rule]
    server = sandbox(enrollments=10)
    workplace.use(server).env |= postgres.env | QUIET
    load = ("load", "--destination", "postgres", "--resources", "sequence_enrollments")
    assert workplace.boast(*load).code == 0
    postgres.sql(f"drop view boast_data.{VIEWS.replace(', ', ', boast_data.')} cascade")
    postgres.sql("create domain short as text check (length(value) < 9)")
    postgres.sql(f"alter table boast_data.sequence_enrollments {ddl}")
    server.control("POST", "mutate", {"edits": [{"id": min(server.truth()), "set": edit}]})
    with webhook() as hook:
        done = workplace.boast(*NIGHT, "--destination", "postgres", SOURCES__BOAST__WEBHOOK_URL=hook.url)
    check_told(workplace, done, postgres.sql("select error from boast_data.runs where error is not null"), named, hook)


@pytest.mark.parametrize(
    ("ddl", "edit", "named"),
    [
        ("alter column status set not null", {"status": None, "response_id": CANARY}, "sequence_enrollments.status"),
        ("alter column status type integer using 1", {"status": CANARY}, "INT32"),
    ],
)
def test_a_rule_of_the_users_on_duckdb_is_named_and_no_row_is_shown(sandbox, workplace, ddl, edit, named):
    import duckdb  # noqa: PLC0415

    server = sandbox(enrollments=10)
    workplace.use(server, **QUIET)
    load = ("load", "--resources", "sequence_enrollments")
    assert workplace.boast(*load).code == 0
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute(f"alter table boast_data.sequence_enrollments {ddl}")
    server.control("POST", "mutate", {"edits": [{"id": min(server.truth()), "set": edit}]})
    with webhook() as hook:
        done = workplace.boast(*NIGHT, SOURCES__BOAST__WEBHOOK_URL=hook.url)
    check_told(workplace, done, workplace.sql("select error from boast_data.runs where error is not null"), named, hook)


def check_told(workplace, done, errors, named, hook):
    assert done.code == 1
    ((error,),) = errors
    assert error in done.err
    assert "sequence_enrollments" in error
    assert named in error
    assert "credentials" not in error
    assert named in hook.told[0]
    told = [done.out, done.err, error, *hook.told]
    assert [text for text in told if CANARY in text or "canary" in text] == []
    kept = [
        path for path in workplace.folder.rglob("*") if path.is_file() and path.suffix not in {".parquet", ".duckdb"}
    ]
    assert [path for path in kept if b"canary" in path.read_bytes()] == []
