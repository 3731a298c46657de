"""Requests: the pending table joined with the ledger, in a scratch index. The queries are in requests.sql.

Ids are compared trimmed and in lower case. A request's `content_key` is a hash of its account, contact, sequence,
action and enrollment. Its `request_key` is the row's `request_id`, or the content key if there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from boast_source.push import model
from boast_source.push.decide import Origin
from boast_source.push.ledger import COLUMNS, TYPES, Event
from boast_source.warehouse import explained
from boast_source.warehouse.sql import filled, queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from boast_source.listing.scratch import Scratch
    from boast_source.push.model import Verdict

_SQL = queries(__package__, "requests.sql")
_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_VALUES = {
    "uuid": _UUID,
    "events": ", ".join(COLUMNS),
    "columns": ", ".join(f"{column} {kind}" for column, kind in TYPES.items()),
    "typed": ", ".join(f"cast({c} as {kind}) as {c}" for c, kind in TYPES.items() if c != "content_key"),
    "final": model.in_sql(lambda rule: rule.final),
    "open": model.in_sql(lambda rule: rule.open),
}

_ARROW = {"text": pa.string(), "bigint": pa.int64(), "timestamptz": pa.timestamp("us", "UTC")}
_SCHEMA = pa.schema([(column, _ARROW[kind]) for column, kind in TYPES.items()])


@dataclass(frozen=True, slots=True)
class Request:
    """One request: its row, and its newest event in the ledger (`latest`).

    `rows`: the number of rows with its key; `conflict`: they differ. `asked` False: it is open, but no row asks for it
    any more. `fault`: why its row cannot be sent. `requested_at`: its sort key, a UTC timestamp or a number.
    `by_person`: an address or name stands for an id; `several`: the ids that it may mean. `pending_table`: its table.
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
    requested_at: str | None = None
    several: str | None = None
    by_person: bool = False
    pending_table: str | None = None
    latest: Event | None = field(default=None, repr=False)

    @property
    def event(self) -> Event:
        """The newest event; asserts that there is one."""
        assert self.latest is not None
        return self.latest

    @property
    def changed(self) -> bool:
        """Whether the row differs from the ledger."""
        return self.latest is not None and self.latest.content_key != self.content_key

    @property
    def open(self) -> bool:
        """Whether it was sent, or may have been, and its outcome is still open."""
        return self.latest is not None and self.latest.attempt > 0 and model.rule(self.latest).open

    def followed(
        self, verdict: Verdict, run_id: str, *, claims: int = 0, before: str | None = None, note: str | None = None
    ) -> Request:
        """Return the request with its next event as `latest`, which repeats what is known about it.

        `claims`: 1 for a claim, -1 for a claim that was not sent after all. `before`: the enrollments known at the
        claim, a JSON array. `note`: the operator's comment.
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
            requested_at=self.requested_at or (same.requested_at if same else None),
            note=note,
            pending_table=self.pending_table or (latest.pending_table if latest else None),
        )
        return replace(self, latest=event)

    def is_news(self, verdict: Verdict) -> bool:
        """Return whether a verdict belongs in the ledger: a deferral does not, nor does a repetition."""
        e = self.latest
        if e is None or verdict.state == model.State.DEFERRED:
            return verdict.state != model.State.DEFERRED
        if self.fault and verdict.state == e.state == model.State.HELD:
            return False  # it stays held for its first reason
        said = (verdict.state, verdict.code, verdict.detail, self.content_key)
        return (e.state, e.error_code, e.error_detail, e.content_key) != said

    def as_claimed(self) -> Request:
        """Return the request as recorded in the ledger, ignoring its row."""
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
        requested_at=event.requested_at,
        latest=event,
    )


def orphan(event: Event) -> Request:
    """Return an event's request, ready to decide on: only a removal keeps the enrollment id."""
    request = claimed(event)
    return request if event.action == "remove" else replace(request, enrollment_id=None)


def read_ledger(scratch: Scratch, newest: Iterable[pa.Table]) -> None:
    """Store the newest event of each request (batches of ledger.COLUMNS) in the scratch index."""
    for statement in _sql("macros").split(";\n"):
        scratch.execute(statement)
    scratch.execute(_sql("newest_table"))
    with explained("push_ledger"):
        scratch.stream("newest", newest, _sql("newest_rows"))


@dataclass(frozen=True)
class Accounts:
    """The accounts of a run, as ids in lower case. `mine`: those that it lists; `others`: those of other runs, whose
    rows it ignores. With `only_mine` it ignores the rows of every account but its own.
    """

    mine: frozenset[str]
    others: frozenset[str]
    only_mine: bool


def know_people(scratch: Scratch, called: Sequence[Iterable[pa.Table]], gone: Sequence[str] = ()) -> None:
    """Store the contacts' addresses and the sequences' names, for rows that use them. Call it before `make_asked`.

    `called`: contacts (batches of id, account_id, email, mobile_phone), then sequences (of id, account_id, name).
    `gone`: ids of contacts and sequences that no longer exist.
    """
    scratch.execute(_sql("names_table"))
    for kind, batches in zip(("contact_names", "sequence_names"), called, strict=True):
        scratch.stream("names", batches, _sql(kind))
    scratch.execute(_sql("people"), {"gone": [key.lower() for key in gone]})


