"""A push from start to end: list, select, settle, plan, claim and send, store, read back."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

from boast_source import warehouse
from boast_source.errors import ApiError, ConfigurationError
from boast_source.listing.index import Scratch
from boast_source.listing.listing import Listing, Options
from boast_source.load.load import create_views, load_held, store
from boast_source.push import readback, requests
from boast_source.push.decide import Verdict
from boast_source.push.dispatch import Lane, Limits, dispatch, plan
from boast_source.push.ledger import Ledger
from boast_source.push.pending import Pending
from boast_source.push.result import Pushed, PushOptions
from boast_source.push.settle import Proof, claimed
from boast_source.push.snapshot import COLUMNS, Known, known
from boast_source.shapes import SEQUENCE_ENROLLMENTS

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    import dlt

    from boast_source.api import BoastClient, Page
    from boast_source.config import PushSettings
    from boast_source.listing.listing import ListReport
    from boast_source.load.result import Loaded
    from boast_source.push.ledger import Event
    from boast_source.push.requests import Request

    Load = Callable[[Options, Sequence[str]], Loaded]

UNSETTLED = 600.0  # seconds in place of settle_after where it is `never`, to bound the age of a claim


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
            run = _Push(client, settings, options, run_id, ledger, pending, scratch, on_note, on_progress)
            if options.dry_run:
                return run.rehearse()

            def load(how: Options, names: Sequence[str]) -> Loaded:
                return load_held(held, pipeline, client, how, resources=names, on_page=on_page, on_note=on_note)

            pushed = run.carry_out(pipeline, load, resources)
            create_views(held, time_zone, on_note)
            return pushed
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


class _Push:
    """One push over one scratch index."""

    def __init__(
        self,
        client: BoastClient,
        settings: PushSettings,
        options: PushOptions,
        run_id: str,
        ledger: Ledger,
        pending: Pending,
        scratch: Scratch,
        on_note: Callable[[str], None],
        on_progress: Callable[[Counter[str]], None],
    ) -> None:
        self.client, self.settings, self.options, self.run_id = client, settings, options, run_id
        self.ledger, self.pending, self.scratch = ledger, pending, scratch
        self.on_note, self.on_progress = on_note, on_progress
        self.result = Pushed(dry_run=options.dry_run)
        self._read_for: set[str] | None = None  # the accounts that the pending table was read for
        self._taken: dict[str, str] = {}  # enrollments that reading back attributed, with the request's key
        self._reenroll_after = timedelta(seconds=settings.reenroll_seconds)
        self._claim_seconds = (settings.settle_seconds or UNSETTLED) / 2

    def carry_out(self, pipeline: dlt.Pipeline, load: Load, resources: Sequence[str]) -> Pushed:
        requests.read_ledger(self.scratch, self.ledger.newest())
        began = self.ledger.now()
        try:
            loaded = load(self._how_to_list(began), resources)
        except ApiError as error:
            return self._nothing_sent(error)
        self.result.loaded = loaded
        asked = self._asked([str(r.account_id) for r in loaded.enrollments])
        since = began - self._reenroll_after
        watched = [
            *readback.watched(self.scratch, since),
            *self.ledger.active_twice(SEQUENCE_ENROLLMENTS.name, since),
        ]
        proof = self._proof(began, loaded)
        knowledge = self._known(pipeline, [*asked, *map(requests.orphan, watched)], proof)
        ready = self._settle(asked, knowledge, proof)
        self._record_late(watched, knowledge)
        readable = {str(r.account_id).lower() for r in loaded.enrollments if not r.error}
        lanes = self._lanes(ready, asked, knowledge, readable)
        repeated = requests.repeats(self.scratch, self.ledger.sent_since(since))
        if self._is_approved(lanes, knowledge, repeated):
            limits = Limits(
                self.options.limit,
                self._claim_seconds,
                self.options.workers,
                self.settings.max_refusals_in_a_row,
                self.settings.max_unknowns_in_a_row,
            )
            sent = dispatch(
                lanes, knowledge, repeated, self.ledger, self.client, limits, self.run_id, self.result, self.on_progress
            )
            store(pipeline, self.client, sent.answers)
            if sent.unknown and sent.reachable and not self.result.interrupted:
                self._read_back(pipeline, load, sent.unknown)
        return self.result

    def rehearse(self) -> Pushed:
        """The same without a write, to the API or to the warehouse: the list goes into the scratch index only."""
        there = self.ledger.exists()
        requests.read_ledger(self.scratch, self.ledger.newest() if there else ())
        listing = Listing(self.client, Options(account_ids=self.options.accounts, workers=self.options.workers))
        try:
            listing.prepare(SEQUENCE_ENROLLMENTS, None, None)
            asked = self._asked(listing.accounts())
            accounts = {account.lower() for account in listing.accounts()}
            knowledge = known(self.scratch, asked, listing.enrollments(COLUMNS), accounts)
        finally:
            listing.close()
        ready = [r for r in asked if r.asked and not readback.is_open(r)]
        lanes = self._lanes(ready, asked, knowledge, accounts)
        since = self.ledger.now() - self._reenroll_after
        repeated = requests.repeats(self.scratch, self.ledger.sent_since(since) if there else ())
        still_open = Verdict("unknown", "open", "a push settles it by reading back")
        self.result.planned = [(r, still_open) for r in asked if readback.is_open(r)]
        self.result.planned += plan(lanes, knowledge, repeated)
        for request, verdict in self.result.planned:
            self.result.count(request, "deferred" if verdict.send else verdict.state)
        return self.result

    def _how_to_list(self, began: datetime) -> Options:
        """Until two passes agree, when that can prove that what is open did not happen, or something may be sent:
        one pass may hide an enrollment behind a count that is right, and its contact would be enrolled twice.
        """
        open_events = requests.open_events(self.scratch)
        proof = self._proof(began, None)
        settles = any(proof.is_over(event) for event in open_events)
        return Options(
            account_ids=self.options.accounts,
            workers=self.options.workers,
            prove=SEQUENCE_ENROLLMENTS.name if settles or self._may_send() else False,
            keep_going=True,
        )

    def _nothing_sent(self, error: ApiError) -> Pushed:
        self.result.error = error
        for request in self._asked(self._accounts_so_far()):
            self.result.count(request, "unknown" if readback.is_open(request) else "deferred")
        return self.result

    def _asked(self, accounts: Sequence[str]) -> list[Request]:
        self._read_pending(accounts)
        return requests.select(self.scratch)

    def _may_send(self) -> bool:
        self._read_pending(self._accounts_so_far())
        return requests.any_to_decide(self.scratch)

    def _read_pending(self, accounts: Sequence[str]) -> None:
        """Once, unless it turns out that there are other accounts."""
        seen = {account.lower() for account in accounts}
        if seen != self._read_for:
            requests.make_asked(self.scratch, self.pending.batches(), seen)
            self._read_for = seen

    def _accounts_so_far(self) -> Sequence[str]:
        return self.options.accounts or self.ledger.accounts()

    def _proof(self, began: datetime, loaded: Loaded | None) -> Proof:
        exact = {str(r.account_id).lower() for r in loaded.enrollments if r.verified == "exact"} if loaded else set()
        sending_for = self._claim_seconds + self.options.request_timeout
        return Proof(began, exact, self.settings.settle_seconds, sending_for)

    def _known(self, pipeline: dlt.Pipeline, about: Sequence[Request], proof: Proof) -> Known:
        return known(self.scratch, about, warehouse.read(pipeline, SEQUENCE_ENROLLMENTS.name, COLUMNS), proof.exact)

    def _settle(self, asked: Sequence[Request], knowledge: Known, proof: Proof) -> list[Request]:
        ended, ready, events = readback.settle_all(
            self.scratch, asked, knowledge, self._taken, proof, self.client, self.run_id
        )
        self.ledger.append(events)
        for request, state in ended:
            self.result.count(request, state)
        return ready

    def _record_late(self, watched: Sequence[Event], knowledge: Known) -> None:
        events = readback.late_enrollments(self.scratch, watched, knowledge, self._taken, self.run_id)
        self.ledger.append(events)
        self.result.duplicates = [event for event in events if event.error_code == "duplicate"]

    def _lanes(
        self, ready: Sequence[Request], asked: Sequence[Request], knowledge: Known, readable: Collection[str]
    ) -> list[Lane]:
        """The requests of accounts that could be listed, by contact; the others are counted as deferred."""
        lanes: dict[str, Lane] = {}
        for request in ready:
            target = knowledge.get(request.enrollment_id)
            if target and request.account_id is None:
                request.account_id = target.account_id
            unlisted = request.account_id not in readable if request.account_id else len(readable) == 0
            if unlisted and not request.fault:
                self.result.count(request, "deferred")
                continue
            lanes.setdefault(_lane(request, knowledge), Lane(deque())).requests.append(request)
        decided = {request.request_key for request in ready}
        for request in asked:
            if readback.is_open(request) and request.request_key not in decided:
                lane = lanes.get(_lane(claimed(request), knowledge))  # whatever its row says by now
                if lane:
                    lane.blocked = True
        return list(lanes.values())

    def _is_approved(self, lanes: Sequence[Lane], knowledge: Known, repeated: set[str]) -> bool:
        """Whether there is not more to send than max_sends; else all of it is deferred, the rest said as always."""
        planned = plan(lanes, knowledge, repeated)
        ready = sum(verdict.send for _, verdict in planned)
        to_send = min(ready, self.options.limit) if self.options.limit is not None else ready
        if to_send <= self.options.max_sends:
            return True
        self.result.too_many = to_send
        for request, verdict in planned:
            self.result.count(request, verdict.state if verdict.state in {"held", "invalid"} else "deferred")
        return False

    def _read_back(self, pipeline: dlt.Pipeline, load: Load, unknown: Sequence[Request]) -> None:
        """List once more: what the server did although it did not say so is found now, and not tomorrow."""
        self.on_note(f"reading back what became of {len(unknown)} requests without a clear answer")
        began = self.ledger.now()
        try:
            how = Options(account_ids=self.options.accounts, workers=self.options.workers, keep_going=True)
            loaded = load(how, [SEQUENCE_ENROLLMENTS.name])
        except ApiError as error:
            self.on_note(f"reading back failed, the next push does it: {error.message}")
            return
        proof = self._proof(began, loaded)
        knowledge = self._known(pipeline, unknown, proof)
        ended, _, events = readback.settle_all(
            self.scratch, unknown, knowledge, self._taken, proof, self.client, self.run_id
        )
        self.ledger.append(events)
        for _, state in ended:
            self.result.counts["unknown"] -= 1
            self.result.counts[state] += 1


def _lane(request: Request, knowledge: Known) -> str:
    target = knowledge.get(request.enrollment_id)
    contact = target.contact_id if target else request.contact_id
    return contact or request.enrollment_id or request.request_key
