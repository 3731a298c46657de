"""The page and its charts from figures made by hand: nothing is read, nothing is drawn."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boast_source.install import INSTALL
from boast_source.outputs.report import charts, page
from boast_source.outputs.report.bins import FLOWS, POINTS, Bin, binned
from boast_source.outputs.report.figures import DRAWN, clean
from tests.support.page_reader import read_page
from tests.support.report_figures import figures, grown, month, sequence


def rendered(**given) -> str:
    return page.render(figures(**given), {}, can_draw=True)


def test_a_name_is_text_wherever_it_stands():
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>' + alert(1) + '\\"
    rows = [sequence(sequence_name=evil), sequence(sequence_id="t", sequence_name=None)]
    html = rendered(sequences=rows, accounts={"a": evil})
    assert html.count("<script>") == 1
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


@given(st.text(max_size=150))
def test_a_cleaned_name_holds_nothing_that_xml_forbids(name):
    found = clean(name + "\x00\x0b\x1b\x1f\ufffe\uffff\ud800 end")
    assert found.endswith("end")
    assert all(c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" for c in found)
    assert found == " ".join(found.split())


def test_a_name_turns_no_text_around_and_is_not_endless():
    evil = "a\u202egnp.\u2066x\u2069\x7f\x9b31m"
    html = rendered(sequences=[sequence(sequence_name=evil), sequence(sequence_id="t", sequence_name="M" * 1_000_000)])
    assert not set("\u202e\u2066\u2069\x7f\x9b") & set(html)
    assert "agnp.x31m" in html
    assert len(html) < 200_000
    assert clean("M" * 1_000_000) == "M" * 199 + "…"


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
    whole = figures().health | health
    assert page.verdict(figures(health=whole))[0] == level
    assert f'class="verdict {level}"' in rendered(health=whole)


def test_the_title_says_whose_enrollments_and_of_which_time():
    days = [{"day": d, **dict.fromkeys((*FLOWS, "active"), 1)} for d in (date(2024, 5, 3), date(2026, 1, 31))]
    rows = [sequence(account_id=key, sequence_id=key) for key in "abcde"]
    names = {"a": "Acorn", "b": "Bluebird", "c": None, "d": "Dune", "e": "Ember"}
    assert page.title(figures()) == "Sequence enrollments"
    one = figures(sequences=rows[:1], accounts=names, days=days)
    assert page.title(one) == "Sequence enrollments of Acorn · 3 May 2024 to 31 Jan 2026"
    assert page.title(figures(sequences=rows[:2], accounts=names)) == "Sequence enrollments of Acorn and Bluebird"
    assert page.title(figures(sequences=rows, accounts=names)).endswith("of Acorn, Bluebird, Dune and 2 more")
    assert f"<title>{page.title(one)}</title>" in rendered(sequences=rows[:1], accounts=names, days=days)


def test_the_table_is_sorted_by_response_rate_with_small_sequences_last():
    rows = [
        sequence(sequence_id="low", sequence_name="Low", response_rate=0.1),
        sequence(sequence_id="lucky", sequence_name="Lucky", enrolled=2, response_rate=1.0),
        sequence(sequence_id="high", sequence_name="High", response_rate=0.4),
    ]
    found = read_page(rendered(sequences=rows)).tables["sequences"]
    assert [row["key"] for row in found] == ["a/high", "a/low", "a/lucky"]


def test_enrollments_without_a_sequence_have_their_row_beside_one_of_the_same_size():
    rows = [sequence(sequence_id="s"), sequence(sequence_id=None), sequence(sequence_id=None, account_id="b")]
    html = rendered(sequences=rows)
    assert [row["key"] for row in read_page(html).tables["sequences"]] == ["a/None", "b/None", "a/s"]
    assert html.count("<td>no sequence</td>") == 2


def test_it_says_which_sequences_are_drawn_and_which_are_not():
    rows = [sequence(sequence_id=str(n), sequence_name=f"Number {n}", enrolled=100 - n) for n in range(DRAWN + 2)]
    html = page.render(figures(sequences=rows), {"funnel": {"wide": "<svg/>", "narrow": "<svg/>"}}, can_draw=True)
    assert f"The {DRAWN} largest of {DRAWN + 2} sequences" in html
    assert "Not shown: Number 15, Number 16." in html
    few = page.render(figures(sequences=rows[:2]), {"funnel": {"wide": "<svg/>", "narrow": "<svg/>"}}, can_draw=True)
    assert "All sequences, by response rate." in few


def test_sequences_of_one_name_are_told_apart():
    rows = [
        sequence(account_id="a", sequence_id="1" * 36),
        sequence(account_id="b", sequence_id="2" * 36),
        sequence(account_id="b", sequence_id="3" * 36, sequence_name="other"),
        sequence(account_id="b", sequence_id="4" * 36, sequence_name="other"),
    ]
    shown = figures(sequences=rows, accounts={"a": "Acorn", "b": "Bluebird"})
    assert [shown.label(row) for row in rows] == ["n (Acorn)", "n (Bluebird)", "other (33333333…)", "other (44444444…)"]


@pytest.mark.parametrize(
    ("listed", "stored", "enrolled", "says"),
    [
        (2015, 2020, 5, "5 more than listed: the push enrolled them after the list was read"),
        (2015, 2020, 2, "5 more than listed: enrolled after the list was read, not shown by it"),
        (2020, 2015, 0, "5 fewer than listed: gone since the list was read"),
        (2020, 2020, 0, ""),
        (None, 0, 0, ""),
    ],
)
def test_listed_and_stored_are_explained_where_they_stand(listed, stored, enrolled, says):
    health = figures().health | {"listed": listed, "stored": stored}
    found = page.listed_and_stored(figures(health=health, after_listing=enrolled))
    assert found.startswith(says)
    assert bool(found) == bool(says)
    if says:
        assert f"{stored:,} ({says}" in rendered(health=health, after_listing=enrolled)


def test_what_the_push_did_since_the_last_report_is_counted_by_sequence_and_reason():
    pushed = [
        {"sequence_id": "s", "state": "enrolled", "code": "", "requests": 7},
        {"sequence_id": "s", "state": "held", "code": "unclear_status", "requests": 2},
        {"sequence_id": "s", "state": "held", "code": "repeat", "requests": 3},
        {"sequence_id": None, "state": "invalid", "code": "invalid", "requests": 1},
    ]
    since = datetime(2026, 6, 1, 2, 30, tzinfo=timezone.utc)
    requests = [{"state": "enrolled", "requests": 20}]
    shown = figures(pushed=pushed, pushed_since=since, requests=requests, names={"s": "Welcome"})
    assert shown.pushed_by_sequence == [
        ("Welcome", Counter(enrolled=7, held=5), Counter({"held: repeat": 3, "held: unclear status": 2})),
        ("no sequence", Counter(invalid=1), Counter({"invalid: invalid": 1})),
    ]
    html = page.render(shown, {}, can_draw=True)
    assert "What the push did since the last report, 2026-06-01 02:30" in html
    assert "held: repeat (3), held: unclear status (2)" in html
    found = read_page(html).tables["pushed"]
    assert [(row["enrolled"], row["held"], row["invalid"]) for row in found] == [("7", "5", "0"), ("0", "0", "1")]
    quiet = rendered(requests=requests, pushed_since=since)
    assert "The push did nothing since the last report, 2026-06-01 02:30." in quiet
    assert "Nothing was pushed yet." in rendered()


def test_a_report_without_charts_says_why():
    rows = [sequence()]
    assert "could not be drawn this time" in page.render(figures(sequences=rows), {}, can_draw=True)
    assert INSTALL in unescape(page.render(figures(sequences=rows), {}, can_draw=False))


days = st.dictionaries(st.dates(), st.tuples(*[st.integers(0, 9)] * 4), min_size=1, max_size=40) | st.dictionaries(
    st.dates(date(2024, 1, 1), date(2026, 1, 1)), st.tuples(*[st.integers(0, 9)] * 4), min_size=1
)


@given(days, st.dates())
def test_binning_keeps_the_sums_the_last_active_and_few_points(found, today):
    names = (*FLOWS, "active")
    rows = [{"day": day, **dict(zip(names, counts, strict=True))} for day, counts in sorted(found.items())]
    unit, bins = binned(rows, today)
    for name in FLOWS:
        assert sum(one.counts[name] for one in bins) == sum(row[name] for row in rows)
    assert bins[-1].active == rows[-1]["active"]
    starts = [one.start for one in bins]
    assert starts == sorted(set(starts))
    assert unit == "year" or len(bins) <= POINTS + 2
    assert not any(one.is_open for one in bins[:-1])
    assert bins[-1].is_open or rows[-1]["day"] < today
    for row in rows:
        start = max(s for s in starts if s <= row["day"])
        following = [r for r in rows if start <= r["day"] and all(not start < s <= r["day"] for s in starts)]
        assert next(b for b in bins if b.start == start).active == following[-1]["active"]


@pytest.mark.parametrize(
    ("last", "today", "is_open"),
    [
        (date(2026, 1, 30), date(2026, 1, 31), True),
        (date(2026, 1, 31), date(2026, 1, 31), True),
        (date(2026, 1, 31), date(2026, 2, 1), False),
        (date(2026, 2, 1), date(2026, 2, 1), True),
    ],
)
def test_a_month_is_over_when_its_last_day_is(last, today, is_open):
    rows = [{"day": d, **dict.fromkeys((*FLOWS, "active"), 1)} for d in (date(2022, 1, 1), last)]
    unit, bins = binned(rows, today)
    assert (unit, bins[-1].is_open) == ("month", is_open)


def test_the_time_axes_stand_odd_dates():
    for first, last in ((date.min, date.max), (date(9999, 12, 30), date.max), (date.min, date(1, 1, 9))):
        rows = [{"day": d, "enrolled": 1, "completed": 0, "removed": 0, "active": 1} for d in (first, last)]
        assert binned(rows, date(2026, 1, 1))[1][-1].active == 1


def weeks(count: int, *, is_open: bool) -> list[Bin]:
    starts = [date(2026, 1, 5) + timedelta(weeks=n) for n in range(count)]
    counts = [dict(zip(FLOWS, (100 + n, n, 1), strict=True)) for n in range(count)]
    return [Bin(starts[n], counts[n], 7 + n, is_open and n == count - 1) for n in range(count)]


def test_charts_are_data_with_rows_that_say_their_numbers():
    specs = [
        charts.flows("week", weeks(3, is_open=True), "wide"),
        charts.active("week", weeks(3, is_open=True), "narrow"),
        charts.cohorts([month(1, 10, 20), month(2, 2, 20, had_30_days=False)], "wide"),
        charts.funnel(figures(sequences=[sequence(completed=30, responded=10, response_rate=0.2)]), "narrow"),
    ]
    text = json.dumps(specs)
    assert "$" not in text.replace("$schema", "")
    for says in (
        "week of 2026-01-12: 101 enrolled",
        "week of 2026-01-19: 9 active",
        "20.0% respond",
        "n: 10 responded",
    ):
        assert says in text
    assert "enrolled in Feb 2026: 10.0% responded within 30 days, not over yet" in text
    assert [spec["width"] for spec in specs] == [860, 340, 860, 340]


def test_what_is_not_over_is_named_and_stands_apart():
    spec = charts.flows("week", weeks(3, is_open=True), "wide")
    assert [row["start"] for row in spec["data"]["values"] if row["open"]] == ["2026-01-19"] * 3
    (named,) = spec["layer"][-1]["data"]["values"]
    assert named == {"start": "2026-01-19", "name": "week of 2026-01-19 so far"}
    over = charts.flows("week", weeks(3, is_open=False), "wide")
    assert over["layer"][-1]["data"]["values"] == []


def test_a_month_with_few_enrollments_stands_apart_and_does_not_begin_what_is_not_over():
    spec = charts.cohorts([month(1, 2, 2), month(2, 10, 20), month(3, 9, 20, had_30_days=False)], "wide")
    rows = [row for row in spec["data"]["values"] if row["kind"] == "responded"]
    assert [row["open"] for row in rows] == [True, False, True]
    assert rows[0]["says"].endswith("100.0% responded within 30 days, of 2 only")
    (named,) = spec["layer"][-1]["data"]["values"]
    assert (named["start"], named["name"]) == (rows[2]["start"], "30 days not over yet")


def test_a_mark_stands_beside_sequences_that_differ_beyond_chance():
    rows = [sequence(sequence_id=name, sequence_name=name, response_rate=0.5) for name in ("high", "low", "even")]
    compared = [grown("high", 90, 100), grown("low", 10, 100), grown("even", 50, 100)]
    spec = charts.funnel(figures(sequences=rows, grown=compared), "wide")
    assert {row["label"]: row["rate"][-1] for row in spec["data"]["values"]} == {"high": "▲", "low": "▼", "even": "d"}
