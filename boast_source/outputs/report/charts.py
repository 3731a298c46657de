"""The charts: Vega-Lite drawn as SVG, which needs no script, prints, and takes its colours (light or dark) from CSS.

charts.yml holds the specifications. They get their rows here, and a child process draws them.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from boast_source.errors import BoastError
from boast_source.outputs.report import claims

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from boast_source.outputs.report.bins import Bin
    from boast_source.outputs.report.figures import Figures, Row

Spec = dict[str, Any]

KINDS = ("enrolled", "completed", "removed")
FUNNEL = ("enrolled", "completed", "responded")
IN_30_DAYS = ("completed", "responded")
WIDTHS = {"wide": 860, "narrow": 340}  # pixels: for a desktop and for a phone
PATIENCE = 120  # timeout in seconds for all charts; they usually take two
FORMATS = {"day": "%-d %b %Y", "week": "%-d %b %Y", "month": "%b %Y", "year": "%Y"}
CALLED = {"day": "{0}", "week": "week of {0}", "month": "{0:%b %Y}", "year": "{0.year}"}


def can_draw() -> bool:
    """Return whether the extra `report` is installed."""
    return importlib.util.find_spec("vl_convert") is not None


_EMPTY = re.compile(r'<g class="mark-[^>]*/>')  # an empty layer, which a screen reader would read as unnamed


def draw_all(figures: Figures) -> dict[str, dict[str, str]]:
    """Draw each chart that has data. Return SVG by name and width (`wide`, `narrow`); empty without the extra.

    Raises BoastError when the charts cannot be drawn.
    """
    if not can_draw():
        return {}
    specs = {f"{name} {size}": spec for size in WIDTHS for name, spec in all_specs(figures, size).items()}
    drawn: dict[str, dict[str, str]] = {}
    for key, svg in draw(specs).items():
        name, size = key.split()
        drawn.setdefault(name, {})[size] = _EMPTY.sub("", svg)
    return drawn


def draw(specs: dict[str, Spec]) -> dict[str, str]:
    """Draw specifications in a child process, since the library may abort it. Return SVG by name."""
    command = [sys.executable, str(Path(__file__).with_name("draw.py")), str(PATIENCE)]
    try:
        done = subprocess.run(  # noqa: S603 -- our own file
            command, input=json.dumps(specs).encode(), capture_output=True, check=True, timeout=PATIENCE
        )
        found: dict[str, str] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        code = getattr(error, "returncode", None)
        raise BoastError(
            f"The charts cannot be drawn: {type(error).__name__}{f' {code}' if code else ''}",
            hint="The report has its tables. Install the extra again, or say which names were in it.",
        ) from None
    return found


def all_specs(figures: Figures, size: str) -> dict[str, Spec]:
    """Return the specifications of the charts that have data, by name."""
    specs = {}
    if len(figures.bins) > 1:
        specs["flows"] = flows(figures.unit, figures.bins, size)
        specs["active"] = active(figures.unit, figures.bins, size)
    if figures.drawn:
        specs["funnel"] = funnel(figures, size)
    if len(figures.cohorts) > 1:
        specs["cohorts"] = cohorts(figures.cohorts, size)
    return specs


def flows(unit: str, bins: Sequence[Bin], size: str) -> Spec:
    """Lines: enrolled, completed and removed per day, week, month or year."""
    rows = [
        _row(one.start, kind, one.counts[kind], f"{_called(one.start, unit)}: {one.counts[kind]:,} {kind}", one.is_open)
        for one in bins
        for kind in KINDS
    ]
    return _over_time(
        "lines", rows, unit, KINDS, size, title=f"per {unit}", opening=f"{_called(bins[-1].start, unit)} so far"
    )


def active(unit: str, bins: Sequence[Bin], size: str) -> Spec:
    """An area: active enrollments at the end of each day, week, month or year."""
    rows = [
        _row(one.start, "active", one.active, f"{_called(one.start, unit)}: {one.active:,} active", one.is_open)
        for one in bins
    ]
    return _over_time(
        "area", rows, unit, ("active",), size, title="active", opening=f"{_called(bins[-1].start, unit)} so far"
    )


def cohorts(months: Sequence[Row], size: str) -> Spec:
    """Lines: of the enrollments of a month, the share that completed and that responded within 30 days.

    Months with few enrollments have hollow, unconnected points, since their shares vary by chance.
    """
    rows = []
    for row in months:
        young, few = not row["had_30_days"], row["enrolled"] < claims.ENOUGH
        more = (", not over yet" if young else "") + (f", of {row['enrolled']} only" if few else "")
        for kind in IN_30_DAYS if row["month"] else ():
            rate = row[f"{kind}_in_30_days"] / row["enrolled"]
            says = f"enrolled in {_called(row['month'], 'month')}: {rate:.1%} {kind} within 30 days{more}"
            rows.append(_row(row["month"], kind, rate, says, young or few) | {"young": young})
    axis = {"format": ".0%"}
    opening = "30 days not over yet"
    return _over_time("lines", rows, "month", IN_30_DAYS, size, title="within 30 days", opening=opening, axis=axis)


def funnel(figures: Figures, size: str) -> Spec:
    """Nested bars per sequence: enrolled, of these completed, of these with a response."""
    rows = []
    for row in figures.drawn:
        mark = ("", " ▲", " ▼")[figures.direction(row)]
        label = figures.label(row)
        counts = {kind: row[kind] for kind in FUNNEL}
        says = {f"{kind}_says": f"{label}: {row[kind]:,} {kind}" for kind in FUNNEL}
        rows.append({"label": label, "rate": f"{row['response_rate']:.1%} respond{mark}", **counts, **says})
    colours = ["var(--faint)", "var(--completed)", "var(--responded)"]
    return _filled("bars", size, rows=rows, kinds=list(FUNNEL), colors=colours)


def _row(start: date, kind: str, value: float, says: str, is_open: bool) -> Row:
    return {"start": start.isoformat(), "kind": kind, "value": value, "says": says, "open": is_open}


def _over_time(
    name: str,
    rows: list[Row],
    unit: str,
    kinds: Sequence[str],
    size: str,
    *,
    title: str,
    opening: str,
    axis: Spec | None = None,
) -> Spec:
    opened = [row["start"] for row in rows if row.get("young", row["open"])][:1]
    over = [row["start"] for row in rows if not row["open"]][-1:]
    return _filled(
        name,
        size,
        rows=[row | {"tail": row["open"] or (bool(opened) and row["start"] in over)} for row in rows],
        opening=[{"start": start, "name": opening} for start in opened],
        kinds=list(kinds),
        colors=[f"var(--{kind})" for kind in kinds],
        title=title,
        format=FORMATS[unit],
        axis=axis or {"tickMinStep": 1},
        interpolate="step-after" if unit == "day" else "monotone",
        size=30 if len(rows) <= 60 * len(kinds) else 14,
    )


def _filled(name: str, width: str, **values: Any) -> Spec:
    """Return a specification of charts.yml with a value for each "$name"."""
    given = values | {"width": WIDTHS[width], "ticks": 4 if width == "narrow" else 8}

    def fill(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: fill(value) for key, value in part.items()}
        if isinstance(part, list):
            return [fill(value) for value in part]
        return given[part[1:]] if isinstance(part, str) and part[:1] == "$" and part[1:] in given else part

    spec: Spec = fill(_templates()[name])
    return spec


@functools.cache
def _templates() -> dict[str, Spec]:
    text = (resources.files(__package__) / "charts.yml").read_text(encoding="utf-8")
    found: dict[str, Spec] = yaml.safe_load(text)
    return found


def _called(start: date, unit: str) -> str:
    """Return the name of a day, week, month or year, for screen readers and tooltips."""
    return CALLED[unit].format(start)
