"""docs/runbook.md, done to the letter in one shell."""

from __future__ import annotations

import re

from tests.support import pages


def test_every_example_of_the_runbook_ends_with_the_exit_code_that_it_is_about(workplace):
    done = pages.done("runbook.md", workplace.folder, SOURCES__BOAST__REPORT_PATH="")
    assert re.findall(r"^exit code (\d)$", done.stdout, re.MULTILINE) == ["1", "2", "3"]
    assert re.search(r"^order-1 +invalid ", done.stdout, re.MULTILINE)
    for customer in ("acme", "globex"):
        assert (workplace.folder / customer / "boast.duckdb").exists()
        assert (workplace.folder / customer / "state").is_dir()
    headings = re.findall(r"^## Exit code (\d)", pages.text_of("runbook.md"), re.MULTILINE)
    assert headings == ["0", "1", "2", "3", "4"]
