"""A run is `running` until it is over: one that dies while it makes report or copy is told as good by nothing."""

from __future__ import annotations

import signal

import duckdb
import pytest

from tests.support.workplace import DYING

LAST = "select status, exit_code, listed from boast_data.runs order by started_at desc limit 1"
HEALTH = "select verified, last_status from boast_data.pipeline_health"


@pytest.mark.parametrize("command", ["nightly", "load"])
def test_a_run_that_dies_after_its_copy_is_good_nowhere_but_in_the_copy(sandbox, workplace, command):
    workplace.use(sandbox(enrollments=30), SOURCES__BOAST__PUBLISH_PATH="bi/boast.duckdb")
    died = workplace.boast(command, DIE_AT="after 1 boast_source.outputs.outputs:publish", PYTHONPATH=DYING)
    assert died.code == -signal.SIGKILL, died.err
    assert workplace.sql(LAST) == [("running", None, 30)]
    assert workplace.sql("select * from boast_data.good_runs") == []
    assert workplace.boast("status", "--max-age", "1h").code == 1
    with duckdb.connect(str(workplace.folder / "bi" / "boast.duckdb"), read_only=True) as copy:
        assert copy.execute(LAST).fetchall() == [("ok", 0, 30)]
        assert copy.execute(HEALTH).fetchall() == [("covered", "ok")]
    if command == "nightly":
        page = (workplace.folder / "boast_report.html").read_text()
        assert 'data-name="listed" data-value="30"' in page
    assert workplace.boast(command).code == 0
    assert workplace.sql("select status, exit_code from boast_data.runs order by started_at") == [
        ("failed", None),
        ("ok", 0),
    ]
