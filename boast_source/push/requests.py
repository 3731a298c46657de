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
    """One request: what its row says, what the ledger knows.

    `rows`: how many have its key; `conflict`: they do not all say the same. `asked` False: open, and no row asks for
    it any more. `fault`: why it cannot be sent at all. `requested_at`: its order, a moment in UTC or whatever it is.
    `several`: the ids that its address or name may mean; `by_person`: it has one. `pending_table`: where its row is.
    `latest`: its key's newest event.
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

    def followed(
        self, verdict: Verdict, run_id: str, *, claims: int = 0, before: str | None = None, note: str | None = None
    ) -> Request:
        """Return the request with its next event, `latest`, which carries on what is known about it.

        `claims`: 1 for a claim, -1 for one that was not sent after all. `before`: the enrollments known at the claim, a
        JSON array. `note`: an operator's words.
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
        """Return whether a verdict belongs into the ledger: a deferral is no event, and nothing is said twice."""
        e = self.latest
        if e is None or verdict.state == model.State.DEFERRED:
            return verdict.state != model.State.DEFERRED
        if self.fault and verdict.state == e.state == model.State.HELD:
            return False  # what was held stays as it was
        said = (verdict.state, verdict.code, verdict.detail, self.content_key)
        return (e.state, e.error_code, e.error_detail, e.content_key) != said

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
        requested_at=event.requested_at,
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
    with explained("push_ledger"):
        scratch.stream("newest", newest, _sql("newest_rows"))


@dataclass(frozen=True)
class Accounts:
    """Whose rows a run is about, in lower case. `mine`: those that it lists; `others`: those of other runs, whose rows
    it leaves alone; with `only_mine` so it does with every account that is not its own.
    """

    mine: frozenset[str]
    others: frozenset[str]
    only_mine: bool


def know_people(scratch: Scratch, called: Sequence[Iterable[pa.Table]], gone: Sequence[str] = ()) -> None:
    """Keep what contacts and sequences are called, for rows that name them so. Call it before `make_asked`.

    `called`: contacts (batches of id, account_id, email, mobile_phone), then sequences (of id, account_id, name).
    `gone`: ids of those that there are no more.
    """
    scratch.execute(_sql("names_table"))
    for kind, batches in zip(("contact_names", "sequence_names"), called, strict=True):
        scratch.stream("names", batches, _sql(kind))
    scratch.execute(_sql("people"), {"gone": [key.lower() for key in gone]})


def make_asked(
    scratch: Scratch, pending: Callable[[], Iterable[pa.Table]], accounts: Accounts, *, by_person: bool = False
) -> None:
    """Keep the rows that are new, open, or say something else than the ledger, the last of these with all of their key.

    Call `read_ledger` first, and `know_people` for rows `by_person`. `pending`: returns batches of pending.COLUMNS, as
    text. A row without an account means the only one there is.
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
    scratch.stream("asked", pending(), _sql("asked_rows", which=_sql("not_done"), **given))
    scratch.execute(_sql("changed"))
    if scratch.value("select count(*) from changed"):
        scratch.stream("asked", pending(), _sql("asked_rows", which=_sql("twins", not_done=_sql("not_done")), **given))


def look_again(scratch: Scratch, events: Sequence[Event]) -> None:
    """Keep these as the newest events, and none of their rows as done. Call it before `make_asked`."""
    if events:
        rows = {name: [getattr(event, name) for event in events] for name in COLUMNS}
        scratch.execute(_sql("forget"), {"keys": rows["request_key"]})
        scratch.append("newest", pa.table(rows, schema=_SCHEMA))
        scratch.execute("update newest set canonical_key = canonical(request_key) where canonical_key is null")


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


def unsent_unasked(scratch: Scratch) -> list[Event]:
    """Return the newest events of requests that were not sent, and that no row asks for any more."""
    return _events(scratch, "unsent_unasked")


def duplicates(scratch: Scratch) -> list[Event]:
    """Return the newest events of requests whose contact was found enrolled more than once."""
    return _events(scratch, "duplicates")


def given_up(scratch: Scratch, since: datetime) -> list[Event]:
    """Return the requests that may have made a second enrollment: sent again, or given up, since that moment."""
    return _events(scratch, "given_up", since=since)


def with_states(scratch: Scratch, states: Iterable[str]) -> list[Event]:
    """Return the newest events of the requests that stand in one of these states."""
    return _events(scratch, "with_states", states=[str(state) for state in states])


def with_keys(scratch: Scratch, keys: Iterable[str]) -> dict[str, Event]:
    """Return the newest event of each of these keys that there is, whatever its spelling."""
    return {given: Event(*row) for given, *row in scratch.rows(_sql("with_keys"), {"keys": list(keys)})}


def named(scratch: Scratch, key: str) -> str | None:
    """Return the key of the asked request that this names, whatever its spelling; None: there is no such request."""
    return next((str(found) for (found,) in scratch.rows(_sql("named"), {"key": key})), None)


def origins(scratch: Scratch, enrollment_ids: Sequence[str]) -> dict[str, Origin]:
    """Return of these enrollments those that a request made or removed, with that request."""
    return {key: Origin(*row) for key, *row in scratch.rows(_sql("origins"), {"ids": list(enrollment_ids)})}


def removals(scratch: Scratch, asked: Iterable[pa.Table]) -> Iterator[tuple[tuple[str, ...], Origin, datetime]]:
    """Yield the pair of each removal (of ledger.REMOVALS), its request, its first moment, after `snapshot.known`."""
    scratch.execute(_sql("removals_table"))
    scratch.stream("removals", asked, _sql("removal_rows"))
    for key, state, requested_at, first_at, *pair in scratch.rows("select * from removals order by request_key"):
        yield tuple(pair), Origin(key, state, requested_at), first_at


def repeats(scratch: Scratch, sent: Iterable[pa.Table]) -> set[str]:
    """Return the keys of asked requests that say what another request said that was sent lately.

    `sent`: batches of (content_key, request_key).
    """
    scratch.execute(_sql("sent_table"))
    scratch.stream("sent", sent, _sql("sent_rows"))
    return {str(key) for (key,) in scratch.rows(_sql("repeats"))}


def _events(scratch: Scratch, name: str, **parameters: Any) -> list[Event]:
    return [Event(*row) for row in scratch.rows(_sql(name), parameters or None)]


def _sql(name: str, **values: str) -> str:
    return filled(_SQL[name], **_VALUES, **values)
