"""The charts, drawn by Vega-Lite into SVG: no script runs in the page, it prints, and CSS colours it light or dark.

Colours are CSS variables of page.css. Each kind also has its own dash or shape, so that no chart rests on colour alone.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from boast_source.outputs.report.figures import Figures, Row

KINDS = ("enrolled", "completed", "removed")
FUNNEL = ("enrolled", "completed", "responded")
WIDE, NARROW = 860, 340  # pixels: a desk, and a phone
SHOWN = 15  # sequences in the funnel, the largest ones


def can_draw() -> bool:
    """Whether the extra `report` is installed."""
    return importlib.util.find_spec("vl_convert") is not None


def draw(spec: dict[str, Any]) -> str:
    """One chart as SVG text."""
    import vl_convert  # noqa: PLC0415 -- an extra, and slow to import

    return str(vl_convert.vegalite_to_svg(spec))


def all_charts(figures: Figures, unit: str, bins: Sequence[Row]) -> dict[str, dict[str, str]]:
    """Name of the chart to its drawings, `wide` and `narrow`; nothing for a chart without data or without the extra."""
    if not can_draw():
        return {}
    specs = {}
    if len(bins) > 1:
        specs["flows"] = flows(unit, bins)
        specs["active"] = active(unit, bins)
    if figures.sequences:
        specs["funnel"] = funnel(figures)
    if len(figures.cohorts) > 1:
        specs["cohorts"] = cohorts(figures.cohorts)
    return {
        name: {"wide": draw(_sized(spec, WIDE)), "narrow": draw(_sized(spec, NARROW))} for name, spec in specs.items()
    }


def flows(unit: str, bins: Sequence[Row]) -> dict[str, Any]:
    """Lines: enrolled, completed and removed in each day, week, month or year."""
    values = [
        {
            "start": row["start"].isoformat(),
            "kind": kind,
            "count": row[kind],
            "says": f"{_when(row['start'], unit)}: {row[kind]:,} {kind}",
        }
        for row in bins
        for kind in KINDS
    ]
    by_kind = {"field": "kind", "type": "nominal", "sort": list(KINDS), "title": None}
    return {
        "data": {"values": values},
        "mark": {"type": "line", "interpolate": "monotone", "strokeWidth": 2, "point": {"size": 18}},
        "encoding": {
            "x": _time_axis(unit),
            "y": {"field": "count", "type": "quantitative", "title": f"per {unit}", "axis": {"tickMinStep": 1}},
            "color": by_kind | {"scale": {"domain": list(KINDS), "range": [f"var(--{kind})" for kind in KINDS]}},
            "strokeDash": by_kind | {"scale": {"domain": list(KINDS), "range": [[1, 0], [6, 3], [2, 2]]}},
            "description": {"field": "says"},
        },
    }


def active(unit: str, bins: Sequence[Row]) -> dict[str, Any]:
    """An area: active enrollments at the end of each day, week, month or year."""
    return {
        "data": {
            "values": [
                {
                    "start": row["start"].isoformat(),
                    "active": row["active"],
                    "says": f"{_when(row['start'], unit)}: {row['active']:,} active",
                }
                for row in bins
            ]
        },
        "encoding": {
            "x": _time_axis(unit),
            "y": {
                "field": "active",
                "type": "quantitative",
                "title": "active",
                "axis": {"tickMinStep": 1},
                "stack": None,
            },
        },
        "layer": [
            {
                "mark": {
                    "type": "area",
                    "interpolate": "step-after" if unit == "day" else "monotone",
                    "color": "var(--active)",
                    "fillOpacity": 0.35,
                    "line": {"color": "var(--active)", "strokeWidth": 2},
                },
            },
            {
                "mark": {"type": "circle", "color": "var(--active)", "size": 18, "opacity": 1},
                "encoding": {"description": {"field": "says"}},
            },
        ],
    }


def funnel(figures: Figures) -> dict[str, Any]:
    """Bars in bars per sequence: enrolled, of them completed, of them with a response."""
    shown = figures.sequences[:SHOWN]
    best = [row["sequence_id"] for row in figures.ranked[:1]]
    worst = [row["sequence_id"] for row in figures.ranked[1:][-1:]]
    values = []
    for row in shown:
        mark = " ▲ best" if row["sequence_id"] in best else " ▼ lowest" if row["sequence_id"] in worst else ""
        values.append(
            {
                "label": label(row),
                "rate": f"{100 * row['response_rate']:.1f} % respond{mark}",
                **{kind: row[kind] for kind in FUNNEL},
                **{f"{kind}_says": f"{label(row)}: {row[kind]:,} {kind}" for kind in FUNNEL},
            }
        )
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "bar", "height": height, "cornerRadiusEnd": 2},
            "encoding": {
                "x": {"field": kind, "type": "quantitative", "title": "enrollments"},
                "color": {
                    "datum": kind,
                    "type": "nominal",
                    "title": None,
                    "scale": {"domain": FUNNEL, "range": ["var(--faint)", "var(--completed)", "var(--responded)"]},
                },
                "description": {"field": f"{kind}_says"},
            },
        }
        for kind, height in zip(FUNNEL, (18, 12, 5), strict=True)
    ]
    layers.append(
        {
            "mark": {"type": "text", "align": "left", "dx": 6, "fontSize": 11},
            "encoding": {"x": {"field": "enrolled", "type": "quantitative"}, "text": {"field": "rate"}},
        }
    )
    return {
        "height": {"step": 46},
        "data": {"values": values},
        "layer": layers,
        "encoding": {
            "y": {
                "field": "label",
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {  # the label stands above its bar, so that a phone has room for both
                    "labelAlign": "left",
                    "labelBaseline": "bottom",
                    "labelOffset": -15,
                    "labelPadding": 0,
                    "labelColor": "var(--ink)",
                    "labelLimit": 300,
                    "ticks": False,
                    "domain": False,
                    "grid": False,
                },
            }
        },
    }


def cohorts(rows: Sequence[Row]) -> dict[str, Any]:
    """Lines: of those enrolled in a month, the share that completed and that responded within 30 days."""
    values = [
        {
            "month": row["month"].isoformat(),
            "kind": kind,
            "rate": row[f"{kind}_in_30_days"] / row["enrolled"],
            "young": not row["had_30_days"],
            "says": f"enrolled in {_when(row['month'], 'month')}: {row[f'{kind}_in_30_days'] / row['enrolled']:.1%}"
            f" {kind} within 30 days" + ("" if row["had_30_days"] else ", not over yet"),
        }
        for row in rows
        if row["month"]
        for kind in ("completed", "responded")
    ]
    domain = ["completed", "responded"]
    encoding = {
        "x": _time_axis("month"),
        "y": {"field": "rate", "type": "quantitative", "title": "within 30 days", "axis": {"format": ".0%"}},
        "color": {
            "field": "kind",
            "title": None,
            "scale": {"domain": domain, "range": [f"var(--{kind})" for kind in domain]},
        },
    }
    encoding["x"]["field"] = "month"
    return {
        "data": {"values": values},
        "encoding": encoding,
        "layer": [
            {
                "mark": {"type": "line", "strokeWidth": 2},
                "encoding": {
                    "strokeDash": {
                        "field": "kind",
                        "title": None,
                        "scale": {"domain": domain, "range": [[1, 0], [6, 3]]},
                    },
                },
            },
            {
                "mark": {"type": "point", "size": 45},
                "encoding": {
                    "fillOpacity": {
                        "condition": {"test": "datum.young", "value": 0},
                        "value": 1,
                    },
                    "fill": {
                        "field": "kind",
                        "legend": None,
                        "scale": {"domain": domain, "range": [f"var(--{kind})" for kind in domain]},
                    },
                    "description": {"field": "says"},
                },
            },
        ],
    }


def label(row: Row) -> str:
    """How a sequence is called: its name, else the start of its id."""
    return str(row["sequence_name"] or f"{str(row['sequence_id'])[:8]}…")


def _sized(spec: dict[str, Any], width: int) -> dict[str, Any]:
    narrow = width == NARROW
    ink, faint = {"labelColor": "var(--soft)", "titleColor": "var(--soft)"}, "var(--line)"
    drawn = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": width,
        "height": 240,
        "background": "transparent",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": {
            "font": "Arial, Helvetica, sans-serif",
            "view": {"stroke": None},
            "axis": ink | {"gridColor": faint, "domainColor": faint, "tickColor": faint, "labelFontSize": 11},
            "axisX": {"grid": False, "labelOverlap": True, "labelSeparation": 14, "tickCount": 4 if narrow else 8},
            "legend": {"labelColor": "var(--ink)", "orient": "top", "symbolType": "stroke", "labelFontSize": 12},
            "text": {"fill": "var(--ink)"},
        },
        **spec,
    }
    if isinstance(spec.get("height"), dict):  # bars: the texts beside them need room
        drawn["config"]["legend"] |= {"symbolType": "square"}
        drawn["padding"] = {"right": 130, "left": 5, "top": 5, "bottom": 5}
    return drawn


def _time_axis(unit: str) -> dict[str, Any]:
    form = {"day": "%-d %b %Y", "week": "%-d %b %Y", "month": "%b %Y", "year": "%Y"}[unit]
    return {"field": "start", "type": "temporal", "title": None, "axis": {"format": form}, "scale": {"type": "utc"}}


def _when(start: date, unit: str) -> str:
    """How a point in time is called, for screen readers and for the tip under the pointer."""
    return {
        "day": f"{start}",
        "week": f"week of {start}",
        "month": f"{start:%b} {start.year}",
        "year": f"{start.year}",
    }[unit]
