"""The report: its numbers are the views', it stands alone, and it tells nobody's personal data."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone

import duckdb
import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boast_source.errors import BoastError, ConfigurationError
from boast_source.outputs import files
from boast_source.outputs.report import charts, page
from boast_source.outputs.report.figures import POINTS, Figures, binned
from tests.support.page_reader import read_page
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
    best = workplace.sql(
        "select sequence_name from boast_data.sequence_performance where enrolled >= 20"
        " order by response_rate desc, enrolled desc, sequence_id"
    )
    assert best[0][0] in found.texts["best"]
    assert best[-1][0] in found.texts["worst"]


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
    assert 'pip install "boast-source[report]"' in html
    assert read_page(html).tables["totals"][0]["enrolled"] == "60"


def figures(**given) -> Figures:
    health = dict.fromkeys(("last_success_at", "hours_since_success", "verified", "listed", "last_exit_code"))
    health |= {"stored": 0, "missing": 0, "waiting": 0}
    empty: dict = {name: [] for name in ("days", "sequences", "cohorts", "requests", "waiting", "runs")}
    return Figures(**empty | {"health": health, "dataset": "d", "time_zone": "UTC"} | given)


def sequence(**given):
    counts = dict.fromkeys(("active", "completed", "removed", "other", "responded", "missing"), 0)
    rates = {"completion_rate": 0.0, "response_rate": 0.0}
    medians = {"median_hours_to_complete": None, "median_hours_to_respond": None}
    return (
        {"account_id": "a", "sequence_id": "s", "sequence_name": "n", "enrolled": 50} | counts | rates | medians | given
    )


def test_a_name_is_text_wherever_it_stands():
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>' + alert(1) + '\\"
    html = page.render(figures(sequences=[sequence(sequence_name=evil), sequence(sequence_id="t", sequence_name=None)]))
    assert html.count("<script>") == 1
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_best_and_lowest_are_said_of_sequences_with_enough_enrollments_only():
    lucky = sequence(sequence_id="l", sequence_name="Lucky", enrolled=1, responded=1, response_rate=1.0)
    good = sequence(sequence_id="g", sequence_name="Good", response_rate=0.4)
    found = read_page(page.render(figures(sequences=[lucky, good, sequence(sequence_name="Poor")])))
    assert "Good" in found.texts["best"]
    assert "Poor" in found.texts["worst"]
    assert "best" not in read_page(page.render(figures(sequences=[lucky, good]))).texts


@pytest.mark.parametrize(
    ("rates", "word"),
    [([5, 5, 5, 9, 9, 9], "better"), ([9, 9, 9, 5, 5, 5], "worse"), ([5] * 6, "steady"), ([5] * 5, "")],
)
def test_the_trend_compares_months_that_have_had_their_time(rates, word):
    months = [
        {"month": date(2026, n, 1), "enrolled": 10, "completed": 0, "responded": rate, "completed_in_30_days": 0,
         "responded_in_30_days": rate, "had_30_days": 1} for n, rate in enumerate(rates, 1)
    ]  # fmt: skip
    young = months[-1] | {"month": date(2026, 9, 1), "responded_in_30_days": 0, "had_30_days": 0}
    text = read_page(page.render(figures(cohorts=[*months, young]))).texts.get("trend", "")
    assert word in text
    assert bool(text) == bool(word)


@pytest.mark.parametrize(
    ("health", "level"),
    [
        ({"hours_since_success": 1.0, "verified": "exact", "last_exit_code": 0}, "good"),
        ({"hours_since_success": 1.0, "verified": "exact", "last_exit_code": 3, "waiting": 2}, "warn"),
        ({"hours_since_success": 1.0, "verified": "exact", "last_exit_code": 1}, "warn"),
        ({"hours_since_success": 90.0, "verified": "exact", "last_exit_code": 0}, "bad"),
        ({"hours_since_success": 1.0, "verified": "failed", "last_exit_code": 3}, "bad"),
        ({}, "bad"),
    ],
)
def test_the_first_line_says_whether_the_data_is_to_be_trusted(health, level):
    base = figures().health
    assert page.verdict(figures(health=base | health))[0] == level
    assert f'class="verdict {level}"' in page.render(figures(health=base | health))


days = st.dictionaries(st.dates(), st.tuples(*[st.integers(0, 9)] * 4), min_size=1, max_size=40) | st.dictionaries(
    st.dates(date(2024, 1, 1), date(2026, 1, 1)), st.tuples(*[st.integers(0, 9)] * 4), min_size=1
)


@given(days)
def test_binning_keeps_the_sums_the_last_active_and_few_points(found):
    names = ("enrolled", "completed", "removed", "active")
    rows = [{"day": day, **dict(zip(names, counts, strict=True))} for day, counts in sorted(found.items())]
    unit, bins = binned(rows)
    for name in names[:3]:
        assert sum(row[name] for row in bins) == sum(row[name] for row in rows)
    assert bins[-1]["active"] == rows[-1]["active"]
    starts = [row["start"] for row in bins]
    assert starts == sorted(set(starts))
    assert unit == "year" or len(bins) <= POINTS + 2
    for row in rows:
        start = max(s for s in starts if s <= row["day"])
        following = [r for r in rows if start <= r["day"] and all(not start < s <= r["day"] for s in starts)]
        assert next(b for b in bins if b["start"] == start)["active"] == following[-1]["active"]


def test_the_time_axes_stand_odd_dates():
    for first, last in ((date.min, date.max), (date(9999, 12, 30), date.max), (date.min, date(1, 1, 9))):
        rows = [{"day": d, "enrolled": 1, "completed": 0, "removed": 0, "active": 1} for d in (first, last)]
        assert binned(rows)[1][-1]["active"] == 1


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


def test_the_area_is_as_high_as_what_is_active():
    start = date(2026, 1, 5)
    bins = [
        {"start": start + timedelta(weeks=n), "enrolled": 0, "completed": 0, "removed": 0, "active": 8}
        for n in range(9)
    ]
    drawn = charts.draw(charts._sized(charts.active("week", bins), charts.WIDE))
    (line,) = re.findall(r'aria-roledescription="line mark"[^>]* d="([^"]+)"', drawn)
    heights = {float(y) for _, y in re.findall(r"([\d.]+),([\d.]+)", line)}
    assert len(heights) == 1
    assert drawn.count('aria-label="week of') == 9


def test_chart_marks_say_their_numbers():
    start = datetime(2026, 1, 5, tzinfo=timezone.utc).date()
    bins = [
        {"start": start + timedelta(weeks=n), "enrolled": 100 + n, "completed": 0, "removed": 0, "active": 7 + n}
        for n in range(3)
    ]
    assert "week of 2026-01-12: 101 enrolled" in charts.draw(charts._sized(charts.flows("week", bins), charts.WIDE))
    assert "week of 2026-01-19: 9 active" in charts.draw(charts._sized(charts.active("week", bins), charts.NARROW))
    rows = [sequence(completed=30, responded=10, response_rate=0.2)]
    drawn = charts.draw(charts._sized(charts.funnel(figures(sequences=rows)), charts.WIDE))
    assert all(text in drawn for text in ("n: 50 enrolled", "n: 30 completed", "n: 10 responded", "20.0 % respond"))
    assert json.dumps(charts.flows("week", bins))
