"""Claim, send, record: many contacts in parallel, one request per contact at a time.

A request is claimed durably before its first byte is sent. The one thread that holds the warehouse writes claims and
results in batches. The requests of one contact form a lane: each waits until the one before it has a clear outcome.
If that outcome is unclear, the rest of the lane is not sent.
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
from boast_source.push.decide import LIMITED, Facts, Origin
from boast_source.push.model import State, Verdict
from boast_source.push.snapshot import enrollment_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from boast_source.push.context import Context
    from boast_source.push.gate import Outcome
    from boast_source.push.lanes import Lane
    from boast_source.push.ledger import Event
    from boast_source.push.requests import Request

TICK = 0.03  # seconds between two writes to the ledger while requests are in flight
BATCH = 1000  # events in memory before they are written
AHEAD = 4  # requests claimed per worker
MOST_LIMITED = 3  # this many 429s in a row are a rate limit; fewer concern only those requests


@dataclass
class Sent:
    """`answers`: API records per account; `unknown`: requests without a clear outcome; `reachable`: the API was."""

    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    unknown: list[Request] = field(default_factory=list)
    attempts: int = 0
    reachable: bool = True


@dataclass
class _Flight:
    """Waiting lanes, requests in flight, events to write, and the current run of refused, unknown and 429 answers.
    `held_off`: all 429 answers.
    """

    waiting: deque[Lane]
    facts: Facts
    asked_to_stop: threading.Event
    events: list[Event] = field(default_factory=list)
    flying: dict[Future[Outcome], tuple[Lane, Request]] = field(default_factory=dict)
    refusals: int = 0
    unknowns: int = 0
    limited: int = 0
    held_off: int = 0
    sent: Sent = field(default_factory=Sent)


def dispatch(context: Context, lanes: Sequence[Lane], facts: Facts) -> Sent:
    """Send the requests of all lanes, within the limits, and count them in the context's result.

    Raises DestinationError when the ledger cannot be written; claimed requests then count as unknown.
    """
    with signals.finishing(context.client.close) as asked_to_stop:
        flight = _Flight(deque(lanes), facts, asked_to_stop)
        pool = ThreadPoolExecutor(context.options.workers, thread_name_prefix="boast-push")
        try:
            while True:
                claims = _claims(context, flight)
                began = time.monotonic()
                events, flight.events = flight.events, []
                context.record(events)
                for lane, request, verdict in claims:
                    sending = pool.submit(_send, context, flight, request, verdict, began)
                    flight.flying[sending] = (lane, request)
                if not flight.flying and not flight.waiting:
                    if flight.held_off and not context.result.stopped:
                        context.result.stopped = f"answered with HTTP 429, to be tried again: {flight.held_off}"
                    return flight.sent
                done, _ = wait(flight.flying, timeout=TICK, return_when=ALL_COMPLETED)
                for future in done:
                    _landed(context, flight, future)
                _look_for_stop(context, flight)
                context.on_progress(context.result.counts)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # all are done, or the ledger cannot be written


def _claims(context: Context, flight: _Flight) -> list[tuple[Lane, Request, Verdict]]:
    """Claim requests until the workers have enough. Count those not sent, and record them if their verdict is new."""
    claims: list[tuple[Lane, Request, Verdict]] = []
    room = context.options.workers * AHEAD - len(flight.flying)
    while flight.waiting and len(claims) < room and len(flight.events) < BATCH:
        lane = flight.waiting.popleft()
        while step := lane.next(flight.facts):
            request, verdict = step
            if verdict.send and _may_send(context, flight, request):
                there = [e.id for e in flight.facts.known.of(request)] if request.action == "enroll" else None
                before = None if there is None else json.dumps(there)
                claims.append((lane, _noted(context, flight, request, verdict, claims=1, before=before), verdict))
                flight.sent.attempts += 1
                break
            if verdict.send:
                lane.blocked = True
                context.result.count(request, State.DEFERRED)
                continue
            if request.is_news(verdict):
                _noted(context, flight, request, verdict)
            if verdict.state == State.DEFERRED and flight.facts.only == request.request_key:
                context.result.stopped = context.result.stopped or f"{request.request_key} waits: {verdict.detail}"
            context.result.count(request, verdict.state)
    return claims


def _noted(
    context: Context, flight: _Flight, request: Request, verdict: Verdict, *, claims: int = 0, before: str | None = None
) -> Request:
    """Return the request with its next event, queued for the next batch."""
    request = request.followed(verdict, context.run_id, claims=claims, before=before)
    flight.events.append(request.event)
    return request


def _may_send(context: Context, flight: _Flight, request: Request) -> bool:
    limit, result = context.options.limit, context.result
    stopped = result.stopped is not None or request.account_id in result.blocked
    return not stopped and (limit is None or flight.sent.attempts < limit)


def _send(context: Context, flight: _Flight, request: Request, verdict: Verdict, began: float) -> Outcome:
    """Send one request, in a thread of the pool, unless its claim has waited too long."""
    result, facts = context.result, flight.facts
    account = request.account_id or ""
    if result.stopped is not None or account in result.blocked:
        return gate.STOPPED
    within = context.claim_seconds - (time.monotonic() - began)
    if request.action == "remove":
        key = verdict.enrollment_id or ""
        listed, ours = facts.known.get(key) is not None, key in facts.origins
        outcome = gate.remove(context.client, account, key, listed=listed, ours=ours, within=within)
    else:
        contact, sequence = request.contact_id or "", request.sequence_id or ""
        outcome = gate.enroll(context.client, account, contact, sequence, within=within)
    if outcome.stop and not flight.asked_to_stop.is_set():
        result.stopped = result.stopped or outcome.stop  # set here, since the other threads check it before they send
        flight.sent.reachable = False
    if outcome.blocks:
        result.blocked.setdefault(account, outcome.blocks)
    return outcome


def _landed(context: Context, flight: _Flight, future: Future[Outcome]) -> None:
    lane, request = flight.flying.pop(future)
    try:
        outcome = future.result()
    except CancelledError:
        outcome = gate.STOPPED
    state, facts = outcome.verdict.state, flight.facts
    request = _noted(context, flight, request, outcome.verdict, claims=-1 if state == State.DEFERRED else 0)
    context.result.count(request, state)
    lane.ended(request, state, facts.known)
    if outcome.record:
        account, enrollment = request.account_id or "", enrollment_of(request.account_id or "", outcome.record)
        flight.sent.answers.setdefault(account, []).append(outcome.record)
        facts.known.learn(enrollment)
        made = state == State.ENROLLED or facts.is_made(enrollment.id)
        facts.origins[enrollment.id] = Origin(request.request_key, state, request.requested_at, made)
    if state == State.UNKNOWN:
        flight.sent.unknown.append(request)
    if outcome.verdict.http_status == LIMITED:
        flight.limited += 1
        flight.held_off += 1
    elif state != State.DEFERRED:
        flight.limited = 0
    flight.refusals = flight.refusals + 1 if state == State.REFUSED else 0
    if state != State.UNKNOWN:
        flight.unknowns = 0
    elif request.event.attempt == 1:  # a repeated unknown may have nothing to do with this run
        flight.unknowns += 1
    if lane.requests:
        flight.waiting.appendleft(lane)


def _look_for_stop(context: Context, flight: _Flight) -> None:
    """Stop on a signal, at a rate limit, or (circuit breaker) after too many refusals or unknowns in a row."""
    result, settings = context.result, context.settings
    if flight.asked_to_stop.is_set():
        result.interrupted = True
        result.stopped = result.stopped or "it was asked to stop"
    if flight.refusals >= settings.max_refusals_in_a_row:
        result.stopped = result.stopped or f"{flight.refusals} requests in a row were refused"
    if flight.unknowns >= settings.max_unknowns_in_a_row:
        result.stopped = result.stopped or f"of {flight.unknowns} requests in a row the outcome is unknown"
    if flight.limited >= MOST_LIMITED:
        result.stopped = result.stopped or f"{flight.limited} requests in a row were answered with HTTP 429"
