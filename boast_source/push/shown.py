"""Requests as `boast requests` shows them to an operator, with what happens next."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from boast_source.push import model
from boast_source.push.model import Decision, State
from boast_source.warehouse import columns_in, explained
from boast_source.warehouse.dialect import moment_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from boast_source.push.ledger import Event, Ledger

ONLY_YOU = "only you can settle it"
RESTLESS = 2  # after this many moving listings in a row, do not wait for a stable one
# what must be true before a released request is sent, by the error code that held it
_BY_THEN = {
    "ambiguous": "all rows with its request_id say the same",
    "candidates": "its row fits one only",
    "several": "only one is active or its row names the enrollment_id",
    "active": "the contact is no longer active in the sequence",
}


@dataclass(frozen=True)
class Shown:
    """A request's newest event, its standing, the name of its sequence if known, and what happens next."""

    event: Event
    standing: State
    sequence_name: str | None
    next: str

    def as_json(self) -> dict[str, Any]:
        """Return it as `boast requests list --json` prints it."""
        more = {"standing": self.standing.value, "sequence_name": self.sequence_name, "next": self.next}
        return asdict(self.event) | {"since": self.event.recorded_at} | more


@dataclass(frozen=True)
class Timing:
    """How long after its newest event an open request can be proved absent, in seconds: `claimed` for claims, `other`
    for the rest; None: never. `restless`: since when the list has kept moving; None: it is stable.
    """

    claimed: float | None
    other: float | None
    restless: datetime | None = None


def shown(events: Sequence[Event], ledger: Ledger, timing: Timing) -> list[Shown]:
    """Return the requests with these newest events, as an operator sees them."""
    names = names_of(ledger, "sequences")
    return [
        Shown(event, model.standing(event), names.get(event.sequence_id or ""), _next(event, timing))
        for event in events
    ]


def outcome(event: Event, decision: str) -> str:
    """Return what the next push does about a request after this decision. `event`: its newest before the decision."""
    if decision == Decision.DROP:
        return "accepted as it is" if model.standing(event) == State.DUPLICATE else "it is never sent (again)"
    by_then = _BY_THEN.get(event.error_code or "")
    if by_then:
        return f"the next push sends it if {by_then} by then; otherwise it stays as it is, and can be released again"
    if event.state in {State.UNKNOWN, State.CLAIMED}:
        return "the next push checks again, and sends it again if it is not there and a row still asks for it"
    if event.action == "remove":
        return "the next push sends it if a row still asks for it and something is left to remove"
    return (
        "the next push sends it if a row still asks for it, unless the contact is active in the sequence or a later"
        " request asks for its removal"
    )


def names_of(ledger: Ledger, table: str) -> Mapping[str, str]:
    """Return the names of the loaded sequences or accounts, by id in lower case."""
    client = ledger.client
    name = client.make_qualified_table_name(table)
    with explained():
        if not {"id", "name"} <= {column.lower() for column in columns_in(client, name)}:
            return {}
        columns = ", ".join(client.escape_column_name(column) for column in ("id", "name"))
        rows = client.execute_sql(f"select {columns} from {name}") or ()
    return {str(key).lower(): str(named) for key, named in rows if named}


def restless_since(ledger: Ledger) -> datetime | None:
    """Return since when the last RESTLESS or more listings of pushes were all `moving`; None: they were not."""
    client = ledger.client
    name = client.make_qualified_table_name("runs")
    verified: list[tuple[str, datetime | None]] = []
    with contextlib.suppress(Exception):  # without readable run records, nothing is known about them
        sql = (
            f"select verified, started_at from {name} where command in ('push', 'nightly') and verified is not null"
            " order by started_at desc"
        )
        verified = [(row[0], moment_of(row[1])) for row in client.execute_sql(sql) or ()][:50]
    moved = 0
    while moved < len(verified) and verified[moved][0] == "moving":
        moved += 1
    return verified[moved - 1][1] if moved >= RESTLESS else None


def _next(event: Event, timing: Timing) -> str:
    standing = model.standing(event)
    if standing not in {State.UNKNOWN, State.CLAIMED}:
        return model.RULES[standing].next
    wait = timing.claimed if standing == State.CLAIMED else timing.other
    if wait is None or event.recorded_at is None:
        return f"it is read back; that it did not happen is never taken as proved (settle_after is never): {ONLY_YOU}"
    due = event.recorded_at + timedelta(seconds=wait)
    if timing.restless and timing.restless >= due:
        return f"its list never holds still: {ONLY_YOU}"
    return f"read back again after {due:%Y-%m-%d %H:%M} UTC"