def make_asked(
    scratch: Scratch, pending: Callable[[], Iterable[pa.Table]], accounts: Accounts, *, by_person: bool = False
) -> None:
    """Store the pending rows that are new, open, or differ from the ledger; if a row differs, all rows with its key.

    Call `read_ledger` first, and `know_people` for rows `by_person`. `pending`: returns batches of pending.COLUMNS, as
    text. A row without an account belongs to the only account, if there is just one.
    """
    known = sorted(accounts.mine | accounts.others)
    ids = pa.array(known, pa.string())
    is_mine = pa.array([account in accounts.mine for account in known], pa.bool_())
    scratch.execute("create or replace table accounts (id varchar, is_mine boolean)")
    scratch.append("accounts", pa.table({"id": ids, "is_mine": is_mine}))
    scratch.execute(_sql("asked_table"))
    scratch.execute(_sql("spellings"))
    resolved = _sql("by_person" if by_person else "by_id")
    given = {"only_mine": str(accounts.only_mine).lower(), "resolved": resolved}
    not_done = _sql("not_done", done_by_person=_sql("done_by_person") if by_person else "false")
    scratch.stream("asked", pending(), _sql("asked_rows", which=not_done, **given))
    scratch.execute(_sql("changed"))
    if scratch.value("select count(*) from changed"):
        scratch.stream("asked", pending(), _sql("asked_rows", which=_sql("twins", not_done=not_done), **given))


def look_again(scratch: Scratch, events: Sequence[Event]) -> None:
    """Replace the newest events of these requests, so their rows are looked at again. Call it before `make_asked`."""
    if events:
        rows = {name: [getattr(event, name) for event in events] for name in COLUMNS}
        scratch.execute(_sql("forget"), {"keys": rows["request_key"]})
        scratch.append("newest", pa.table(rows, schema=_SCHEMA))
        scratch.execute("update newest set canonical_key = canonical(request_key) where canonical_key is null")


def select(scratch: Scratch) -> list[Request]:
    """Return one request per key that is not final, in sending order, then the ledger's open requests that no row
    asks for. Call `make_asked` first.
    """
    latest = {event.request_key: event for event in events(scratch, "latest_of_asked")}
    asked = [replace(Request(*row), latest=latest.get(row[0])) for row in scratch.rows(_sql("select"))]
    return asked + [orphan(event) for event in events(scratch, "open_unasked")]


def any_to_decide(scratch: Scratch) -> bool:
    """Return whether any row may be sent. Call `make_asked` first."""
    return bool(scratch.value(_sql("any_to_decide")))


def events(scratch: Scratch, name: str, **parameters: Any) -> list[Event]:
    """Return the newest events of the requests that a query of requests.sql chooses, such as `open`."""
    return [Event(*row) for row in scratch.rows(_sql(name), parameters or None)]


def with_keys(scratch: Scratch, keys: Iterable[str]) -> dict[str, Event]:
    """Return the newest event of each known key, by the key as given; spelling variants match."""
    return {given: Event(*row) for given, *row in scratch.rows(_sql("with_keys"), {"keys": list(keys)})}


def named(scratch: Scratch, key: str) -> str | None:
    """Return the key of the asked request with this key, or a spelling variant of it; None: there is none."""
    return next((str(found) for (found,) in scratch.rows(_sql("named"), {"key": key})), None)


def origins(scratch: Scratch, enrollment_ids: Sequence[str]) -> dict[str, Origin]:
    """Return the request that made or removed each enrollment, by enrollment id; others are left out."""
    return {key: Origin(*row) for key, *row in scratch.rows(_sql("origins"), {"ids": list(enrollment_ids)})}


def removals(scratch: Scratch, asked: Iterable[pa.Table]) -> Iterator[tuple[tuple[str, ...], Origin, datetime]]:
    """Yield (account, contact, sequence), request, first event's time of each removal. Call `snapshot.known` first."""
    scratch.execute(_sql("removals_table"))
    scratch.stream("removals", asked, _sql("removal_rows"))
    for key, state, requested_at, first_at, *pair in scratch.rows("select * from removals order by request_key"):
        yield tuple(pair), Origin(key, state, requested_at), first_at


def repeats(scratch: Scratch, sent: Iterable[pa.Table]) -> set[str]:
    """Return the keys of asked requests with the content of another one that was sent recently.

    `sent`: batches of (content_key, request_key).
    """
    scratch.execute(_sql("sent_table"))
    scratch.stream("sent", sent, _sql("sent_rows"))
    return {str(key) for (key,) in scratch.rows(_sql("repeats"))}


def _sql(name: str, **values: str) -> str:
    return filled(_SQL[name], **_VALUES, **values)
