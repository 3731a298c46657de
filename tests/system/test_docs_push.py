"""docs/push.md to the letter: its SQL runs, its commands do what they say."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path

import duckdb

from boast_source.config import PushSettings

DOC = (Path(__file__).parents[2] / "docs" / "push.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOC, flags=re.DOTALL)


SEQUENCE = "Video testimonial after purchase"


def test_the_tutorial_goes_from_a_view_to_a_nightly_push_and_the_ledger_is_restored(sandbox, workplace, monkeypatch):
    server = sandbox(enrollments=60)
    workplace.use(server)
    assert workplace.boast("load").code == 0
    view, test, backup, restore, audit = blocks("sql")

    def execute(*statements):
        monkeypatch.chdir(workplace.folder)
        with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
            for statement in statements:
                connection.execute(statement)

    execute(
        "create schema shop",
        "create table shop.orders as select email, date '2026-02-01' as ordered_at from boast_data.contacts",
        "create table shop.opted_out as select email from boast_data.contacts order by id limit 1",
    )
    free = (
        "select c.email from boast_data.contacts c where c.id not in (select e.contact_id from"
        f" boast_data.sequence_enrollments e join boast_data.sequences s on s.id = e.sequence_id"
        f" where s.name = '{SEQUENCE}')"
        " and c.email not in (select email from shop.opted_out) order by c.id desc limit 1"
    )
    ((mine,),) = workplace.sql(free)
    execute(view, test.replace("you@example.com", mine))
    ((asked,),) = workplace.sql("select count(*) from boast_data.pending_enrollments")
    assert asked > 10
    lines = [line for block in blocks("console") for line in block.splitlines() if line.startswith("boast ")]
    codes = {line: workplace.boast(*shlex.split(line)[1:]).code for line in lines}
    assert codes == {
        "boast push --pending push_test --new-ledger": 0,
        "boast push --dry-run": 0,
        "boast push --plan plan.html": 0,
        "boast push --limit 10": 0,
        "boast requests list": 0,
        "boast push": 0,
    }
    # who was asked for is in, and so no longer in the view
    assert workplace.sql("select count(*) from boast_data.push_requests where state = 'enrolled'") == [(asked,)]
    assert workplace.sql("select count(*) from boast_data.pending_enrollments") == [(0,)]

    execute(backup, "drop table boast_data.push_ledger cascade")
    assert workplace.boast("push").code == 2
    execute(restore)
    assert workplace.boast("push").code == 0
    execute("delete from boast_data.push_ledger where state = 'enrolled' and request_key <> 'test-1'")
    assert workplace.boast("push").code == 2, "it knows of less than runs"
    assert workplace.boast("push", "--accept-ledger").code in {0, 3}
    assert server.control("GET", "counters")["writes"] == {"POST sequence_enrollments": asked}
    execute(*audit.split(";")[:-1])


def test_every_setting_of_push_is_documented_with_its_default():
    documented = dict(re.findall(r"\| `sources\.boast\.push\.(\w+)` \| `?([^|`]+)`? \|", DOC))
    defaults = {field.name: str(field.default) for field in fields(PushSettings)}
    defaults = {name: text.lower() if text in {"True", "False"} else text for name, text in defaults.items()}
    assert {name: value.strip() for name, value in documented.items()} == defaults
