"""A push from start to end: list, select, settle, plan, claim and send, store, read back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from boast_source import warehouse
from boast_source.errors import ApiError, ConfigurationError
from boast_source.listing.listing import listing_of
from boast_source.listing.report import Options
from boast_source.listing.scratch import Scratch
from boast_source.load.load import create_views, load_held, store
from boast_source.push import readback, requests
from boast_source.push.context import Context
from boast_source.push.decide import Facts
from boast_source.push.dispatch import dispatch
from boast_source.push.lanes import is_listed, lanes_of, plan
from boast_source.push.ledger import Ledger
from boast_source.push.model import State, Verdict
from boast_source.push.pending import Pending
from boast_source.push.result import Pushed, PushOptions
from boast_source.push.snapshot import COLUMNS, Known, known
from boast_source.shapes import SEQUENCE_ENROLLMENTS

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Collection, Iterable, Sequence
    from datetime import datetime

    import dlt

    from boast_source.api import BoastClient, Page
    from boast_source.config import PushSettings
    from boast_source.listing.report import ListReport
    from boast_source.load.result import Loaded
    from boast_source.push.lanes import Lane
    from boast_source.push.requests import Request
    from boast_source.push.settle import Proof

    Load = Callable[[Options, Sequence[str]], Loaded]


def push(
    pipeline: dlt.Pipeline,
    client: BoastClient,
    settings: PushSettings,
    options: PushOptions,
    run_id: str,
    *,
    patience: float = 60.0,
    time_zone: str = "UTC",
    resources: Sequence[str] = (SEQUENCE_ENROLLMENTS.name,),
    on_page: Callable[[ListReport, Page], None] | None = None,
    on_note: Callable[[str], None],
    on_progress: Callable[[Counter[str]], None],
) -> Pushed:
    """Make the pending requests true in Boast. The caller holds the pipeline's lock.

    `resources`: what is listed and stored first, the enrollments among them.

    Raises ConfigurationError (no pending table, no ledger, a warehouse that cannot exclude a second sender),
    LockedError, DestinationError. An ApiError of the listing is in the result, which then counts what was left.
    """
    with warehouse.connected(pipeline, patience=patience, on_wait=on_note) as held:
        if held is None:
            raise ConfigurationError(
                "Requests cannot be pushed from files: the ledger needs a SQL warehouse",
                hint="Push from a SQL destination, for example --destination postgres.",
            )
        ledger = Ledger(held)
        pending = Pending(held, options.pending_table)
        if not options.dry_run:
            warehouse.lock_sender(held, single_sender=settings.single_sender)
            warehouse.lock_accounts(held, options.accounts)
            _check_ledger(ledger, start=options.new_ledger)
        scratch = Scratch()
        try:
            result = Pushed(dry_run=options.dry_run)
            context = Context(client, ledger, pending, scratch, settings, options, run_id, result, on_note, on_progress)
            if options.dry_run:
                return _rehearse(context)

            def load(how: Options, names: Sequence[str]) -> Loaded:
                return load_held(held, pipeline, client, how, resources=names, on_page=on_page, on_note=on_note)

            _carry_out(context, pipeline, load, resources)
            create_views(held, time_zone, on_note)
            return result
        finally:
            scratch.close()


def _check_ledger(ledger: Ledger, *, start: bool) -> None:
    if start:
        ledger.create()
        return
    there = ledger.exists()
    if there and not ledger.is_lost():
        return
    what = "is empty, though requests were sent before" if there else "does not exist"
    raise ConfigurationError(
        f"The ledger {ledger.name} {what}: without it nobody knows who was enrolled already. Nothing was sent",
        hint="If this is the first push, run `boast push --new-ledger`; if it was lost, restore it from a backup.",
    )


def _carry_out(context: Context, pipeline: dlt.Pipeline, load: Load, resources: Sequence[str]) -> None:
    ledger, scratch, result = context.ledger, context.scratch, context.result
    requests.read_ledger(scratch, ledger.newest())
    began = ledger.now()
    try:
        loaded = load(_how_to_list(context, began), resources)
    except ApiError as error:
        _nothing_sent(context, error)
        return
    result.loaded = loaded
    asked = _asked(context, [str(r.account_id) for r in loaded.enrollments])
    since = began - context.reenroll_after
    watched = [*requests.given_up(scratch, since), *ledger.active_twice(since)]
    proof = context.proof(began, loaded)
    there = _known(context, pipeline, [*asked, *map(requests.orphan, watched)], proof)
    taken: dict[str, str] = {}  # enrollments that reading back attributed, with the request's key
    settled = readback.settle_all(context, asked, there, taken, proof)
    for request, state in settled.ended:
        result.count(request, state)
    result.duplicates = readback.record_late(context, watched, there, taken)
    readable = {str(r.account_id).lower() for r in loaded.enrollments if not r.error}
    lanes = _lanes(context, settled.ready, settled.open, there, readable)
    facts = Facts(there, requests.repeats(scratch, ledger.sent_since(since)))
    if not _is_approved(context, lanes, facts):
        return
    sent = dispatch(context, lanes, facts)
    store(pipeline, sent.answers)
    if sent.unknown and sent.reachable and not result.interrupted:
        _read_back(context, pipeline, load, sent.unknown, taken)


def _rehearse(context: Context) -> Pushed:
    """Do the same without a write, to the API or to the warehouse: the list goes into the scratch index only."""
    there, ledger, scratch, result = context.ledger.exists(), context.ledger, context.scratch, context.result
    requests.read_ledger(scratch, ledger.newest() if there else ())
    how = Options(account_ids=context.options.accounts, workers=context.options.workers)
    listing = listing_of(context.client, how)
    try:
        listing.prepare(SEQUENCE_ENROLLMENTS, None, None)
        asked = _asked(context, listing.accounts())
        accounts = {account.lower() for account in listing.accounts()}
        exists = known(scratch, asked, listing.enrollments(COLUMNS), accounts)
    finally:
        listing.close()
    open_ = [request for request in asked if request.open]
    lanes = _lanes(context, [r for r in asked if r.asked and not r.open], open_, exists, accounts)
    since = ledger.now() - context.reenroll_after
    repeated = requests.repeats(scratch, ledger.sent_since(since) if there else ())
    still_open = Verdict(State.UNKNOWN, "open", "a push settles it by reading back")
    result.planned = [*((request, still_open) for request in open_), *plan(lanes, Facts(exists, repeated))]
    for request, verdict in result.planned:
        result.count(request, State.DEFERRED if verdict.send else verdict.state)
    return result


def _how_to_list(context: Context, began: datetime) -> Options:
    """Return how to list: until two passes agree, when that can prove that what is open did not happen, or something
    may be sent: one pass may hide an enrollment behind a count that is right, and its contact would be enrolled twice.
    """
    proof = context.proof(began, None)
    settles = any(proof.is_over(event) for event in requests.open_events(context.scratch))
    return Options(
        account_ids=context.options.accounts,
        workers=context.options.workers,
        prove=SEQUENCE_ENROLLMENTS.name if settles or _may_send(context) else False,
        keep_going=True,
    )


def _may_send(context: Context) -> bool:
    requests.make_asked(context.scratch, context.pending.batches(), _accounts_so_far(context))
    return requests.any_to_decide(context.scratch)


def _nothing_sent(context: Context, error: ApiError) -> None:
    context.result.error = error
    for request in _asked(context, _accounts_so_far(context)):
        context.result.count(request, State.UNKNOWN if request.open else State.DEFERRED)


def _asked(context: Context, accounts: Iterable[str]) -> list[Request]:
    requests.make_asked(context.scratch, context.pending.batches(), accounts)
    return requests.select(context.scratch)


def _accounts_so_far(context: Context) -> Sequence[str]:
    return context.options.accounts or context.ledger.accounts()


def _known(context: Context, pipeline: dlt.Pipeline, about: Sequence[Request], proof: Proof) -> Known:
    enrollments = warehouse.read(pipeline, SEQUENCE_ENROLLMENTS.name, COLUMNS)
    return known(context.scratch, about, enrollments, proof.exact)


def _lanes(
    context: Context, ready: Iterable[Request], open_: Iterable[Request], there: Known, readable: Collection[str]
) -> list[Lane]:
    """Return the lanes of the requests whose account could be listed; the others are counted as deferred."""
    mine: list[Request] = []
    for asked in ready:
        target = there.get(asked.enrollment_id)
        whose = asked.account_id or (target.account_id if target else None)
        request = replace(asked, account_id=whose)
        if is_listed(request, readable) or request.fault:
            mine.append(request)
        else:
            context.result.count(request, State.DEFERRED)
    return lanes_of(mine, open_, there)


def _is_approved(context: Context, lanes: Sequence[Lane], facts: Facts) -> bool:
    """Return whether there is not more to send than max_sends; else all of it is deferred, the rest said as always."""
    planned = plan(lanes, facts)
    ready, limit = sum(verdict.send for _, verdict in planned), context.options.limit
    to_send = ready if limit is None else min(ready, limit)
    if to_send <= context.options.max_sends:
        return True
    context.result.too_many = to_send
    for request, verdict in planned:
        said = verdict.state in {State.HELD, State.INVALID}
        context.result.count(request, verdict.state if said else State.DEFERRED)
    return False


def _read_back(
    context: Context, pipeline: dlt.Pipeline, load: Load, unknown: Sequence[Request], taken: dict[str, str]
) -> None:
    """List once more: what the server did although it did not say so is found now, and not tomorrow."""
    context.on_note(f"reading back what became of {len(unknown)} requests without a clear answer")
    began = context.ledger.now()
    try:
        how = Options(account_ids=context.options.accounts, workers=context.options.workers, keep_going=True)
        loaded = load(how, [SEQUENCE_ENROLLMENTS.name])
    except ApiError as error:
        context.on_note(f"reading back failed, the next push does it: {error.message}")
        return
    proof = context.proof(began, loaded)
    there = _known(context, pipeline, unknown, proof)
    for _, state in readback.settle_all(context, unknown, there, taken, proof).ended:
        context.result.counts[State.UNKNOWN] -= 1
        context.result.counts[state] += 1
