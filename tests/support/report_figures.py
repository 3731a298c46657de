"""Figures of a report made by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

from boast_source.outputs.report.figures import Figures

LISTS = ("days", "sequences", "cohorts", "grown", "requests", "waiting", "pushed", "runs")


def figures(**given: Any) -> Figures:
    """Empty but for what is given."""
    health: dict[str, Any] = dict.fromkeys(
        ("last_success_at", "hours_since_success", "verified", "listed", "last_exit_code")
    )
    health |= {"stored": 0, "missing": 0, "waiting": 0}
    empty: dict[str, Any] = {name: [] for name in LISTS}
    return Figures(**empty | {"health": health, "dataset": "d", "time_zone": "UTC"} | given)


def sequence(**given: Any) -> dict[str, Any]:
    """A row of `sequence_performance`: 50 enrollments, and nothing became of them."""
    counts = dict.fromkeys(("active", "completed", "removed", "other", "responded", "missing"), 0)
    rates = {"completion_rate": 0.0, "response_rate": 0.0}
    medians = {"median_hours_to_complete": None, "median_hours_to_respond": None}
    named = {"account_id": "a", "sequence_id": "s", "sequence_name": "n", "enrolled": 50}
    return named | counts | rates | medians | given


def grown(sequence_id: str, responded: int, enrolled: int) -> dict[str, Any]:
    """What became of a sequence's enrollments that have had their 30 days."""
    return {
        "account_id": "a",
        "sequence_id": sequence_id,
        "enrolled": enrolled,
        "responded_in_30_days": responded,
    }


def month(number: int, responded: int, enrolled: int, *, had_30_days: bool = True) -> dict[str, Any]:
    """A month of 2026 of `enrollment_cohorts`."""
    counts = {"completed": responded, "responded": responded, "completed_in_30_days": responded}
    counts |= {"enrolled": enrolled, "responded_in_30_days": responded}
    return counts | {"month": date(2026, number, 1), "had_30_days": int(had_30_days)}
