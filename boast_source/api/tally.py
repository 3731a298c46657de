"""Counts of what went over the wire, for the run's summary."""

from __future__ import annotations

import threading


class Tally:
    """Requests sent (retries among them), retries, and pages read; counted from any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = 0
        self.retries = 0
        self.pages = 0

    def add(self, *, requests: int = 0, retries: int = 0, pages: int = 0) -> None:
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.pages += pages

    def __repr__(self) -> str:
        return f"Tally(requests={self.requests}, retries={self.retries}, pages={self.pages})"
