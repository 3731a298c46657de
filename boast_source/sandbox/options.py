"""The options of a sandbox: a dataclass in Python, from which the command line takes its options."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

Order = Literal["created_asc", "created_desc", "updated_asc", "updated_desc"]


def _option(default: Any, told: str) -> Any:
    return field(default=default, metadata={"help": told})


@dataclass(frozen=True)
class SandboxOptions:
    """The options. Many cover a case that the API documentation leaves open and that a client must handle.

    Sizes are counts, times are seconds. Equal `seed`, counts and `now` give equal data.
    """

    port: int = _option(0, "Port on 127.0.0.1; 0 takes a free one.")
    enrollments: int = _option(500, "Number of enrollments at start.")
    seed: int = _option(1, "Equal seeds give equal data.")
    accounts: int = _option(1, "Number of accounts.")
    now: datetime = _option(datetime(2026, 6, 1, tzinfo=timezone.utc), "The sandbox's clock at start.")
    page_size: int = _option(20, "Records per page.")
    order: Order = _option("created_asc", "Order of the enrollment list.")
    past_end: Literal["empty", "404", "last"] = _option("empty", "Answer to a page number past the last page.")
    meta: bool = _option(default=True, told="Paginate, or answer with each whole list at once.")
    items_of_page: bool = _option(default=False, told="`meta.items` counts the rows of the page, not of the list.")
    on_duplicate: Literal["create", "refuse"] = _option("create", "POST for a contact already active in the sequence.")
    on_inactive: Literal["refuse", "unchanged"] = _option("refuse", "DELETE for an enrollment that is not active.")
    unknown_status: Literal[400, 404, 422] = _option(422, "Status of a POST for an unknown contact or sequence.")
    bare_401: bool = _option(default=False, told="Answer 401 without a body.")
    token_lifetime: float = _option(7200.0, "Seconds until an access token expires.")
    revoke: Literal["on_use", "at_once"] = _option(
        "on_use", "When a refresh revokes the old tokens: once a new one is used, or at once."
    )
    live: float = _option(0.0, "Sandbox seconds per real second; 86400: a day per second.")
    latency: float = _option(0.0, "Seconds added to every request.")
