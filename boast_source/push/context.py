"""The context that every step of a push shares."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from boast_source.push.model import RULES, State
from boast_source.push.settle import Proof

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence

    from boast_source.api import BoastClient
    from boast_source.config import PushSettings
    from boast_source.listing.scratch import Scratch
    from boast_source.load.result import Loaded
    from boast_source.push.ledger import Event, Ledger
    from boast_source.push.pending import Pending
    from boast_source.push.result import Pushed, PushOptions

_NOT_SENT = {State.DUPLICATE.value, "late", "settled", "accepted"}  # codes of findings about earlier sends
_WATCHED = timedelta(days=30)
UNSETTLED = 600.0  # seconds; replaces settle_after when that is `never`, to bound the age of a claim


@dataclass(frozen=True)
class Context:
    """One push. Its steps fill `result` and report its counts to `on_progress`."""

    client: BoastClient
    ledger: Ledger
    pending: Pending
    scratch: Scratch
    settings: PushSettings
    options: PushOptions
    run_id: str
    result: Pushed
    on_note: Callable[[str], None]
    on_progress: Callable[[Counter[str]], None]

    @property
    def claim_seconds(self) -> float:
        """How long after its claim a request may still be sent, in seconds."""
        return (self.settings.settle_seconds or UNSETTLED) / 2

    @property
    def acts_within(self) -> float:
        """How long after its claim the server may act on a request, in seconds."""
        settle_after = self.settings.settle_seconds
        return (UNSETTLED if settle_after is None else settle_after) + self.sending_for

    @property
    def sending_for(self) -> float:
        """How long after its claim a request can still be in flight, in seconds."""
        return self.claim_seconds + self.options.request_timeout

    @property
    def reenroll_after(self) -> timedelta:
        return timedelta(seconds=self.settings.reenroll_seconds)

    @property
    def watched_for(self) -> timedelta:
        """How long to look for a second enrollment by the same request; at least 30 days."""
        return max(self.reenroll_after, _WATCHED)

    def proof(self, began: datetime, loaded: Loaded | None) -> Proof:
        """Return what a listing that started at `began` can prove."""
        exact = {str(r.account_id).lower() for r in loaded.enrollments if r.verified == "exact"} if loaded else set()
        return Proof(began, exact, self.settings.settle_seconds, self.sending_for)

    def record(self, events: Sequence[Event]) -> None:
        """Append events to the ledger and count the requests that they show as carried out."""
        self.ledger.append(events)
        self.result.sent += sum(RULES[State(e.state)].sent and e.error_code not in _NOT_SENT for e in events)
