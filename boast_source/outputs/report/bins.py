"""Aggregate days for a time axis: as days, weeks, months or years."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

POINTS = 130  # the most bins on a time axis
FLOWS = ("enrolled", "completed", "removed")
_LONGEST = {"day": 1, "week": 7, "month": 31, "year": 366}  # days


@dataclass(frozen=True)
class Bin:
    """A day, week, month or year. `counts`: FLOWS within it; `active`: at its end; `is_open`: it is not over yet."""

    start: date
    counts: dict[str, int]
    active: int
    is_open: bool = False


def binned(days: Sequence[dict[str, Any]], today: date) -> tuple[str, list[Bin]]:
    """Return the unit (the smallest of day, week and month that gives at most POINTS bins, else year) and the bins.

    `days`: rows with `day`, FLOWS and `active`, sorted by day. `today`: the day of the data. The last bin is open
    unless its last day is among `days` and before `today`.
    """
    if not days:
        return "day", []
    first, last = days[0]["day"], days[-1]["day"]
    span = (last - first).days + 1
    unit = next((unit for unit, length in (("day", 1), ("week", 7), ("month", 30)) if span / length <= POINTS), "year")
    starts = list(_starts(first, last, unit))
    counts = {start: dict.fromkeys(FLOWS, 0) for start in starts}
    active: dict[date, int] = {}
    for row in days:
        start = _start(row["day"], unit)
        for name in FLOWS:
            counts[start][name] += row[name]
        active[start] = row["active"]
    found, known = [], 0
    for start in starts:
        known = active.get(start, known)
        found.append(Bin(start, counts[start], known))
    is_over = last < today and (last == date.max or _start(last + timedelta(days=1), unit) > starts[-1])
    return unit, [*found[:-1], replace(found[-1], is_open=not is_over)]


def _starts(first: date, last: date, unit: str) -> Iterator[date]:
    start = _start(first, unit)
    while start <= last:
        yield start
        try:
            start = _start(start + timedelta(days=_LONGEST[unit]), unit)
        except OverflowError:  # the year 9999
            return


def _start(day: date, unit: str) -> date:
    if unit == "week":
        return day - timedelta(days=min(day.weekday(), (day - date.min).days))
    return day.replace(day=day.day if unit == "day" else 1, month=1 if unit == "year" else day.month)
