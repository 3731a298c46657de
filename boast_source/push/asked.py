"""The requests that a run decides on: pending rows compared with the ledger and with the listed enrollments."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from boast_source.errors import ConfigurationError, PendingError
from boast_source.push import requests
from boast_source.push.decide import Facts, Origin, is_after, is_moment, was_limited
from boast_source.push.lanes import Lane, is_listed, lanes_of
from boast_source.push.model import State
from boast_source.push.requests import Accounts, Request
from boast_source.shapes import CONTACTS, SEQUENCES
from boast_source.warehouse import columns_in, explained
from boast_source.warehouse.dialect import text_type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    import pyarrow as pa

    from boast_source.push.context import Context
    from boast_source.push.controls import Controls
    from boast_source.push.snapshot import Known


# the columns by which rows may name contacts and sequences
CALLED = {
    CONTACTS.name: ("id", "account_id", "email", "mobile_phone"),
    SEQUENCES.name: ("id", "account_id", "name"),
}


def accounts_of(context: Context, listed: Iterable[str] | None = None) -> Accounts:
    """Return the accounts whose rows the run handles. `listed`: the accounts of its listing; None: not listed yet."""
    given = context.options.accounts
    known = frozenset(context.ledger.accounts()) if context.ledger.exists() else frozenset()
    mine = frozenset(one.lower() for one in (listed if listed is not None else given or known))
    return Accounts(mine, known - mine, given is not None)


def asked(
    context: Context, accounts: Accounts, called: Sequence[Iterable[pa.Table]] = (), gone: Sequence[str] = ()
) -> list[Request]:
    """Read the pending table. Return its requests that are not final, and the open ones that no row asks for.

    `called`: the listed contacts and sequences (columns CALLED); without it, the stored ones are used. `gone`: ids to
    ignore, since they are no longer listed. Raises PendingError.
    """
    _make_asked(context, accounts, called, gone)
    found = requests.select(context.scratch)
    return [replace(request, pending_table=context.pending.name) if request.asked else request for request in found]


def _make_asked(
    context: Context, accounts: Accounts, called: Sequence[Iterable[pa.Table]] = (), gone: Sequence[str] = ()
) -> None:
    by_person = context.pending.by_person
    if by_person:
        called = called or [_stored(context, table, columns) for table, columns in CALLED.items()]
        requests.know_people(context.scratch, called, gone)
    requests.make_asked(context.scratch, context.pending.batches, accounts, by_person=by_person)


def _stored(context: Context, table: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the stored rows as text, in batches. A missing column is null; without an `id` column there are no rows."""
    client = context.ledger.client
    name = client.make_qualified_table_name(table)
    with explained():
        there = {column.lower() for column in columns_in(client, name)}
        if "id" not in there:
            return
        text = text_type(client.capabilities.sqlglot_dialect)
        values = {c: client.escape_column_name(c) if c in there else "null" for c in columns}
        selected = ", ".join(f"cast({value} as {text}) as {c}" for c, value in values.items())
        yield from context.ledger.warehouse.batches(f"select {selected} from {name}", columns)


def may_send(context: Context) -> bool:
    """Return whether any row may be sent, as far as is known before the listing."""
    try:
        _make_asked(context, accounts_of(context))
    except PendingError:
        return True  # the load may repair the view; it is read again afterwards
    return requests.any_to_decide(context.scratch)


def facts_of(context: Context, asked: Sequence[Request], known: Known, now: datetime, controls: Controls) -> Facts:
    """Return the facts known before anything is sent. `now`: by the warehouse's clock."""
    ledger, most = context.ledger, context.settings.max_attempts
    there = ledger.exists()
    # the API's clock may differ from the warehouse's; it is at least as late as the newest enrollment
    newest = max((e.created_at for e in known.every if e.created_at), default=None)
    clocks = [now, *(moment for moment in (newest, ledger.newest_enrollment()) if moment)]
    api_now = min(now, max(clocks[1:], default=now))
    often = any(r.latest and r.latest.attempt >= most for r in asked)
    return Facts(
        known,
        requests.repeats(context.scratch, ledger.sent_since(now - context.reenroll_after) if there else ()),
        requests.origins(context.scratch, [e.id for e in known.every]),
        recent=api_now - context.reenroll_after,
        doubtful=controls.accepted,
        max_attempts=most,
        history=ledger.attempts(most) if often else {},
        limited=ledger.limited() if any(was_limited(r.latest) for r in asked) else {},
        paused=controls.paused,
        opted_out=(_opted_out(context, asked, known) if there else {}) | _doubted(asked),
        only=_only(context),
    )


def _only(context: Context) -> str | None:
    """Return the key of the only request to send, or None for all. Raises ConfigurationError if it does not exist."""
    given = context.options.only
    key = requests.named(context.scratch, given) if given else None
    if given and not key:
        hint = "`boast push --dry-run` shows those that there are."
        raise ConfigurationError(f"There is no request {given} to send", hint=hint)
    return key


def _opted_out(context: Context, asked: Sequence[Request], known: Known) -> dict[str, Origin]:
    """Return the ledger's later removal of the same contact, by the key of the enrollment request that it overrides.

    If their rows have no comparable `requested_at`, the one that entered the ledger last counts as the later one.
    """
    enrollments = [request for request in asked if request.asked and request.action == "enroll"]
    if not enrollments:
        return {}
    removals: dict[tuple[str | None, ...], list[tuple[Origin, datetime]]] = {}
    for pair, removal, first_at in requests.removals(context.scratch, context.ledger.removals()):
        removals.setdefault(pair, []).append((removal, first_at))
    both = [(request, removals[one]) for request in enrollments if (one := known.pair(request)) in removals]
    seen = context.ledger.first_seen(request.request_key for request, _ in both)
    found: dict[str, Origin] = {}
    for request, those in both:
        since = seen.get(request.request_key)
        for removal, first_at in those:
            if is_moment(removal.requested_at) and is_moment(request.requested_at):
                later = is_after(removal.requested_at, request.requested_at)
            else:
                later = since is not None and first_at > since
            if later and removal.request_key != request.request_key:
                found[request.request_key] = removal
    return found


def _doubted(asked: Sequence[Request]) -> dict[str, Origin]:
    """Return, by key of an enrollment request, a removal that may concern it: its address or name fits several ids."""
    return {
        request.request_key: Origin(one.request_key, State.HELD, one.requested_at)
        for one in asked
        if one.several and one.action == "remove"
        for request in asked
        if request.asked
        and request.action == "enroll"
        and _may_mean(one, request)
        and not is_after(request.requested_at, one.requested_at)
    }


def _may_mean(unclear: Request, request: Request) -> bool:
    """Return whether an ambiguous request may mean the contact and sequence of another."""
    kind, *ids = (unclear.several or "").replace(",", "").split()
    contacts = ids if kind == "contacts" else [unclear.contact_id]
    sequences = ids if kind == "sequences" else [unclear.sequence_id]
    return request.contact_id in contacts and (sequences == [None] or request.sequence_id in sequences)


def lanes(
    context: Context, ready: Iterable[Request], open_: Iterable[Request], known: Known, readable: Collection[str]
) -> list[Lane]:
    """Return the lanes of the requests whose account was listed; count the others as deferred."""
    mine: list[Request] = []
    for one in ready:
        target = known.get(one.enrollment_id)
        request = replace(one, account_id=one.account_id or (target.account_id if target else None))
        if is_listed(request, readable) or request.fault:
            mine.append(request)
        else:
            context.result.count(request, State.DEFERRED)
    return lanes_of(mine, open_, known)
