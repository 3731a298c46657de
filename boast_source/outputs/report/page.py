"""The page: a single HTML file that loads nothing from the network."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from jinja2 import Environment, StrictUndefined

from boast_source.install import INSTALL_ALL
from boast_source.listing import report
from boast_source.outputs.report import claims
from boast_source.outputs.report.figures import DRAWN, MONTHS, TABLE_ROWS, Figures, clean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date


STALE_HOURS = 26.0
NAMED = 3  # sequences per direction that "In short" names
MEANING = {
    "held": "may be a repetition or a mistake: the same person and sequence again too soon, or a row that changed",
    "refused": "the API said no",
    "unknown": "no clear answer yet; the next runs look for it",
    "claimed": "being sent, or interrupted; the next run looks for it",
    "invalid": "its row cannot be sent as it is",
    "enrolled": "the contact is active more than once in this sequence",
}
DID = ("enrolled", "removed", "held", "invalid", "refused", "unknown")  # columns of the push table


def render(figures: Figures, charts: Mapping[str, Mapping[str, str]], *, can_draw: bool) -> str:
    """Return the HTML text. `charts`: SVG by name and width; `can_draw`: the extra that draws them is installed."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    zone = ZoneInfo(figures.time_zone)
    environment.filters |= {"count": count, "percent": percent, "duration": duration, "day": day, "clean": clean}
    environment.filters["moment"] = lambda moment: f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" if moment else "never"
    script = _asset("page.js")
    return environment.from_string(_asset("page.html.j2")).render(
        f=figures,
        title=title(figures),
        shown=figures.listed,
        not_drawn=[figures.label(row) for row in figures.sequences[DRAWN:TABLE_ROWS]],
        calls=calls(figures),
        level=claims.LEVEL,
        months=MONTHS,
        enough=claims.ENOUGH,
        charts=charts,
        can_draw=can_draw,
        install=INSTALL_ALL,
        listed=listed_and_stored(figures),
        proof=report.MEANING,
        meaning=MEANING,
        did=DID,
        verdict=verdict(figures),
        style=_asset("page.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def title(figures: Figures) -> str:
    """Return the title: the names of the accounts and the period of the data."""
    names = figures.account_names
    told = [*names[:3], f"{len(names) - 3} more"] if len(names) > 3 else names
    of = f" of {' and '.join(filter(None, (', '.join(told[:-1]), told[-1])))}" if told else ""
    period = f" · {day(figures.days[0]['day'])} to {day(figures.days[-1]['day'])}" if figures.days else ""
    return f"Sequence enrollments{of}{period}"


def verdict(figures: Figures) -> tuple[str, str]:
    """Return whether the data can be trusted: a level (`good`, `warn`, `bad`) and a sentence."""
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
        return "warn", "Fresh and verified; some push requests need attention."
    return "good", "Fresh and verified."


def calls(figures: Figures) -> list[tuple[str, str, str]]:
    """Return the sentences of "In short", each as an id, a level (`good`, `bad` or empty) and a text.

    They say `more` or `fewer` only of significant differences (claims.py), with the counts of both sides.
    """
    found = []
    rows = {(str(row["account_id"]), str(row["sequence_id"])): row for row in figures.sequences}
    compared = sorted(figures.claims.items(), key=lambda one: -one[1].share.rate)
    for sign, word, level in ((1, "more", "good"), (-1, "fewer", "bad")):
        apart = [one for one in compared[::sign] if one[1].direction == sign]
        for key, claim in apart[:NAMED]:
            sentence = f"{figures.label(rows[key])} gets {word} responses within 30 days than the others together"
            found.append((word, level, f"{sentence}: {_share(claim.share)}; the others {_share(claim.other)}."))
        if len(apart) > NAMED:
            rest = f"So do {len(apart) - NAMED} more sequences, marked {' ▲▼'[sign]} in the table."
            found.append((word, level, rest))
    if compared and not found:
        found.append(("alike", "", "No clear difference between sequences: chance alone may explain their rates."))
    if figures.trend:
        found.append(("trend", *_trend(figures.trend)))
    return found


def _trend(trend: claims.Trend) -> tuple[str, str]:
    level = {1: "good", -1: "bad", 0: ""}[trend.direction]
    word = {1: "more than before", -1: "fewer than before", 0: "no clear change"}[trend.direction]
    months, earlier = (f"from {first:%b %Y} to {last:%b %Y}" for first, last in (trend.months, trend.earlier))
    return level, (
        f"Enrolled {months}: {_share(trend.share)} responded within 30 days; {earlier} {_share(trend.other)}: {word}."
    )


def listed_and_stored(figures: Figures) -> str:
    """Explain a difference between the numbers of stored and listed enrollments; empty if there is none."""
    listed, stored = figures.health["listed"], figures.health["stored"]
    if listed is None or listed == stored:
        return ""
    if stored - listed == figures.after_listing:
        return f"{count(stored - listed)} more than listed: the push enrolled them after the list was read"
    if stored > listed:
        return (
            f"{count(stored - listed)} more than listed: enrolled after the list was read, not shown by it"
            " but found one by one, or of accounts that the last run did not load"
        )
    return f"{count(listed - stored)} fewer than listed: gone since the list was read"


def count(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def day(value: date) -> str:
    return f"{value.day} {value:%b} {value.year}"


def duration(hours: float | None) -> str:
    """Return hours in words: minutes, hours or days."""
    if hours is None:
        return "-"
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"


def _share(share: claims.Share) -> str:
    return f"{share.rate:.1%} of {share.whole:,}"


def _asset(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")
