"""What a job tells while it works."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections import Counter

    from boast_source.api import Page
    from boast_source.listing.report import ListReport

log = logging.getLogger("boast_source")


class Progress:
    """Goes to the log. commands/terminal.py has the one for people."""

    def note(self, text: str) -> None:
        """Take a sentence beside the result."""
        log.info("%s", text)

    def stage(self, name: str, seconds: float, run_id: str, **facts: Any) -> None:
        """Hear that a stage of a run is over, what it counted, and how long it took."""
        log.info("%s done in %.1f s, run %s: %s", name, seconds, run_id, facts)

    def live(self, title: str) -> contextlib.AbstractContextManager[None]:
        """Enclose the long part, in which `page` and `counts` are called."""
        log.debug("%s", title)
        return contextlib.nullcontext()

    def page(self, report: ListReport, page: Page) -> None:
        """Hear of each page that was read."""

    def counts(self, counts: Counter[str]) -> None:
        """Hear how many requests are in which state, while a push sends."""


QUIET = Progress()
