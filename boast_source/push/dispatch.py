"""Claim, send, record: many contacts at once, one request of a contact at a time.

A request is claimed durably before its first byte; claims and results are written together, a batch at a time, by the
one thread that holds the warehouse. Requests of one contact form a lane: the next is looked at when the one before has
a clear end, and nothing follows one that has none.
"""

from __future__ import annotations

import json
import time
from collections import deque
from concurrent.futures import ALL_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from boast_source import signals
from boast_source.push import gate
from boast_source.push.decide import Verdict, decide
from boast_source.push.ledger import Event
from boast_source.push.snapshot import Enrollment, Known, enrollment_of

if TYPE_CHECKING:
    import threading
    from collections import Counter
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from boast_source.api import BoastClient
    from boast_source.push.gate import Outcome
    from boast_source.push.ledger import Ledger
    from boast_source.push.requests import Request
    from boast_source.push.result import Pushed

TICK = 0.03  # seconds between two writes to the ledger while requests are in flight
BATCH = 1000  # events in memory before they are written
_FOLLOWS = Verdict("deferred", "blocked", "an open request of the same contact comes first")
_WRITTEN = {"held", "invalid"}  # said again at every run, recorded when it is news


@dataclass
class Lane:
    """The requests of one contact, in order. `blocked`: one before them has no clear end."""

    requests: deque[Request]
    blocked: bool = False
    done: set[str] = field(default_factory=set)

    def next(self, known: Known, repeated: AbstractSet[str]) -> tuple[Request, Verdict] | None:
        if not self.requests:
            return None
        request = self.requests.popleft()
        verdict = decide(request, known, repeated, self.done)
        waits = verdict.send or verdict.state not in _WRITTEN
        if self.blocked and waits:
            return request, _FOLLOWS
        self.blocked = self.blocked or verdict.state == "deferred"
        return request, verdict

    def ended(self, request: Request, state: str) -> None:
        """A request of the lane was sent (or not, after all)."""
        if state in {"enrolled", "removed", "refused"}:
            self.done.add(request.content_key)
        else:
            self.blocked = True


@dataclass(frozen=True)
class Limits:
    """`sends`: at most so many (None: no limit). `claim_seconds`: how long a claim may wait for its sending. A run
    of so many refusals or unknowns stops the sending.
    """

    sends: int | None
    claim_seconds: float
    workers: int
    refusals_in_a_row: int
    unknowns_in_a_row: int


@dataclass
class Sent:
    """What was sent: the API's records per account, the requests without a clear end, whether the API was there."""

    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    unknown: list[Request] = field(default_factory=list)
    attempts: int = 0
    reachable: bool = True


def note(
    request: Request, verdict: Verdict | Outcome, run_id: str, *, claims: int = 0, before: str | None = None
) -> Event:
    """The next event of a request, which carries on what is known about it; it becomes its latest."""
    latest = request.latest
    same = latest if latest and not request.changed else None  # of what the row no longer says nothing is carried on
    event = Event(
        request.request_key,
        request.content_key,
        run_id,
        (latest.event if latest else 0) + 1,
        (latest.attempt if latest else 0) + claims,
        request.account_id,
        request.action,
        request.contact_id,
        request.sequence_id,
        verdict.enrollment_id or request.enrollment_id or (same.enrollment_id if same else None),
        before or (same.known_enrollment_ids if same else None),
        verdict.state,
        getattr(verdict, "http_status", None),
        verdict.code,
        verdict.detail,
    )
    request.latest = event
    return event


def is_news(request: Request, verdict: Verdict) -> bool:
    """Whether a verdict belongs into the ledger: a deferral is no event, and nothing is said twice."""
    latest = request.latest
    if verdict.state == "deferred":
        return False
    return latest is None or (latest.state, latest.error_code, latest.content_key, latest.error_detail) != (
        verdict.state,
        verdict.code,
        request.content_key,
        verdict.detail,
    )


def plan(lanes: Sequence[Lane], known: Known, repeated: AbstractSet[str]) -> list[tuple[Request, Verdict]]:
    """What would become of each request if every sending went well; changes nothing."""
    known = known.copy()
    planned: list[tuple[Request, Verdict]] = []
    for lane in lanes:
        trial = Lane(deque(lane.requests), lane.blocked)
        while step := trial.next(known, repeated):
            request, verdict = step
            planned.append(step)
            if verdict.send:
                known.learn(_imagined(request, verdict, known))
                trial.done.add(request.content_key)
    return planned


def _imagined(request: Request, verdict: Verdict, known: Known) -> Enrollment:
    target = known.get(verdict.enrollment_id)
    contact, sequence = (target.contact_id, target.sequence_id) if target else (request.contact_id, request.sequence_id)
    if request.action == "remove":
        return Enrollment(verdict.enrollment_id or "", request.account_id, contact, sequence, "removed")
    return Enrollment(f"new:{request.request_key}", request.account_id, contact, sequence, "active")


def dispatch(
    lanes: Sequence[Lane],
    known: Known,
    repeated: AbstractSet[str],
    ledger: Ledger,
    client: BoastClient,
    limits: Limits,
    run_id: str,
    result: Pushed,
    on_progress: Callable[[Counter[str]], None],
) -> Sent:
    """Bring every lane to its end, as far as the limits allow, and count in `result`.

    Raises DestinationError when the ledger cannot be written: what was claimed then counts as unknown.
    """
    with signals.finishing(client.close) as asked_to_stop:
        return _Dispatch(lanes, known, repeated, ledger, client, limits, run_id, result, asked_to_stop).run(on_progress)


