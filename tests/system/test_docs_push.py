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


def test_the_tutorial_goes_from_a_view_to_a_nightly_push(sandbox, workplace):
    workplace.use(sandbox(enrollments=60))
    assert workplace.boast("load").code == 0
    view, audit = blocks("sql")
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute(view)
    codes = [
        workplace.boast(*shlex.split(line)[1:]).code
        for block in blocks("console")
        for line in block.splitlines()
        if line.startswith("boast ")
    ]
    assert codes == [0, 0, 0, 0]
    assert workplace.sql("select count(*) > 10 from boast_data.push_requests where state = 'enrolled'") == [(True,)]
    with duckdb.connect(str(workplace.folder / "boast.duckdb"), read_only=True) as connection:
        for query in audit.split(";")[:-1]:
            connection.execute(query)


def test_every_setting_of_push_is_documented_with_its_default():
    documented = dict(re.findall(r"\| `sources\.boast\.push\.(\w+)` \| `?([^|`]+)`? \|", DOC))
    defaults = {field.name: str(field.default) for field in fields(PushSettings)}
    defaults = {name: text.lower() if text in {"True", "False"} else text for name, text in defaults.items()}
    defaults |= {"settle_after": "600 s"}
    assert {name: value.strip() for name, value in documented.items()} == defaults
