"""docs/tutorial.md, done to the letter in one shell."""

from __future__ import annotations

import re

from tests.support import pages


def test_the_tutorial_runs_to_its_end(workplace):
    done = pages.done("tutorial.md", workplace.folder)
    assert "0 enrollments loaded of 300 listed" in done.stdout
    assert len(re.findall(r"^tutorial-\S+ +enrolled ", done.stdout, re.MULTILINE)) == 2
    assert "Nothing needs attention." in done.stdout
    assert workplace.sql("select count(*) from boast_data.push_ledger where state = 'enrolled'") == [(2,)]
    assert (workplace.folder / "boast_report.html").exists()
