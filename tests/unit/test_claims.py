"""The report names a difference only where it exceeds chance."""

from __future__ import annotations

import random
import re
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boast_source.outputs.report import page
from boast_source.outputs.report.claims import LEVEL, Share, compare_sequences, direction, trend
from tests.support.report_figures import figures, grown, month, sequence

DIRECTIONS = {"good", "bad"}
SIZES = (20, 45, 120, 400)  # enrollments of a sequence


def drawn(rng: random.Random, rate: float, count: int) -> int:
    return sum(rng.random() < rate for _ in range(count))


def named(rng: random.Random, rates: list[float], months: list[float], most: tuple[int, ...] = SIZES) -> bool:
    """Whether a report over random outcomes at these true rates names a direction anywhere."""
    sizes = [rng.choice(most) for _ in rates]
    compared = [grown(str(n), drawn(rng, rates[n], size), size) for n, size in enumerate(sizes)]
    cohorts = [month(n, drawn(rng, rate, 57), 57) for n, rate in enumerate(months, 1)]
    rows = [sequence(sequence_id=str(n), sequence_name=str(n)) for n in range(len(rates))]
    shown = figures(sequences=rows, grown=compared, cohorts=cohorts)
    levels = {level for _, level, _ in page.calls(shown)}
    assert levels
    return bool(levels & DIRECTIONS)


@pytest.mark.parametrize("rate", [0.02, 0.26, 0.7])
def test_where_all_true_rates_are_equal_at_most_one_report_in_twenty_names_a_direction(rate):
    rng = random.Random(f"equal {rate}")
    reports = 1000
    assert sum(named(rng, [rate] * 12, [rate] * 6) for _ in range(reports)) <= LEVEL * reports


def test_a_real_difference_is_named():
    rng = random.Random("sequences")
    assert all(named(rng, [0.6, *[0.26] * 11], [0.26] * 6, (150,)) for _ in range(50))
    rng = random.Random("months")
    assert all(named(rng, [0.26] * 2, [0.1] * 3 + [0.5] * 3) for _ in range(50))


counts = st.integers(1, 30).flatmap(lambda whole: st.tuples(st.integers(0, whole), st.just(whole)))


@given(counts, counts, st.sampled_from([0.2, 0.05, 0.01]))
def test_the_test_is_fisher_s(one, other, level):
    (a, n), (b, m) = one, other
    ways = comb(n + m, a + b)
    higher = sum(comb(n, k) * comb(m, a + b - k) for k in range(a, min(n, a + b) + 1)) / ways
    lower = sum(comb(n, k) * comb(m, a + b - k) for k in range(max(0, a + b - m), a + 1)) / ways
    found = direction(Share(a, n), Share(b, m), level)
    tail = higher if a * m > b * n else lower
    if abs(tail - level / 2) > 1e-9:
        assert found == (0 if a * m == b * n or tail > level / 2 else 1 if a * m > b * n else -1)
    assert found == -direction(Share(b, m), Share(a, n), level)


def test_no_rate_of_nothing_is_compared():
    assert direction(Share(0, 0), Share(5, 10), 0.05) == 0
    assert compare_sequences([]) == {}
    assert compare_sequences([grown("only", 10, 20)]) == {}


def test_sequences_with_few_enrollments_are_not_compared_and_do_not_count_among_the_others():
    found = compare_sequences([grown("lucky", 19, 19), grown("good", 60, 100), grown("poor", 10, 100)])
    assert {key[1]: claim.direction for key, claim in found.items()} == {"good": 1, "poor": -1}
    assert found["a", "good"].other == Share(10, 100)


@pytest.mark.parametrize(
    ("responded", "expected"),
    [([20, 20, 20, 60, 60, 60], 1), ([60, 60, 60, 20, 20, 20], -1), ([26, 30, 24, 29, 25, 28], 0)],
)
def test_the_trend_compares_months_that_have_had_their_time(responded, expected):
    months = [month(n, count, 100) for n, count in enumerate(responded, 1)]
    found = trend([*months, month(9, 0, 100, had_30_days=False)])
    assert found is not None
    assert (found.direction, [moment.month for moment in (*found.earlier, *found.months)]) == (expected, [1, 3, 4, 6])
    assert found.share == Share(sum(responded[3:]), 300)
    assert trend(months[1:]) is None


def test_a_claim_says_both_counts_and_no_claim_says_so():
    rows = [sequence(sequence_id=name, sequence_name=name) for name in ("good", "poor")]
    apart = figures(sequences=rows, grown=[grown("good", 60, 100), grown("poor", 10, 100)])
    than = "responses within 30 days than the others together"
    assert page.calls(apart) == [
        ("more", "good", f"good gets more {than}: 60.0% of 100; the others 10.0% of 100."),
        ("fewer", "bad", f"poor gets fewer {than}: 10.0% of 100; the others 60.0% of 100."),
    ]
    alike = figures(sequences=rows, grown=[grown("good", 27, 100), grown("poor", 24, 100)])
    assert [(name, level) for name, level, _ in page.calls(alike)] == [("alike", "")]
    steady = figures(cohorts=[month(n, 26, 100) for n in (1, 2, 4, 7, 8, 9)])  # nobody was enrolled in the others
    ((name, level, sentence),) = page.calls(steady)
    assert (name, level) == ("trend", "")
    assert re.fullmatch(
        r"Enrolled from Jul (\d+) to Sep \1: 26.0% of 300 responded within 30 days; from Jan \1 to Apr \1 26.0% of 300"
        r": no clear change\.",
        sentence,
    )
    for html in (page.render(shown, {}, can_draw=True) for shown in (apart, alike, steady)):
        assert not {"best", "worst", "better", "worse", "lowest"} & set(html.lower().split())


def test_of_many_sequences_that_stand_apart_three_each_way_are_named_and_all_are_marked():
    rows = [sequence(sequence_id=str(n), sequence_name=f"n{n}", response_rate=0.9 if n < 8 else 0.1) for n in range(16)]
    compared = [grown(str(n), 90 if n < 8 else 10, 100) for n in range(16)]
    shown = figures(sequences=rows, grown=compared)
    assert [word for word, *_ in page.calls(shown)] == ["more"] * 4 + ["fewer"] * 4
    html = page.render(shown, {}, can_draw=True)
    assert (html.count("▲ 90.0%"), html.count("▼ 10.0%")) == (8, 8)
    assert "So do 5 more sequences, marked ▲ in the table." in html
