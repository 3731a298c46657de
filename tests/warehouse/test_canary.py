"""A rule that a user gave a table by hand refuses a person: the message names the rule, and nothing shows the person.

Every column of the person holds a canary. `make soak` breaks each kind of rule over each column, `make test` each over
one, in turn. Searched is all that was written but the data itself: output, logs, webhook, records of runs, dlt's files.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil

import pytest

from boast_source.warehouse.pipeline import warehouse_for
from tests.support.rules import RULES
from tests.support.webhook import webhook

COLUMNS = (
    *("last_name", "mobile_phone", "email", "first_name", "organization", "job_title", "time_zone", "country_code"),
    *("location_id", "staff_id", "source", "links__detail", "links__edit", "nickname"),
)
WHOLE = os.environ.get("BOAST_CANARY") == "all"  # every kind of rule over every column
VALUES = {
    "mobile_phone": "+49 155 99423 canary",
    "email": "Canary.Ann@people.example",
    "last_name": "Canary's \"Ann\"\n'",
}
WORDS = ("canary", "99423", "people.example")
DATA = {".parquet", ".duckdb", ".db", ".sqlite", ".wal"}  # and what dlt writes for each table, see `is_data`


class People:
    """The contacts of a running sandbox, all with the same value in each column: `canary`, or another for each."""

    def __init__(self, server):
        self.canary, self.absent = False, ""
        rows = server.api.world.rows

        def shown(account, noun, start, stop):
            found = rows(account, noun, start, stop)
            return [self.person(record, start + at) for at, record in enumerate(found)] if noun == "contacts" else found

        server.api.world.rows = shown

    def person(self, record, number):
        values = {name: self.value(name, number) for name in COLUMNS}
        links = {name: values.pop(f"links__{name}") for name in ("detail", "edit")}
        return record | values | {"links": links}

    def value(self, name, number):
        if not self.canary:
            return f"p{number}"
        return None if name == self.absent else VALUES.get(name, f"Canary {name}")


def test_no_rule_of_the_users_shows_a_person(sandbox, workplace, place_to_load):
    rules = RULES.get(place_to_load.name)
    if not rules:
        pytest.skip("it has no rules")
    server = sandbox(enrollments=10)
    people = People(server)
    workplace.use(server, SOURCES__BOAST__PUSH__ENABLED="false", TMPDIR=str(workplace.folder))
    done = workplace.boast("load", *place_to_load.to)
    assert done.code == 0, done.err
    people.canary = True
    plain = columns_of(place_to_load)
    for number, (kind, rule) in enumerate(rules.items()):
        for column in COLUMNS if WHOLE else [COLUMNS[number % len(COLUMNS)]]:
            people.absent = column if rule.absent else ""
            change(place_to_load, rule, column, plain)
            told = refused(workplace, place_to_load, as_json=bool(number % 2))
            assert "contacts" in told, kind
            assert rule.named.format(c=column) in told, kind
            change(place_to_load, rule, column, plain, undo=True)
            place_to_load.run("delete from {}.runs")  # what was told once is no news


def refused(workplace, place, *, as_json):
    """A night that the rule refuses; return its message, after a search through all that was written."""
    with webhook() as hook:
        more = {"SOURCES__BOAST__WEBHOOK_URL": hook.url, "SOURCES__BOAST__LOG_FORMAT": "json" if as_json else "text"}
        done = workplace.boast("nightly", "--json", "--debug", *place.to, **more)
    assert done.code == 1, done.err[-2000:]
    (error,) = place.rows("runs", "error", f"run_id = '{done.json['run_id']}'")[0]
    records = [place.rows(table) for table in ("runs", "listings", "_dlt_loads", "_dlt_pipeline_state")]
    assert "contacts" in hook.told[0]
    assert "credentials" not in error
    assert json.dumps(error)[1:40] in json.dumps(done.err)
    shows_nobody({"out": done.out, "err": done.err, "webhook": "".join(hook.told), "records": repr(records)})
    files = [path for path in workplace.folder.rglob("*") if path.is_file() and not is_data(path)]
    assert files
    shows_nobody({str(path): content(path) for path in files})
    shutil.rmtree(workplace.folder / "state")  # the package that could not be loaded
    return error


def shows_nobody(texts):
    shown = [
        (where, text.lower().find(word)) for where, text in texts.items() for word in WORDS if word in text.lower()
    ]
    assert [(where, texts[where][max(at - 200, 0) : at + 20]) for where, at in shown] == []


def is_data(path):
    """Whether it is the warehouse, or rows on their way to it."""
    return path.suffix in DATA or ".insert_values" in path.name or ".jsonl" in path.name


def content(path):
    packed = path.read_bytes()
    return (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode("latin-1")


def columns_of(place):
    """Names and types, where a table is made anew for a rule."""
    if place.name not in {"duckdb", "sqlite"}:
        return []
    with warehouse_for(place.kind.destination, "boast_data").open(patience=30) as warehouse:
        where = "'contacts', 'boast_data'" if place.name == "sqlite" else "'boast_data.contacts'"
        return warehouse.client.execute_sql(f"select name, type from pragma_table_info({where})")


def change(place, rule, column, plain, *, undo=False):
    with warehouse_for(place.kind.destination, "boast_data").open(patience=30) as warehouse:
        client = warehouse.client
        names = {"s": client.fully_qualified_dataset_name(), "t": client.make_qualified_table_name("contacts")}
        statements = list(rule.undone if undo else rule.made)
        if rule.column or rule.table:
            anew = made_anew(plain, *(("", "") if undo else (rule.column, rule.table)), column)
            statements = anew + statements if undo else statements + anew
        for statement in statements:
            client.execute_sql(statement.format(c=column, **names))


def made_anew(plain, more, table, column):
    """The statements that make the table again, with more in the definition of one column, or another type."""
    types = dict(plain)
    if more and not more.startswith(" "):
        types[column], more = more, ""
    definitions = ", ".join(f'"{name}" {kind}{more if name == column else ""}' for name, kind in types.items())
    value = "null" if types[column] != dict(plain)[column] else '"{c}"'
    columns = ", ".join(value if name == column else f'"{name}"' for name in types)
    return [
        "create table {s}.kept as select * from {t}",
        "drop table {t}",
        f"create table {{t}} ({definitions}{table})",
        f"insert into {{t}} select {columns} from {{s}}.kept",
        "drop table {s}.kept",
    ]
