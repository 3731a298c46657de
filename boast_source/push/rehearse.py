"""A dry run: what a push would do. It writes nothing to the API, and at most a plan to the warehouse."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from boast_source.listing.listing import Listing, listing_of
from boast_source.listing.report import Options
from boast_source.listing.vanished import too_many
from boast_source.push import controls, requests, watch
from boast_source.push.asked import CALLED, accounts_of, asked, facts_of, lanes
from boast_source.push.lanes import plan
from boast_source.push.model import Evidence, State, Verdict
from boast_source.push.plan import plan_of, write
from boast_source.push.settle import settle
from boast_source.push.shown import names_of
from boast_source.push.snapshot import COLUMNS, Known, known
from boast_source.shapes import SEQUENCE_ENROLLMENTS, SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boast_source.push.context import Context
    from boast_source.push.requests import Request

_OPEN = Verdict(State.UNKNOWN, "open", "a push settles it by reading back")
_UNASKED = Verdict(State.WITHDRAWN, "absent", "it was not carried out, and no row asks for it any more")


def rehearse(context: Context) -> None:
    """Fill the result with the verdict on each request. The listing goes into the scratch index only."""
    ledger, scratch, options, result = context.ledger, context.scratch, context.options, context.result
    there = ledger.exists()
    requests.read_ledger(scratch, ledger.newest() if there else ())
    with closing(listing_of(context.client, Options(account_ids=options.accounts, workers=options.workers))) as listing:
        # a push, too, lists contacts and sequences before it looks up those that rows name
        called = [SHAPES[name] for name in CALLED] if context.pending.by_person else []
        for shape in (SEQUENCE_ENROLLMENTS, *called):
            listing.prepare(shape, None, None)
        accounts = accounts_of(context, listing.accounts())
        found = asked(context, accounts, [listing.listed(shape, CALLED[shape.name]) for shape in called])
        exists = known(scratch, found, listing.listed(SEQUENCE_ENROLLMENTS, COLUMNS), accounts.mine)
    again = {request.request_key for request in found if request.open and _is_sent_again(context, request, exists)}
    open_ = [request for request in found if request.open and request.request_key not in again]
    ready = [request for request in found if request.asked and (not request.open or request.request_key in again)]
    unasked = [request for request in found if request.request_key in again and not request.asked]
    steered = controls.read(ledger) if there else controls.Controls()
    facts = facts_of(context, found, exists, ledger.now(), steered)
    ready = [request for request in ready if not watch.is_over(request, exists, facts.origins)]
    readable = accounts.mine.difference(_disbelieved(context, listing))
    result.planned = [
        *((request, _OPEN) for request in open_),
        *((request, _UNASKED) for request in unasked),
        *plan(lanes(context, ready, open_, exists, readable), facts),
    ]
    for request, verdict in result.planned:
        result.count(request, State.DEFERRED if verdict.send else verdict.state)
    if options.plan is None:
        return
    result.plan = plan_of(result.planned, names_of(ledger, "sequences"))
    result.plan_file = write(result.plan, options.plan, ledger.warehouse)
    if there:
        controls.keep_plan(ledger, result.plan, context.run_id)


def _is_sent_again(context: Context, request: Request, known: Known) -> bool:
    """Return whether a push would decide again on an open request: an operator released it, and it is absent."""
    if request.event.state != State.RELEASED:
        return False
    there = [e.id for e in known.of(request.as_claimed())]
    taken = context.ledger.attributed([*there, *filter(None, [request.event.enrollment_id])])
    proof = context.proof(context.ledger.now(), None)
    return settle(request, known, taken, proof, context.client)[0] is Evidence.ABSENT


def _disbelieved(context: Context, listing: Listing) -> Iterator[str]:
    """Yield the accounts for which a push would send nothing, since implausibly many enrollments are missing."""
    table, found = SEQUENCE_ENROLLMENTS.name, listing.reports
    for account, listed in {str(r.account_id): r.listed for r in found if r.resource == table}.items():
        stored = context.ledger.warehouse.count_present(table, account)
        if too_many(stored - listed, stored, listed):
            context.on_note(
                f"account {account} lists {listed:,} of {stored:,} stored enrollments, too few to believe: a push"
                " would send nothing for it"
            )
            yield account.lower()
