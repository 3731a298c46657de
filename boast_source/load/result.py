"""The result of a load."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from boast_source.listing.report import MEANING, ListReport
from boast_source.runs import DONE, STATUS
from boast_source.shapes import SEQUENCE_ENROLLMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boast_source.errors import BoastError


@dataclass
class Loaded:
    """The result of a load: a report per account and list, the exit code of the listing, and how long it took.

    `place`: the destination, in words. `unmade`: errors of the run's outputs that failed (the published copy).
    `bounded`: only a range of the cursor was loaded.
    """

    reports: list[ListReport] = field(default_factory=list)
    listing_code: int = DONE
    seconds: float = 0.0
    run_id: str = ""
    place: str = ""
    unmade: Sequence[BoastError] = ()
    bounded: bool = False

    @property
    def exit_code(self) -> int:
        return self.unmade[0].exit_code if self.unmade else self.listing_code

    @property
    def enrollments(self) -> list[ListReport]:
        """The reports on enrollments, one per account."""
        return [r for r in self.reports if r.resource == SEQUENCE_ENROLLMENTS.name]

    @property
    def others(self) -> list[ListReport]:
        """The reports on all other lists, except the list of accounts."""
        return [r for r in self.reports if r.resource != SEQUENCE_ENROLLMENTS.name and r.account_id]

    @property
    def errors(self) -> list[str]:
        accounts = dict.fromkeys(report.account_id for report in self.reports)
        every = {account: [r for r in self.reports if r.account_id == account] for account in accounts}
        failed = [
            f"account {account}{f', {resource}' if resource else ''}: {error}" if account else error
            for account in accounts
            for resource, error in _told(every[account])
        ]
        return [*failed, *map(str, self.unmade)]

    @property
    def verified(self) -> str | None:
        """The weakest verification of all accounts."""
        words = ["failed" if r.error else (r.verified or "moving") for r in self.enrollments]
        return max(words, key=list(MEANING).index) if words else None

    @property
    def whole(self) -> dict[str, list[str]]:
        """The lists that an incremental run read whole, by reason."""
        found: dict[str, list[str]] = {}
        for r in self.reports:
            if r.whole and r.resource not in found.setdefault(r.whole, []):
                found[r.whole].append(r.resource)
        return found

    def total(self, count: str) -> int:
        return sum(getattr(report, count) for report in self.enrollments)

    def tallies(self) -> dict[str, Any]:
        """Return the values that `runs` stores, by column. A bounded load verifies nothing beyond its range, so it has
        neither `verified` nor `listed`, and does not count as a good run.
        """
        counts = {name: self.total(name) for name in ("listed", "loaded", "missing")}
        return counts | ({"verified": None, "listed": None} if self.bounded else {"verified": self.verified})

    def as_json(self) -> dict[str, Any]:
        """Return the documented summary (`load --json`)."""
        summary = {
            "run_id": self.run_id,
            "status": STATUS[self.exit_code],
            "accounts": [self._account(report) for report in self.enrollments],
        }
        return summary | ({"error": "; ".join(self.errors)} if self.unmade else {})

    def _account(self, report: ListReport) -> dict[str, Any]:
        every = [r for r in self.reports if r.account_id == report.account_id]
        return {
            "account_id": report.account_id,
            "listed": report.listed,
            "loaded": report.loaded,
            "missing": report.missing,
            "pages": report.tally.pages,
            "requests": sum(r.tally.requests for r in every),
            "retries": sum(r.tally.retries for r in every),
            "passes": report.passes,
            "verified": "failed" if report.error else report.verified,
            "whole": {r.resource: r.whole for r in every if r.whole},
            "error": "; ".join(f"{name}: {error}" if name else error for name, error in _told(every)) or None,
        }


def _told(reports: Sequence[ListReport]) -> list[tuple[str | None, str]]:
    """Return the errors of one account, each with its list; an error that several lists share comes once, with None."""
    lists: dict[str, list[str]] = {}
    for report in reports:
        if report.error:
            lists.setdefault(report.error, []).append(report.resource)
    return [(names[0] if len(names) == 1 else None, error) for error, names in lists.items()]
