"""A push from start to end: list, select, settle, plan, claim and send, store, read back."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from boast_source.errors import ApiError, BoastError, ConfigurationError, PendingError
from boast_source.listing.report import ListReport, Options
from boast_source.listing.scratch import Scratch
from boast_source.load.load import create_views, load_held, store
from boast_source.push import controls, requests, watch
from boast_source.push.asked import CALLED, accounts_of, asked, facts_of, lanes, may_send
from boast_source.push.context import Context
from boast_source.push.dispatch import dispatch
from boast_source.push.lanes import Lane, plan
from boast_source.push.ledger import Event, Ledger
from boast_source.push.model import State
from boast_source.push.pending import Pending
from boast_source.push.plan import plan_of
from boast_source.push.rehearse import rehearse
from boast_source.push.result import Pushed, PushOptions
from boast_source.push.settle import Proof, settle_all
from boast_source.push.shown import names_of
from boast_source.push.snapshot import COLUMNS, Known, known
from boast_source.shapes import SEQUENCE_ENROLLMENTS
from boast_source.warehouse import Warehouse, explained

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from boast_source.api import BoastClient, Page
    from boast_source.config import PushSettings
    from boast_source.load.result import Loaded
    from boast_source.push.decide import Facts
    from boast_source.push.requests import Request

    Load = Callable[[Options, Sequence[str]], Loaded]


def push(
    warehouse: Warehouse,
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
    """Carry out the pending requests in Boast. The caller holds the pipeline's lock.

    `resources`: the lists to load first, with enrollments (empty: all). `patience`: seconds to wait for a busy file.

    Raises ConfigurationError (no pending table, no ledger or one that lost events, a warehouse that cannot exclude a
    second sender), LockedError, DestinationError. If the listing fails, the ApiError is in the result, which then
    counts the requests that were not sent.
    """
    with warehouse.open(patience=patience, on_wait=on_note):
        if not warehouse.has_sql:
            raise ConfigurationError(
                "Requests cannot be pushed from files: the ledger needs a SQL warehouse",
                hint="Push from a SQL destination, for example --destination postgres.",
            )
        ledger = Ledger(warehouse)
        pending = Pending(warehouse, options.pending_table)
        if not options.dry_run:
            warehouse.lock_sender(single_sender=settings.single_sender)
            warehouse.lock_accounts(options.accounts)
            begins = options.new_ledger and not ledger.exists()
            controls.check(ledger, run_id, new=options.new_ledger, accept=options.accept_ledger)
        with closing(Scratch()) as scratch:
            result = Pushed(dry_run=options.dry_run)
            context = Context(client, ledger, pending, scratch, settings, options, run_id, result, on_note, on_progress)
            if options.dry_run:
                rehearse(context)
                return result

            def load(how: Options, names: Sequence[str]) -> Loaded:
                return load_held(warehouse, client, how, resources=names, on_page=on_page, on_note=on_note)

            if pending.by_person and resources:
                resources = (*resources, *CALLED)
            try:
                _carry_out(context, warehouse, load, resources)
            except ConfigurationError:
                if begins:
                    _take_back(ledger)
                raise
            warehouse.awake()
            result.attention = ledger.waiting()
            create_views(warehouse, time_zone, on_note)
            return result


def _take_back(ledger: Ledger) -> None:
    """Drop the new ledger if it is empty: with a ledger, the next night would send without approval."""
    if not ledger.controls() and not any(batch.num_rows for batch in ledger.newest()):
        with explained(ledger.name):
            ledger.client.execute_sql(f"drop table {ledger.name}")


def _carry_out(context: Context, warehouse: Warehouse, load: Load, resources: Sequence[str]) -> None:
    ledger, scratch, result = context.ledger, context.scratch, context.result
    requests.read_ledger(scratch, ledger.newest())
    began = ledger.now()
    try:
        loaded = load(_how_to_list(context, began), resources)
    except ApiError as error:
        _nothing_sent(context, error)
        return
    result.loaded = loaded
    warehouse.awake()
    accounts = accounts_of(context, [str(r.account_id) for r in loaded.enrollments])
    watch.review_sent(context, began, accounts.mine)
    try:
        found = asked(context, accounts, gone=[key for report in loaded.reports for key in report.unlisted])
    except PendingError as error:
        _nothing_known(context, error)
        return
    watch.withdraw_unasked(context)
    watched = watch.watched(context, began - context.watched_for, accounts.mine)
    proof = context.proof(began, loaded)
    there = _known(context, warehouse, [*found, *map(requests.orphan, watched)], proof)
    taken: dict[str, str] = {}  # enrollments that reading back attributed, with the request's key
    settled = settle_all(context, found, there, taken, proof)
    for request, state in settled.ended:
        result.count(request, state)
    late = {event.request_key: event for event in watch.record_late(context, watched, there, taken)}
    result.duplicates = [event for event in late.values() if event.error_code == State.DUPLICATE]
    facts = facts_of(context, found, there, began, controls.read(ledger))
    readable = {str(r.account_id).lower() for r in loaded.enrollments if not r.error}
    ready = [request for request in settled.ready if not watch.is_over(request, there, facts.origins)]
    waiting = lanes(context, _followed(context, ready, late), settled.open, there, readable)
    if context.options.approve:
        facts = _as_planned(context, waiting, facts)
    if not _is_approved(context, waiting, facts):
        return
    sent = dispatch(context, waiting, facts)
    store(warehouse, sent.answers)
    if sent.unknown and sent.reachable and not result.interrupted:
        _read_back(context, warehouse, load, sent.unknown, taken)


def _followed(context: Context, ready: Iterable[Request], late: Mapping[str, Event]) -> Iterator[Request]:
    """Yield the requests with their late events. One that was enrolled late, as its row asks, is done: count it."""
    for before in ready:
        request = replace(before, latest=late.get(before.request_key, before.latest))
        if request.request_key in late and not (request.changed or request.conflict):
            context.result.count(request, State.ENROLLED)
        else:
            yield request


def _how_to_list(context: Context, began: datetime) -> Options:
    """Return the listing options. List until two passes agree if an open request may be proved absent, or anything
    may be sent: a single pass with the right count can still miss an enrollment, whose contact would be enrolled twice.
    """
    proof = context.proof(began, None)
    settles = any(proof.is_over(event) for event in requests.events(context.scratch, "open"))
    return Options(
        account_ids=context.options.accounts,
        workers=context.options.workers,
        prove=SEQUENCE_ENROLLMENTS.name if settles or may_send(context) else False,
        unlisted=context.pending.by_person,
        keep_going=True,
    )


def _nothing_sent(context: Context, error: ApiError) -> None:
    context.result.error = error
    try:
        for request in asked(context, accounts_of(context)):
            context.result.count(request, State.UNKNOWN if request.open else State.DEFERRED)
    except PendingError:
        _nothing_known(context, error)


def _nothing_known(context: Context, error: BoastError) -> None:
    """Count the open requests as unknown: the pending table could not be read."""
    context.result.error = error
    context.result.counts[State.UNKNOWN] += len(requests.events(context.scratch, "open"))


def _known(context: Context, warehouse: Warehouse, about: Sequence[Request], proof: Proof) -> Known:
    enrollments = warehouse.read(SEQUENCE_ENROLLMENTS.name, COLUMNS)
    return known(context.scratch, about, enrollments, proof.exact)


def _as_planned(context: Context, waiting: Sequence[Lane], facts: Facts) -> Facts:
    """Return the facts, limited to the approved plan. A plan older than the ledger counts only if nothing changed."""
    hash_ = context.options.approve or ""
    members = controls.approved(context.ledger, hash_)
    if members is None:
        now = plan_of(plan(waiting, facts), {})
        if now.hash == hash_:
            return facts
        why = f"there is no plan {hash_}, or what would be sent has changed since: make a new one"
        if context.options.new_ledger:
            hint = "`boast push --plan FILE` makes it."
            raise ConfigurationError(f"Nothing was sent, and no ledger begun: {why}", hint=hint)
        context.result.stopped = why
    return replace(facts, approved=members or {})


def _is_approved(context: Context, waiting: Sequence[Lane], facts: Facts) -> bool:
    """Return whether a plan was approved or at most max_sends are ready; if not, count the requests as left undone."""
    planned = plan(waiting, facts)
    if context.options.new_ledger:
        counts = plan_of(planned, names_of(context.ledger, "sequences")).said()
        context.on_note(f"the first push: {counts}. From now on, every push sends what is left, every night")
    ready, limit = sum(verdict.send for _, verdict in planned), context.options.limit
    to_send = ready if limit is None else min(ready, limit)
    if context.options.approve or to_send <= context.options.max_sends:
        return True
    context.result.too_many = to_send
    for request, verdict in planned:
        said = verdict.state in {State.HELD, State.INVALID}
        context.result.count(request, verdict.state if said else State.DEFERRED)
    return False


def _read_back(
    context: Context, warehouse: Warehouse, load: Load, unknown: Sequence[Request], taken: dict[str, str]
) -> None:
    """List again at the end, to settle requests without a clear answer now rather than in the next push."""
    context.on_note(f"reading back what became of {len(unknown)} requests without a clear answer")
    began = context.ledger.now()
    try:
        how = Options(account_ids=context.options.accounts, workers=context.options.workers, keep_going=True)
        loaded = load(how, [SEQUENCE_ENROLLMENTS.name])
    except ApiError as error:
        context.on_note(f"reading back failed, the next push does it: {error.message}")
        return
    warehouse.awake()
    proof = context.proof(began, loaded)
    there = _known(context, warehouse, unknown, proof)
    for _, state in settle_all(context, unknown, there, taken, proof).ended:
        context.result.counts[State.UNKNOWN] -= 1
        context.result.counts[state] += 1