class _Dispatch:
    def __init__(
        self,
        lanes: Sequence[Lane],
        known: Known,
        repeated: AbstractSet[str],
        ledger: Ledger,
        client: BoastClient,
        limits: Limits,
        run_id: str,
        result: Pushed,
        asked_to_stop: threading.Event,
    ) -> None:
        self._waiting = deque(lanes)
        self._known, self._repeated = known, repeated
        self._ledger, self._client, self._limits, self._run_id = ledger, client, limits, run_id
        self._result, self._asked_to_stop = result, asked_to_stop
        self._events: list[Event] = []
        self._flying: dict[Future[Outcome], tuple[Lane, Request]] = {}
        self._refusals = self._unknowns = 0
        self.sent = Sent()

    def run(self, on_progress: Callable[[Counter[str]], None]) -> Sent:
        pool = ThreadPoolExecutor(self._limits.workers, thread_name_prefix="boast-push")
        try:
            while True:
                claims = self._claims()
                began = time.monotonic()
                events, self._events = self._events, []
                self._ledger.append(events)
                for lane, request, verdict in claims:
                    self._flying[pool.submit(self._send, request, verdict, began)] = (lane, request)
                if not self._flying and not self._waiting:
                    return self.sent
                done, _ = wait(self._flying, timeout=TICK, return_when=ALL_COMPLETED)
                for future in done:
                    self._landed(future, *self._flying.pop(future))
                self._look_for_stop()
                on_progress(self._result.counts)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # all has landed, or nothing can be recorded any more

    def _claims(self) -> list[tuple[Lane, Request, Verdict]]:
        """Walk the lanes until there is enough to send; what is not sent is counted, and recorded if it is news."""
        claims: list[tuple[Lane, Request, Verdict]] = []
        room = self._limits.workers * 4 - len(self._flying)
        while self._waiting and len(claims) < room and len(self._events) < BATCH:
            lane = self._waiting.popleft()
            while step := lane.next(self._known, self._repeated):
                request, verdict = step
                if verdict.send and self._may_send():
                    before = json.dumps([e.id for e in self._known.of(request)]) if request.action == "enroll" else None
                    self._events.append(note(request, verdict, self._run_id, claims=1, before=before))
                    self.sent.attempts += 1
                    claims.append((lane, request, verdict))
                    break
                if verdict.send:
                    lane.blocked = True
                    self._result.count(request, "deferred")
                    continue
                if is_news(request, verdict):
                    self._events.append(note(request, verdict, self._run_id))
                self._result.count(request, verdict.state)
        return claims

    def _may_send(self) -> bool:
        spent = self._limits.sends is not None and self.sent.attempts >= self._limits.sends
        return not spent and self._result.stopped is None

    def _send(self, request: Request, verdict: Verdict, began: float) -> Outcome:
        """In a thread of the pool. A claim that waited too long is not sent."""
        if self._result.stopped is not None:
            return gate.Outcome("deferred", code="stopped", detail="the sending was stopped before it")
        within = self._limits.claim_seconds - (time.monotonic() - began)
        account = request.account_id or ""
        if request.action == "remove":
            key = verdict.enrollment_id or ""
            outcome = gate.remove(self._client, account, key, listed=self._known.get(key) is not None, within=within)
        else:
            contact, sequence = request.contact_id or "", request.sequence_id or ""
            outcome = gate.enroll(self._client, account, contact, sequence, within=within)
        if outcome.stop and not self._asked_to_stop.is_set():
            self._result.stopped = self._result.stopped or outcome.stop  # at once: the others look before they send
            self.sent.reachable = False
        return outcome

    def _landed(self, future: Future[Outcome], lane: Lane, request: Request) -> None:
        try:
            outcome = future.result()
        except CancelledError:
            outcome = gate.Outcome("deferred", code="stopped", detail="the sending was stopped before it")
        self._events.append(note(request, outcome, self._run_id))
        self._result.count(request, outcome.state)
        lane.ended(request, outcome.state)
        if outcome.record:
            account = request.account_id or ""
            self.sent.answers.setdefault(account, []).append(outcome.record)
            self._known.learn(enrollment_of(account, outcome.record))
        if outcome.state == "unknown":
            self.sent.unknown.append(request)
        self._refusals = self._refusals + 1 if outcome.state == "refused" else 0
        self._unknowns = self._unknowns + 1 if outcome.state == "unknown" else 0
        if lane.requests:
            self._waiting.appendleft(lane)

    def _look_for_stop(self) -> None:
        result = self._result
        if self._asked_to_stop.is_set():
            result.interrupted = True
            result.stopped = result.stopped or "it was asked to stop"
        if self._refusals >= self._limits.refusals_in_a_row:
            result.stopped = result.stopped or f"{self._refusals} requests in a row were refused"
        if self._unknowns >= self._limits.unknowns_in_a_row:
            result.stopped = result.stopped or f"of {self._unknowns} requests in a row the outcome is unknown"
