"""Hand-made figures of a report."""

from __future__ import annotations

from datetime import date
from typing import Any

from boast_source.outputs.report.figures import Figures

LISTS = ("days", "sequences", "cohorts", "grown", "requests", "waiting", "pushed", "runs")


def figures(**given: Any) -> Figures:
    """Return figures that are empty except for what is given."""
    health: dict[str, Any] = dict.fromkeys(
        ("last_success_at", "hours_since_success", "verified", "listed", "last_exit_code")
    )
    health |= {"stored": 0, "missing": 0, "waiting": 0}
    empty: dict[str, Any] = {name: [] for name in LISTS}
    return Figures(**empty | {"health": health, "dataset": "d", "time_zone": "UTC"} | given)


def sequence(**given: Any) -> dict[str, Any]:
    """Return a row of `sequence_performance`: 50 enrollments without any outcome, except for what is given."""
    counts = dict.fromkeys(("active", "completed", "removed", "other", "responded", "missing"), 0)
    rates = {"completion_rate": 0.0, "response_rate": 0.0}
    medians = {"median_hours_to_complete": None, "median_hours_to_respond": None}
    named = {"account_id": "a", "sequence_id": "s", "sequence_name": "n", "enrolled": 50}
    return named | counts | rates | medians | given


def grown(sequence_id: str, responded: int, enrolled: int) -> dict[str, Any]:
    """Return a row of `Figures.grown`: a sequence's enrollments whose 30 days are over."""
    return {
        "account_id": "a",
        "sequence_id": sequence_id,
        "enrolled": enrolled,
        "responded_in_30_days": responded,
    }


def month(number: int, responded: int, enrolled: int, *, had_30_days: bool = True) -> dict[str, Any]:
    """Return a row of `enrollment_cohorts` for a month of 2026."""
    counts = {"completed": responded, "responded": responded, "completed_in_30_days": responded}
    counts |= {"enrolled": enrolled, "responded_in_30_days": responded}
    return counts | {"month": date(2026, number, 1), "had_30_days": int(had_30_days)}
