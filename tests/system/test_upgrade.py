"""What version 0.1.0 left in a warehouse and a working folder goes on under this version: nothing moves.

tests/support/make_upgrade_fixture.py made it with the old version itself: two loads, a push in each final state with
a held request and two without an answer, and what the old version made of one more change.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import upgrade
from tests.support.upgrade import STATES, VERSIONS, KeptApi, Lists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


RECORDS = ("accounts", "contacts", "forms", "responses", "sequences", "sequence_enrollments")
KEPT = (*RECORDS, "sequence_enrollments_history", "pending_enrollments", "push_ledger", "runs")
VIEWS = ("enrollment_history", "enrollment_daily", "sequence_performance", "push_requests", "enrollment_milestones")


@dataclass
class Upgraded:
    """A workplace with what the old version left, the API as it was then, and what is expected of the next change."""

    kind: str
    workplace: Any
    api: KeptApi
    after: Lists
    versions: list[tuple[Any, ...]]
    sql: Callable[[str], list[tuple[Any, ...]]]

    def boast(self, *arguments: str) -> Any:
        return self.workplace.boast(*arguments, "--destination", self.kind, "--json")

    def rows(self, table: str, names: list[str] | None = None) -> tuple[list[str], list[str]]:
        """Column names, and the rows as text in a fixed order."""
        found = names or [
            name
            for (name,) in self.sql(
                f"select column_name from information_schema.columns where table_schema = 'boast_data'"
                f" and table_name = '{table}' order by ordinal_position"
            )
        ]
        columns = ", ".join(f'"{name}"' for name in found)
        return found, sorted(map(repr, self.sql(f"select {columns} from boast_data.{table}")))


@pytest.fixture(params=["duckdb", "postgres"])
def upgraded(request: Any, workplace: Any) -> Iterator[Upgraded]:
    kind = request.param
    kept = json.loads(upgrade.unpacked(f"{kind}.lists.json.gz"))
    api, sql = KeptApi(kept["lists"]), workplace.sql
    if kind == "duckdb":
        (workplace.folder / "boast.duckdb").write_bytes(upgrade.unpacked("boast.duckdb.gz"))
    else:
        database = request.getfixturevalue("postgres")
        database.sql(upgrade.unpacked("postgres.sql.gz").decode())
        workplace.env |= database.env
        sql = database.sql
    upgrade.lay_working_folder(kind, workplace.folder)
    with upgrade.serving(api) as env:
        workplace.env |= env | {"SOURCES__BOAST__PUSH__SETTLE_AFTER": "1"}  # the fixture may be a minute old
        yield Upgraded(kind, workplace, api, kept["next"], [tuple(row) for row in kept["versions"]], sql)


@pytest.mark.parametrize("working_folder", ["kept", "lost"])
def test_when_nothing_changed_nothing_is_loaded_and_every_row_stays_as_it_is(upgraded, working_folder):
    before = {table: upgraded.rows(table) for table in KEPT}
    if working_folder == "lost":
        (upgraded.workplace.folder / "state").rename(upgraded.workplace.folder / "away")
    done = upgraded.boast("load")
    assert done.code == 0, done.err
    assert [(a["loaded"], a["missing"], a["verified"]) for a in done.json["accounts"]] == [(0, 0, "covered")] * 2
    for table, (names, rows) in before.items():
        _, now = upgraded.rows(table, names)
        if table == "runs":
            assert len(now) == len(rows) + 1
            assert set(rows) < set(now)
        else:
            assert now == rows, table
    for view in VIEWS:
        assert upgraded.sql(f"select count(*) from boast_data.{view}")[0][0] > 0, view


def test_the_next_change_gets_the_content_hash_and_the_version_key_that_the_old_version_gives(upgraded):
    before = {row[0] for row in upgraded.sql(VERSIONS)}
    upgraded.api.lists = upgraded.after
    done = upgraded.boast("load")
    assert done.code == 0, done.err
    assert [row for row in upgraded.sql(VERSIONS) if row[0] not in before] == upgraded.versions
    assert upgraded.versions
    assert upgraded.boast("load").json["accounts"][0]["loaded"] == 0


def test_the_ledger_goes_on_nobody_is_enrolled_again_and_what_had_no_answer_is_settled(upgraded):
    names, events = upgraded.rows("push_ledger")
    states = "select request_key, state, attempts from boast_data.push_requests"
    done = upgraded.boast("push")
    assert (done.code, done.json["enrolled"], done.json["held"], done.json["unknown"]) == (3, 2, 3, 0), done.err
    found = {key: (state, attempts) for key, state, attempts in upgraded.sql(states)}
    unclear = [found.pop("unclear-1"), found.pop("unclear-2")]
    assert sorted(unclear) == [("enrolled", 1), ("enrolled", 2)]  # one had happened, the other one is sent again
    assert upgraded.api.posts == 1
    assert {key: state for key, (state, _) in found.items()} == {key: STATES[key] for key in found}
    assert set(events) < set(upgraded.rows("push_ledger", names)[1])
    again = upgraded.boast("push")
    assert (again.code, again.json["queried"], again.json["held"]) == (3, 4, 3), again.err
    assert upgraded.api.posts == 1


def test_commands_that_load_nothing_work_before_the_first_load(upgraded):
    for command in ("status", "report", "requests list", "push --dry-run", "push --plan plan.json"):
        done = upgraded.boast(*command.split())
        assert done.code == 0, done.err
    assert upgraded.api.posts == 0
