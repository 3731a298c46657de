"""Which requests there are: the pending table against the ledger, in a scratch index, by anti-join.

Ids are compared trimmed and in lower case. A request's key is its `request_id`, or else the hash of what it says
(account, contact, sequence, action, enrollment), which is its `content_key` in any case.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from boast_source.push.ledger import COLUMNS as EVENT_COLUMNS
from boast_source.push.ledger import FINAL, OPEN, Event
from boast_source.warehouse.arrow import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from boast_source.listing.index import Scratch

Action = Literal["enroll", "remove"]

_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_COLUMNS = ", ".join(quote(c) for c in EVENT_COLUMNS)
_NUMBERS = {"event", "attempt", "http_status"}


@dataclass
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
    def changed(self) -> bool:
        """Whether the row says something else than the ledger."""
        return self.latest is not None and self.latest.content_key != self.content_key


def open_events(scratch: Scratch) -> list[Event]:
    """The newest events of requests of which nobody knows whether the server acted."""
    return _events(scratch, f"attempt > 0 and state in ({_listed(OPEN)})")


def newest_of(scratch: Scratch, states: Sequence[str], keys: Sequence[str]) -> list[Event]:
    """The newest events with one of these states or keys."""
    found = scratch.rows(
        f"select {_COLUMNS} from newest where list_contains(?::varchar[], state)"
        " or list_contains(?::varchar[], request_key)",
        [list(states), list(keys)],
    )
    return [Event(*row) for row in found]


def select(scratch: Scratch) -> list[Request]:
    """Every row that is not final yet, one Request per key, in the order to be sent; then the open requests of the
    ledger that no row asks for. Call `make_asked` first.
    """
    asked = [_request(row) for row in scratch.rows(_SELECTED)]
    unasked = "request_key not in (select request_key from asked)"
    orphans = [orphan(event) for event in _events(scratch, f"attempt > 0 and state in ({_listed(OPEN)}) and {unasked}")]
    latest = {event.request_key: event for event in _events(scratch, "request_key in (select request_key from asked)")}
    for request in asked:
        request.latest = latest.get(request.request_key)
    return asked + orphans


def any_to_decide(scratch: Scratch) -> bool:
    """Whether a row of the table may lead to a sending: it is new, open or changed, and is not held already. Call
    `make_asked` first; accounts that it did not know make no row final.
    """
    return bool(
        scratch.value(
            "select exists (from asked a left join newest n using (request_key)"
            " where (a.fault is null or starts_with(a.fault, 'account_id'))"
            " and (n.state is distinct from 'held' or n.content_key is distinct from a.content_key))"
        )
    )


def sent_more_than_once(scratch: Scratch) -> list[Event]:
    """Requests whose first attempt was given up, by a repetition or for good: a late enrollment may yet show up."""
    return _events(
        scratch,
        "(attempt > 1 and state = 'enrolled' or attempt > 0 and state in ('withdrawn', 'dropped'))"
        " and action = 'enroll'",
    )


def attributed(scratch: Scratch, enrollment_ids: Sequence[str]) -> dict[str, str]:
    """Of these enrollments, those that a request has made, with its key."""
    return dict(
        scratch.rows(
            "select enrollment_id, min(request_key) from newest where enrollment_id is not null and attempt > 0"
            " and list_contains(?::varchar[], enrollment_id) and state = 'enrolled' group by 1",
            [list(enrollment_ids)],
        )
    )


def repeats(scratch: Scratch, sent: Iterable[pa.Table]) -> set[str]:
    """The keys of asked requests that say what another request said that was sent lately.

    `sent`: batches of (content_key, request_key).
    """
    scratch.execute("create or replace table sent (content_key varchar, request_key varchar)")
    scratch.stream("sent", sent, "select content_key, request_key from incoming semi join asked using (content_key)")
    return {
        str(key)
        for (key,) in scratch.rows(
            "select distinct a.request_key from asked a join sent s using (content_key)"
            " where a.request_key <> s.request_key and a.action = 'enroll'"
        )
    }


def read_ledger(scratch: Scratch, newest: Iterable[pa.Table]) -> None:
    """Keep the newest event of each request (batches of ledger.COLUMNS) in the scratch index."""
    columns = {
        c: "bigint" if c in _NUMBERS else "timestamptz" if c == "recorded_at" else "varchar" for c in EVENT_COLUMNS
    }
    definitions = ", ".join(f"{c} {kind}" for c, kind in columns.items())
    scratch.execute(f"create or replace table newest ({definitions}, over uhugeint)")
    typed = ", ".join(f"cast({c} as {kind}) as {c}" for c, kind in columns.items() if c != "content_key")
    # of what is over, the hash alone tells whether a row says the same: a join over a few bytes a row
    scratch.stream(
        "newest",
        newest,
        f"select {typed}, case when action is not null then content_key end as content_key,"
        f" case when state in ({_listed(FINAL)}) then {_fingerprint('request_key')} end as over from incoming",
    )


def _fingerprint(key: str) -> str:
    """A request and what it says, in 16 bytes."""
    return f"md5_number({key} || '|' || content_key)"


def make_asked(scratch: Scratch, pending: Iterable[pa.Table], accounts: Iterable[str]) -> None:
    """`asked`: the rows that are new, open, or say something else than the ledger. Call `read_ledger` first.

    `pending`: batches of pending.COLUMNS, as text. `accounts`: all that are configured or seen; a row without an
    account means the only one.
    """
    scratch.execute(
        "create or replace table asked (request_key varchar, content_key varchar, account_id varchar, action varchar,"
        " contact_id varchar, sequence_id varchar, enrollment_id varchar, fault varchar, requested_at varchar)"
    )
    seen = [account.lower().replace("'", "''") for account in accounts]
    only = f"'{seen[0]}'" if len(seen) == 1 else "null"
    scratch.stream("asked", pending, _asked_sql(only, seen))


_BLANK = "' ' || chr(9) || chr(10) || chr(13) || chr(160) || chr(8203) || chr(65279)"  # zero-width ones too


def _clean(column: str) -> str:
    """Trimmed and in lower case; an id has 36 characters, so what is as long need not be trimmed."""
    trimmed = f"nullif(lower(trim({column}, {_BLANK})), '')"
    return f"case when {column} is null then null when length({column}) = 36 then lower({column}) else {trimmed} end"


def _asked_sql(only_account: str, accounts: Sequence[str]) -> str:
    cleaned = ", ".join(
        f"{_clean(c)} as {c}" for c in ("account_id", "contact_id", "sequence_id", "action", "enrollment_id")
    )
    seen = ", ".join(f"'{account}'" for account in accounts) or "null"
    malformed = " ".join(
        f"when not regexp_matches(coalesce({c}, '00000000-0000-0000-0000-000000000000'), '{_UUID}')"
        f" then '{c} is not an id'"
        for c in ("contact_id", "sequence_id", "enrollment_id")
    )
    return f"""
    with cleaned as (
        select
            case when length(request_id) = 36 then request_id else trim(request_id, {_BLANK}) end as given,
            {cleaned}, requested_at
        from incoming
    ), whole as (
        select
            case when regexp_matches(lower(given), '{_UUID}') then lower(given) else nullif(given, '') end as given,
            coalesce(account_id, {only_account}) as account_id, coalesce(action, 'enroll') as action,
            contact_id, sequence_id, case when action = 'remove' then enrollment_id end as enrollment_id, requested_at
        from cleaned
    ), keyed as (
        select *, md5(concat_ws('|', coalesce(account_id, ''), coalesce(contact_id, ''), coalesce(sequence_id, ''),
            action, coalesce(enrollment_id, ''))) as content_key
        from whole
    )
    select
        coalesce(given, content_key) as request_key, content_key, account_id, action, contact_id, sequence_id,
        enrollment_id, requested_at,
        case
            when action not in ('enroll', 'remove') then 'action is neither enroll nor remove'
            when action = 'enroll' and contact_id is null then 'contact_id is missing'
            when action = 'enroll' and sequence_id is null then 'sequence_id is missing'
            when action = 'remove' and enrollment_id is null and (contact_id is null or sequence_id is null)
                then 'remove needs enrollment_id, or contact_id and sequence_id'
            {malformed}
            when account_id is null and (action = 'enroll' or enrollment_id is null)
                then 'account_id is missing, and there are several accounts'
            when account_id not in ({seen}) then 'account_id is none of the accounts that the token sees'
        end as fault
    from keyed k
    where {_fingerprint("coalesce(given, content_key)")} not in (select over from newest where over is not null)"""


# what is no id may be anything, a person's address too: it goes no further
_IDS = ", ".join(
    f"case when regexp_matches({c}, '{_UUID}') then {c} end as {c}"
    for c in ("contact_id", "sequence_id", "enrollment_id")
)
_SELECTED = f"""
    with grouped as (
        select *,
            count(*) over (partition by request_key) as rows,
            row_number() over (partition by request_key order by requested_at, content_key) as place
        from asked
    ), contents as (
        select request_key, count(distinct content_key) > 1 as conflict from asked group by 1
    )
    select request_key, content_key, account_id, action, {_IDS}, fault, rows, conflict
    from grouped join contents using (request_key)
    where place = 1
    order by
        try_cast(requested_at as timestamptz) nulls last, try_cast(requested_at as double) nulls last,
        requested_at nulls last, action = 'remove' desc, request_key
"""


def _request(row: tuple[object, ...]) -> Request:
    return Request(*row)  # type: ignore[arg-type]


def orphan(event: Event) -> Request:
    """A request of the ledger without its row."""
    return Request(
        event.request_key,
        event.content_key,
        event.account_id,
        event.action,
        event.contact_id,
        event.sequence_id,
        event.enrollment_id if event.action == "remove" else None,
        asked=False,
        latest=event,
    )


def _events(scratch: Scratch, condition: str) -> list[Event]:
    return [Event(*row) for row in scratch.rows(f"select {_COLUMNS} from newest where {condition}")]


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def in_order(requests: Iterable[Request]) -> Iterator[list[Request]]:
    """Lanes: the requests of one contact, in the order in which they were asked for, removals first among equals."""
    lanes: dict[str, list[Request]] = {}
    for request in requests:
        lanes.setdefault(request.contact_id or request.enrollment_id or request.request_key, []).append(request)
    yield from lanes.values()
