"""The report: its numbers are the views', it stands alone, and it tells nobody's personal data."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from html import unescape
from pathlib import Path

import duckdb
import fsspec
import pytest

from boast_source.errors import BoastError, ConfigurationError
from boast_source.install import INSTALL
from boast_source.outputs import files
from boast_source.outputs.report import charts
from boast_source.outputs.report.bins import Bin
from tests.support.page_reader import read_page
from tests.support.python import AS_A_USER
from tests.support.report_figures import figures, month, sequence
from tests.support.sandbox_client import client_of


@pytest.fixture
def pushed(sandbox, workplace):
    """A sandbox and a workplace after a night with three pushed requests, one of which is held."""
    server = sandbox(enrollments=400)
    workplace.use(server)
    assert workplace.boast("load").code == 0
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute(
            "create table boast_data.pending_enrollments as select 'ask-' || c.id as request_id, c.id as contact_id,"
            " (select id from boast_data.sequences order by id limit 1) as sequence_id from boast_data.contacts c"
            " where not exists (from boast_data.sequence_enrollments e where e.contact_id = c.id) order by c.id limit 3"
        )
        connection.execute("insert into boast_data.pending_enrollments select 'again', contact_id, sequence_id"
                           " from boast_data.pending_enrollments limit 1")  # fmt: skip
    done = workplace.boast("nightly")
    assert "ledger" in done.err
    done = workplace.boast("nightly", "--new-ledger")
    assert done.code in {0, 3}, done.err
    return server, workplace


def shown(value) -> str:
    return "" if value is None else str(value)


def test_every_number_on_the_page_is_a_number_of_the_views(pushed):
    _, workplace = pushed
    found = read_page((workplace.folder / "boast_report.html").read_text())
    names = ["enrolled", "active", "completed", "removed", "responded", "completion_rate", "response_rate"]
    names += ["median_hours_to_complete", "median_hours_to_respond"]
    rows = workplace.sql(
        f"select account_id || '/' || sequence_id, {', '.join(names)} from boast_data.sequence_performance"
    )
    expected = {row[0]: [shown(value) for value in row[1:]] for row in rows}
    assert {row["key"]: [row[name] for name in names] for row in found.tables["sequences"]} == expected
    ((enrolled, active, completed, responded),) = workplace.sql(
        "select sum(enrolled), sum(active), sum(completed), sum(responded) from boast_data.sequence_performance"
    )
    ((listed, stored, waiting),) = workplace.sql("select listed, stored, waiting from boast_data.pipeline_health")
    assert found.tables["totals"] == [
        {
            "enrolled": str(enrolled),
            "active": str(active),
            "completed": str(completed),
            "responded": str(responded),
            "waiting": str(waiting),
        }
    ]
    assert [row.get("listed") or row.get("stored") for row in found.tables["health"][:2]] == [str(listed), str(stored)]
    cohorts = workplace.sql(
        "select month, sum(enrolled), sum(completed), sum(responded), sum(completed_in_30_days),"
        " sum(responded_in_30_days) from boast_data.enrollment_cohorts group by 1 order by 1 desc limit 24"
    )
    names = ("month", "enrolled", "completed", "responded", "completed_in_30_days", "responded_in_30_days")
    assert [tuple(row[name] for name in names) for row in found.tables["cohorts"]] == [
        tuple(str(value) for value in row) for row in cohorts
    ]
    flows = workplace.sql(
        "select date_trunc('month', day)::date, sum(enrolled), sum(completed), sum(removed)"
        " from boast_data.enrollment_daily group by 1 order by 1 desc"
    )
    names = ("start", "enrolled", "completed", "removed")
    assert [tuple(row[name] for name in names) for row in found.tables["time"]] == [
        tuple(str(value) for value in row) for row in flows
    ]
    assert found.tables["time"][0]["active"] == str(active)
    states = workplace.sql("select state, count(*) from boast_data.push_requests group by 1")
    assert {row["state"]: row["requests"] for row in found.tables["requests"]} == {s: str(n) for s, n in states}
    assert sum(count for _, count in states) == 4
    pushed = workplace.sql(
        "select count(*) filter (state = 'enrolled'), count(*) filter (state = 'held') from boast_data.push_requests"
    )
    assert [(int(row["enrolled"]), int(row["held"])) for row in found.tables["pushed"]] == pushed


def test_the_report_knows_of_the_night_that_made_it(pushed):
    _, workplace = pushed
    found = read_page((workplace.folder / "boast_report.html").read_text())
    last = workplace.sql("select listed, loaded, sent from boast_data.runs order by finished_at desc limit 1")[0]
    assert [found.tables["runs"][0][name] for name in ("listed", "loaded", "sent")] == [shown(v) for v in last]


def test_nobody_s_personal_data_and_no_request_key_is_on_the_page(pushed):
    server, workplace = pushed
    html = (workplace.folder / "boast_report.html").read_text()
    with client_of(server) as client:
        contacts = client.every("contacts")
    assert len(contacts) > 50
    for contact in contacts:
        for secret in (contact["id"], contact["email"], contact["mobile_phone"]):
            assert secret is None or secret not in html
        assert f"{contact['first_name']} {contact['last_name']}" not in html
    assert "ask-" not in html
    assert server.access_token not in html


def test_the_report_of_a_postgres_has_the_same_numbers(pushed, postgres, workplace):
    server, _ = pushed
    server.control("DELETE", "counters")
    assert workplace.boast("load", "--destination", "postgres", **postgres.env).code == 0
    done = workplace.boast("report", "--destination", "postgres", "--output", "pg.html", "--json", **postgres.env)
    assert (done.code, done.json["report"]) == (0, str((workplace.folder / "pg.html").resolve()))
    assert workplace.boast("load").code == 0
    assert workplace.boast("report", "--output", "file.html").code == 0
    one, two = (read_page((workplace.folder / name).read_text()).tables for name in ("pg.html", "file.html"))
    for name in ("totals", "time", "cohorts"):
        assert [{**row, "waiting": ""} for row in one[name]] == [{**row, "waiting": ""} for row in two[name]]
    counts = ("enrolled", "active", "completed", "removed", "responded")
    assert {row["key"]: [row[c] for c in counts] for row in one["sequences"]} == {
        row["key"]: [row[c] for c in counts] for row in two["sequences"]
    }


def test_without_anything_loaded_it_says_what_to_do(workplace):
    done = workplace.boast("report")
    assert (done.code, "boast load" in done.err) == (1, True)
    assert not (workplace.folder / "boast_report.html").exists()


def test_an_empty_account_has_a_report(sandbox, workplace):
    workplace.use(sandbox(enrollments=0))
    assert workplace.boast("nightly").code == 0
    found = read_page((workplace.folder / "boast_report.html").read_text())
    assert found.tables["totals"][0]["enrolled"] == "0"


def test_a_report_that_cannot_be_written_leaves_the_night_and_the_exit_code_says_so(sandbox, workplace):
    workplace.use(sandbox(enrollments=30))
    (workplace.folder / "taken").write_text("a file")
    done = workplace.boast("nightly", "--json", SOURCES__BOAST__REPORT_PATH="taken/report.html")
    assert (done.code, done.json["status"], done.json["load"]["accounts"][0]["loaded"]) == (1, "failed", 30)
    assert "report cannot be written" in done.json["error"]
    ((status, code, error, listed),) = workplace.sql("select status, exit_code, error, listed from boast_data.runs")
    assert (status, code, listed) == ("failed", 1, 30)
    assert "report cannot be written" in error
    done = workplace.boast("nightly", SOURCES__BOAST__REPORT_PATH="taken/report.html")
    assert (done.code, "report cannot be written" in done.err) == (1, True)
    done = workplace.boast("nightly", SOURCES__BOAST__REPORT_PATH="")
    assert done.code == 0
    assert not (workplace.folder / "boast_report.html").exists()


def test_what_could_not_be_verified_is_not_reported(sandbox, workplace):
    server = sandbox(enrollments=60)
    workplace.use(server)
    assert workplace.boast("nightly").code == 0
    before = (workplace.folder / "boast_report.html").read_text()
    server.control("POST", "mutate", {"delete_ids": list(server.truth())})
    done = workplace.boast("nightly")
    assert done.code == 3
    assert "could not verify" in done.err
    assert (workplace.folder / "boast_report.html").read_text() == before


def test_without_the_extra_there_are_tables_and_the_way_to_charts(sandbox, workplace):
    workplace.use(sandbox(enrollments=60))
    assert workplace.boast("nightly").code == 0
    assert (workplace.folder / "boast_report.html").read_text().count("<svg") == 8
    code = "import sys; sys.modules['vl_convert'] = None; from boast_source.commands.main import main; main(['report'])"
    env = workplace.env | {"DLT_DATA_DIR": str(workplace.folder / "state"), "HOME": str(workplace.folder)}
    subprocess.run([sys.executable, "-c", code], cwd=workplace.folder, env=env, check=True, capture_output=True)
    html = (workplace.folder / "boast_report.html").read_text()
    assert "<svg" not in html
    assert INSTALL in unescape(html)
    assert read_page(html).tables["totals"][0]["enrolled"] == "60"


def test_a_report_goes_to_any_place_and_a_wrong_one_is_named(tmp_path):
    assert files.write("<p>", "memory://reports/a.html") == "memory://reports/a.html"
    with fsspec.open("memory://reports/a.html", "r") as file:
        assert file.read() == "<p>"
    assert files.write("<p>", f"file://{tmp_path}/new/b.html") == str(tmp_path / "new" / "b.html")
    (tmp_path / "file").write_text("")
    with pytest.raises(BoastError, match="cannot be written"):
        files.write("<p>", str(tmp_path / "file" / "c.html"))
    with pytest.raises(ConfigurationError, match="cannot be used"):
        files.write("<p>", "nosuch://bucket/c.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["b.html"]


def weeks(active: int) -> list[Bin]:
    start = date(2026, 1, 5)
    counts = dict.fromkeys(("enrolled", "completed", "removed"), 0)
    return [Bin(start + timedelta(weeks=n), counts, active, n == 8) for n in range(9)]


def test_the_area_is_as_high_as_what_is_active():
    svg = charts.draw({"active": charts.active("week", weeks(8), "wide")})["active"]
    lines = re.findall(r'aria-roledescription="line mark"[^>]* d="([^"]+)"', svg)
    assert len(lines) == 2  # what is over, and the dashed way to the week that is not
    assert len({float(y) for line in lines for _, y in re.findall(r"([\d.]+),([\d.]+)", line)}) == 1
    assert svg.count('aria-label="week of') == 9


def test_every_chart_has_its_legend_and_marks_that_say_their_numbers():
    of_that_day = figures().health | {"last_success_at": datetime(2026, 1, 3, 2, tzinfo=timezone.utc)}
    shown = figures(
        health=of_that_day,
        sequences=[sequence(completed=30, responded=10, response_rate=0.2)],
        cohorts=[month(1, 5, 10), month(2, 1, 10, had_30_days=False)],
        days=[
            {"day": date(2026, 1, day), "enrolled": day, "completed": 2, "removed": 1, "active": day}
            for day in (1, 2, 3)
        ],
    )
    drawn = charts.draw_all(shown)
    legends = {"flows": ["enrolled", "completed", "removed"], "active": ["active"], "funnel": ["enrolled", "responded"]}
    legends["cohorts"] = ["completed", "responded"]
    for name, words in legends.items():
        for svg in drawn[name].values():
            assert all(f">{word}</text>" in svg for word in words), name
    for name, says in (
        ("flows", "2026-01-02: 2 enrolled"),
        ("flows", ">2026-01-03 so far</text>"),
        ("active", "2026-01-03: 3 active"),
        ("funnel", "n: 30 completed"),
        ("funnel", "20.0% respond"),
        ("cohorts", "enrolled in Feb 2026: 10.0% responded within 30 days, not over yet"),
    ):
        assert all(says in svg for svg in drawn[name].values()), says


def test_a_name_that_xml_forbids_is_drawn_without_what_is_forbidden():
    shown = figures(sequences=[sequence(sequence_name="Ring\x07 the\x0b bell\x1b"), sequence(sequence_id="t")])
    assert ">Ring the bell</text>" in charts.draw_all(shown)["funnel"]["wide"]


def test_a_drawing_whose_run_was_killed_ends_by_itself():
    command = [sys.executable, str(Path(charts.__file__).with_name("draw.py")), "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:  # it waits for what nobody sends any more
        assert child.wait(60) == -signal.SIGALRM


@pytest.mark.parametrize("ending", ["aborts", "is not there"])
def test_a_drawing_that_dies_costs_the_charts_and_not_the_night(sandbox, workplace, ending):
    """`vl_convert` is replaced by one that aborts the process, as the real one does on some texts, or that fails."""
    workplace.use(sandbox(enrollments=60))
    stand_in = workplace.folder / "stand-in"
    stand_in.mkdir()
    body = "import os\nos.abort()\n" if ending == "aborts" else "raise ImportError\n"
    (stand_in / "vl_convert.py").write_text(body)
    path = os.pathsep.join([str(stand_in), AS_A_USER])
    done = workplace.boast("nightly", "--json", PYTHONPATH=path)
    assert (done.code, done.json["status"]) == (0, "ok"), done.err
    assert "The charts cannot be drawn" in done.err
    html = (workplace.folder / "boast_report.html").read_text()
    assert "<svg" not in html
    assert "could not be drawn this time" in html
    assert read_page(html).tables["totals"][0]["enrolled"] == "60"
    assert workplace.sql("select status from boast_data.runs") == [("ok",)]
