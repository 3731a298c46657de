"""`boast requests` as a function: what an operator sees of pushed requests, and decides."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from boast_source import warehouse
from boast_source.config import settings
from boast_source.errors import ConfigurationError
from boast_source.push.decisions import decide_on, listed
from boast_source.push.ledger import Ledger
from boast_source.runs.lock import lock
from boast_source.warehouse.pipeline import pipeline_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boast_source.push.ledger import Event


def requests_job(
    destination: str | None = None,
    dataset: str | None = None,
    *,
    action: str,
    keys: Sequence[str] = (),
    states: Sequence[str] = (),
) -> list[Event]:
    """List requests, or record an operator's decision about them.

    Args:
        destination, dataset: where the ledger is.
        action: `list`, `release`, `retry` or `drop`.
        keys: of the requests to decide about.
        states: of the requests to list; none: those that need attention.

    Returns the newest event of each request.

    Raises ConfigurationError when there is no ledger, no such request, or nothing to decide about it.
    """
    found = settings()
    pipeline = pipeline_for(destination, dataset)
    with lock(pipeline), warehouse.connected(pipeline, patience=found.lock_timeout, creates=False) as client:
        ledger = Ledger(client) if client else None
        if ledger is None or not ledger.exists():
            raise ConfigurationError(
                "There is no ledger", hint="It comes with the first push: `boast push --new-ledger`."
            )
        if action == "list":
            return listed(ledger, states)
        warehouse.lock_sender(ledger.client, single_sender=True)
        return decide_on(ledger, action, keys, uuid.uuid4().hex)
