"""The table of states is the only one: whatever speaks of states says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from boast_source import models
from boast_source.outputs.report.page import MEANING
from boast_source.push import model
from boast_source.push.model import RULES, SETTLING, Control, Decision, Evidence, State


def listed(sql: str, before: str) -> set[str]:
    """The words of the first `in (...)` after this text."""
    return set(re.findall(r"'(\w+)'", sql[sql.index(before) :].split("(", 1)[1].split(")", 1)[0]))


def test_the_view_of_requests_says_of_the_same_states_that_they_wait_for_an_operator():
    sql = models.text("push_requests")
    waits = {state.value for state in model.states(lambda rule: rule.attention)}
    assert listed(sql, "when state in") | {"duplicate"} == waits
    assert listed(sql, "where state not in") == {control.value for control in Control}


def test_the_report_says_of_each_state_that_waits_what_it_means():
    waits = {state.value for state in model.states(lambda rule: rule.attention)}
    assert waits - {"duplicate"} <= set(MEANING)


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_rule_that_makes_sense(state):
    rule = RULES[state]
    assert not (rule.final and rule.open)
    assert not rule.attention or rule.decisions  # what waits for an operator can be decided


def test_every_evidence_leads_to_a_step():
    assert set(SETTLING) == {(evidence, asked) for evidence in Evidence for asked in (True, False)}


def test_a_state_is_its_own_word_everywhere():
    assert f"{State.HELD}" == str(State.HELD) == State.HELD.value == "held"
    assert {State.HELD: 1}["held"] == 1
    assert set(Decision) == {"release", "retry", "drop"}


def test_the_page_lists_every_state_as_the_table_has_it():
    page = (Path(__file__).parents[2] / "docs" / "push.md").read_text(encoding="utf-8")
    shown = page.split("<!-- states -->")[1].split("<!-- end of states -->")[0].splitlines()[3:]
    wanted = [
        f"| `{state}` | {rule.meaning} | {rule.next} | {', '.join(f'`{one}`' for one in rule.decisions) or 'nothing'} |"
        for state, rule in RULES.items()
    ]
    assert shown == wanted
