"""The page: one HTML file without a request to anywhere."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from boast_source.outputs.report import charts
from boast_source.outputs.report.figures import ENOUGH, binned

if TYPE_CHECKING:
    from boast_source.outputs.report.figures import Figures, Row

TABLE_ROWS = 200  # sequences in the table, the largest ones
MONTHS = 24  # in the table of cohorts, the latest ones
STALE_HOURS = 26.0
PROOF = {
    "exact": "two passes over the API in a row agreed, and the warehouse equals them",
    "covered": "nothing moved while the API was read, and the warehouse holds all of it",
    "moving": "the list kept changing, or counts more than it lists; the warehouse holds all that was seen",
    "failed": "the warehouse does not hold what was seen, or suspiciously much is gone",
}
MEANING = {
    "held": "the same person and sequence again too soon, or a request that says something else now",
    "refused": "the API said no",
    "unknown": "no clear answer yet; the next runs look for it",
    "claimed": "being sent, or interrupted; the next run looks for it",
}


def render(figures: Figures) -> str:
    """The HTML text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"count": count, "percent": percent, "duration": duration}
    environment.globals |= {"label": charts.label}
    zone = ZoneInfo(figures.time_zone)
    environment.filters["moment"] = lambda moment: f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" if moment else "never"
    unit, bins = binned(figures.days)
    drawn = charts.all_charts(figures, unit, bins)
    script = _asset("tips.js")
    return environment.from_string(_asset("page.html.j2")).render(
        f=figures,
        unit=unit,
        bins=bins,
        shown=figures.sequences[:TABLE_ROWS],
        months=MONTHS,
        enough=ENOUGH,
        charts={name: {size: Markup(svg) for size, svg in sizes.items()} for name, sizes in drawn.items()},  # noqa: S704 -- Vega escapes what it draws
        trend=trend(figures.cohorts),
        proof=PROOF,
        meaning=MEANING,
        verdict=verdict(figures),
        style=Markup(_asset("page.css")),  # noqa: S704 -- our own file
        script=Markup(script),  # noqa: S704 -- our own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def verdict(figures: Figures) -> tuple[str, str]:
    """Is the data to be trusted? A level (`good`, `warn`, `bad`) and a sentence."""
    health = figures.health
    hours = health["hours_since_success"]
    if hours is None:
        return "bad", "No run has succeeded yet."
    if health["verified"] == "failed":
        return "bad", "The last verification failed: the figures may be incomplete."
    if hours > STALE_HOURS:
        return "bad", f"Old: the last good run was {duration(hours)} ago."
    if health["last_exit_code"] not in {0, 3}:
        return "warn", "Fresh, but the last run failed."
    if health["waiting"]:
        return "warn", "Fresh and verified; some requests wait for a person."
    return "good", "Fresh and verified."


def trend(cohorts: list[Row]) -> dict[str, Any] | None:
    """Is it getting worse? The last three months that have had their 30 days, against the three before them."""
    grown = [row for row in cohorts if row["had_30_days"] and row["month"]]
    before, lately = grown[-6:-3], grown[-3:]
    if len(before) < 3 or not sum(row["enrolled"] for row in before):
        return None
    rates = [
        sum(row["responded_in_30_days"] for row in rows) / sum(row["enrolled"] for row in rows)
        for rows in (before, lately)
    ]
    return {"before": rates[0], "lately": rates[1], "from": lately[0]["month"], "to": lately[-1]["month"]}


def count(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def duration(hours: float | None) -> str:
    """Hours as a person says them."""
    if hours is None:
        return "-"
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"


def _asset(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")
