"""Which requests there are: the pending table against the ledger, in a scratch index, by anti-join.

Ids are compared trimmed and in lower case. A request's key is its `request_id`, or else the hash of what it says
(account, contact, sequence, action, enrollment), which is its `content_key` in any case. The queries are in
requests.sql.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from boast_source.push import model
from boast_source.push.ledger import COLUMNS as EVENT_COLUMNS
from boast_source.push.ledger import Event
from boast_source.warehouse.sql import filled, queries

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from boast_source.listing.scratch import Scratch
    from boast_source.push.model import Verdict

_SQL = queries(__package__, "requests.sql")
_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_NUMBERS = {"event", "attempt", "http_status"}
_TYPES = {c: "bigint" if c in _NUMBERS else "timestamptz" if c == "recorded_at" else "varchar" for c in EVENT_COLUMNS}
_VALUES = {
    "uuid": _UUID,
    "events": ", ".join(EVENT_COLUMNS),
    "columns": ", ".join(f"{column} {kind}" for column, kind in _TYPES.items()),
    "typed": ", ".join(f"cast({c} as {kind}) as {c}" for c, kind in _TYPES.items() if c != "content_key"),
    "final": model.in_sql(lambda rule: rule.final),
    "open": model.in_sql(lambda rule: rule.open),
}


@dataclass(frozen=True)
class Request:
    """One request: what its row says, what the ledger knows.

    `rows`: how many rows of the table have its key; `conflict`: they do not all say the same. `asked` is False for
    an open request of the ledger that no row asks for any more. `fault`: why it cannot be sent at all.
    `latest`: the newest event of its key.
    """

    request_key: str
    content_key: str
    account_id: str | None
    action: str | None
    contact_id: str | None
    sequence_id: str | None
    enrollment_id: str | None
    fault: str | None = None
    rows: int = 1
    conflict: bool = False
    asked: bool = True
    latest: Event | None = field(default=None, repr=False)

    @property
    def event(self) -> Event:
        """The newest event of a request that has one."""
        assert self.latest is not None
        return self.latest

    @property
    def changed(self) -> bool:
        """Whether the row says something else than the ledger."""
        return self.latest is not None and self.latest.content_key != self.content_key

    @property
    def open(self) -> bool:
        """Whether nobody knows yet what became of it."""
        return self.latest is not None and self.latest.attempt > 0 and model.rule(self.latest).open

    def followed(self, verdict: Verdict, run_id: str, *, claims: int = 0, before: str | None = None) -> Request:
        """Return the request with its next event, `latest`, which carries on what is known about it.

        `claims`: 1 for a claim. `before`: the enrollments known at the claim, a JSON array.
        """
        latest = self.latest
        same = latest if latest and not self.changed else None  # values that are no longer in the row are dropped
        event = Event(
            request_key=self.request_key,
            content_key=self.content_key,
            run_id=run_id,
            event=(latest.event if latest else 0) + 1,
            attempt=(latest.attempt if latest else 0) + claims,
            account_id=self.account_id,
            action=self.action,
            contact_id=self.contact_id,
            sequence_id=self.sequence_id,
            enrollment_id=verdict.enrollment_id or self.enrollment_id or (same.enrollment_id if same else None),
            known_enrollment_ids=before or (same.known_enrollment_ids if same else None),
            state=verdict.state.value,
            http_status=verdict.http_status,
            error_code=verdict.code,
            error_detail=verdict.detail,
        )
        return replace(self, latest=event)

    def is_news(self, verdict: Verdict) -> bool:
        """Return whether a verdict belongs into the ledger: a deferral is no event, and nothing is said twice."""
        if verdict.state == model.State.DEFERRED:
            return False
        said = (verdict.state, verdict.code, verdict.detail, self.content_key)
        e = self.latest
        return e is None or (e.state, e.error_code, e.error_detail, e.content_key) != said

    def as_claimed(self) -> Request:
        """Return the request as the ledger has it, whatever its row says now."""
        return claimed(self.event)


def claimed(event: Event) -> Request:
    """Return the request of an event, without its row."""
    return Request(
        event.request_key,
        event.content_key,
        event.account_id,
        event.action,
        event.contact_id,
        event.sequence_id,
        event.enrollment_id,
        asked=False,
        latest=event,
    )


def orphan(event: Event) -> Request:
    """Return the same to be decided on: the enrollment id belongs to what is asked for in a removal only."""
    request = claimed(event)
    return request if event.action == "remove" else replace(request, enrollment_id=None)


def read_ledger(scratch: Scratch, newest: Iterable[pa.Table]) -> None:
    """Keep the newest event of each request (batches of ledger.COLUMNS) in the scratch index."""
    for statement in _sql("macros").split(";\n"):
        scratch.execute(statement)
    scratch.execute(_sql("newest_table"))
    scratch.stream("newest", newest, _sql("newest_rows"))


def make_asked(scratch: Scratch, pending: Iterable[pa.Table], accounts: Iterable[str]) -> None:
    """Keep the rows that are new, open, or say something else than the ledger. Call `read_ledger` first.

    `pending`: batches of pending.COLUMNS, as text. `accounts`: all that are configured or seen; a row without an
    account means the only one.
    """
    scratch.execute("create or replace table accounts (id varchar)")
    scratch.append("accounts", pa.table({"id": pa.array([account.lower() for account in accounts], pa.string())}))
    scratch.execute(_sql("asked_table"))
    scratch.stream("asked", pending, _sql("asked_rows"))


def select(scratch: Scratch) -> list[Request]:
    """Return a request per key whose rows are not final yet, in the order to be sent; then the open requests of the
    ledger that no row asks for. Call `make_asked` first.
    """
    latest = {event.request_key: event for event in _events(scratch, "latest_of_asked")}
    asked = [replace(Request(*row), latest=latest.get(row[0])) for row in scratch.rows(_sql("select"))]
    return asked + [orphan(event) for event in _events(scratch, "open_unasked")]


def any_to_decide(scratch: Scratch) -> bool:
    """Return whether a row of the table may lead to a sending. Call `make_asked` first."""
    return bool(scratch.value(_sql("any_to_decide")))


def open_events(scratch: Scratch) -> list[Event]:
    """Return the newest events of requests of which nobody knows whether the server acted."""
    return _events(scratch, "open")


def given_up(scratch: Scratch, since: datetime) -> list[Event]:
    """Return the requests that may have made a second enrollment: sent again, or given up, since that moment."""
    return _events(scratch, "given_up", since=since)


def newest_of(scratch: Scratch, states: Sequence[str], keys: Sequence[str]) -> list[Event]:
    """Return the newest events with one of these states or keys."""
    return _events(scratch, "with_states_or_keys", states=[str(state) for state in states], keys=list(keys))


def attributed(scratch: Scratch, enrollment_ids: Sequence[str]) -> dict[str, str]:
    """Return of these enrollments those that a request has made, with its key."""
    return dict(scratch.rows(_sql("attributed"), {"ids": list(enrollment_ids)}))


def repeats(scratch: Scratch, sent: Iterable[pa.Table]) -> set[str]:
    """Return the keys of asked requests that say what another request said that was sent lately.

    `sent`: batches of (content_key, request_key).
    """
    scratch.execute(_sql("sent_table"))
    scratch.stream("sent", sent, _sql("sent_rows"))
    return {str(key) for (key,) in scratch.rows(_sql("repeats"))}


def _events(scratch: Scratch, name: str, **parameters: Any) -> list[Event]:
    return [Event(*row) for row in scratch.rows(_sql(name), parameters or None)]


def _sql(name: str) -> str:
    return filled(_SQL[name], **_VALUES)
