"""What a sandbox can be told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

Order = Literal["created_asc", "created_desc", "updated_asc", "updated_desc"]
PastEnd = Literal["empty", "404", "last"]
Revoke = Literal["on_use", "at_once"]


@dataclass(frozen=True)
class SandboxOptions:
    """The API documentation leaves much open; each option is one of the cases a client must be ready for.

    Sizes are counts, times are seconds. Equal `seed`, counts and `now` give equal data.
    """

    port: int = 0
    enrollments: int = 500
    seed: int = 1
    accounts: int = 1
    now: datetime = datetime(2026, 6, 1, tzinfo=timezone.utc)  # the sandbox's clock when it starts
    page_size: int = 20
    order: Order = "created_asc"
    past_end: PastEnd = "empty"
    meta: bool = True  # False: no pagination, every list is one answer
    items_of_page: bool = False  # `items` is the number of rows of this page instead of the page size
    on_duplicate: Literal["create", "refuse"] = "create"  # POST for a pair that is active already
    on_inactive: Literal["refuse", "unchanged"] = "refuse"  # DELETE of an enrollment that is not active
    unknown_status: int = 422  # POST for an unknown contact or sequence
    bare_401: bool = False  # a 401 without a body
    token_lifetime: float = 7200.0
    revoke: Revoke = "on_use"  # when a refresh ends the old tokens: at the new one's first use, or at once
    live: float = 0.0  # sandbox seconds per real second; 0: time stands still
    latency: float = 0.0  # per request
