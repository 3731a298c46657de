"""Significance of differences between response rates. The report says `more` or `fewer` only of significant ones.

Fisher's exact test of two proportions: for any counts, the probability of a false claim is at most the level. A report
makes two kinds of claim at half of `LEVEL` each, and tests each sequence at its share of that half (Bonferroni). So if
all true rates are equal, at most 5 % of reports claim a difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from boast_source.outputs.report.figures import Row

LEVEL = 0.05
ENOUGH = 20  # enrollments from which a sequence's rate is compared
MONTHS = 3  # on each side of the trend


@dataclass(frozen=True)
class Share:
    """`part` of `whole`, both counts."""

    part: int
    whole: int

    @property
    def rate(self) -> float:
        return self.part / self.whole if self.whole else 0.0


@dataclass(frozen=True)
class Claim:
    """`share` compared with `other`. `direction`: 1 significantly higher, -1 lower, 0 no clear difference."""

    share: Share
    other: Share
    direction: int


@dataclass(frozen=True)
class Trend(Claim):
    """The last `MONTHS` months with enrollments whose 30 days are over, compared with as many before. `months`,
    `earlier`: the first and last month of each period.
    """

    months: tuple[date, date]
    earlier: tuple[date, date]


def direction(one: Share, other: Share, level: float) -> int:
    """Return 1 if the first rate is significantly higher at this two-sided level, -1 if it is lower, else 0."""
    total, found = one.whole + other.whole, one.part + other.part
    sign = (one.rate > other.rate) - (one.rate < other.rate)
    most = min(found, one.whole) if sign > 0 else min(found, other.whole)
    part, whole = (one.part, one.whole) if sign > 0 else (other.part, other.whole)
    if not sign:
        return 0
    ways = _ways(total, found)
    tail = sum(exp(_ways(whole, k) + _ways(total - whole, found - k) - ways) for k in range(part, most + 1))
    return sign if tail <= level / 2 else 0


def compare(shares: Sequence[Share]) -> list[Claim]:
    """Return a claim for each share, compared with all the others together."""
    part, whole = sum(share.part for share in shares), sum(share.whole for share in shares)
    others = [Share(part - share.part, whole - share.whole) for share in shares]
    level = LEVEL / 2 / max(1, len(shares))
    return [Claim(one, rest, direction(one, rest, level)) for one, rest in zip(shares, others, strict=True)]


def compare_sequences(grown: Sequence[Row]) -> dict[tuple[str, str], Claim]:
    """Return claims about responses within 30 days, by account and sequence id, for sequences with enough enrollments.

    `grown`: rows per sequence, enrollments of months whose 30 days are over.
    """
    rows = [row for row in grown if row["enrolled"] >= ENOUGH]
    claims = compare([Share(row["responded_in_30_days"], row["enrolled"]) for row in rows])
    keys = [(str(row["account_id"]), str(row["sequence_id"])) for row in rows]
    return dict(zip(keys, claims, strict=True)) if len(rows) > 1 else {}


def trend(cohorts: Sequence[Row]) -> Trend | None:
    """Compare responses within 30 days of the last MONTHS months old enough with those before; None: too few months."""
    grown = [row for row in cohorts if row["had_30_days"] and row["month"]][-2 * MONTHS :]
    if len(grown) < 2 * MONTHS:
        return None
    halves = (grown[:MONTHS], grown[MONTHS:])
    before, lately = (
        Share(sum(row["responded_in_30_days"] for row in rows), sum(row["enrolled"] for row in rows)) for rows in halves
    )
    earlier, months = ((rows[0]["month"], rows[-1]["month"]) for rows in halves)
    return Trend(lately, before, direction(lately, before, LEVEL / 2), months, earlier)


def _ways(n: int, k: int) -> float:
    """Return the natural logarithm of the number of ways to choose `k` of `n`."""
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
