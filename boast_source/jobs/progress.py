"""Progress: what a job reports while it runs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from boast_source.logs import log

if TYPE_CHECKING:
    from collections import Counter

    from boast_source.api import Page
    from boast_source.listing.report import ListReport


class Progress:
    """Progress that goes to the log. commands/terminal.py has the one for the terminal."""

    def note(self, text: str) -> None:
        """Report a note for the user, one sentence."""
        log.info("%s", text)

    def stage(self, name: str, seconds: float, run_id: str, **facts: Any) -> None:
        """Report that a stage of a run is done, with its duration and counts."""
        log.info("%s done in %.1f s, run %s: %s", name, seconds, run_id, facts)

    def live(self, title: str) -> contextlib.AbstractContextManager[None]:
        """Return a context for the long part of the job, in which `page` and `counts` are called."""
        log.debug("%s", title)
        return contextlib.nullcontext()

    def page(self, report: ListReport, page: Page) -> None:
        """Report a page that was read."""

    def counts(self, counts: Counter[str]) -> None:
        """Report the number of requests by state, while a push sends."""


QUIET = Progress()
