"""The options of a listing, and the report on each list of each account."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from boast_source.api import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from boast_source.listing.incremental import Incremental
    from boast_source.listing.order import ListState, Order
    from boast_source.listing.sweep import Steadiness

Verified = Literal["exact", "covered", "recent", "moving", "failed"]
# what each word means, the surest first: for the terminal, the report and docs/reference.md
MEANING: dict[str, str] = {
    "exact": "two passes in a row delivered the same records, and the warehouse matches them",
    "covered": "every record that the list counted was delivered, and the warehouse matches",
    "recent": "the changes since the last full listing are stored, and the counts agree",
    "moving": "the list changed while it was read, or its count exceeds its rows; all that was seen is stored",
    "failed": "a list could not be read, the warehouse does not hold what was seen, or suspiciously many rows are gone",
}


@dataclass
class ListReport:
    """What happened to one list of one account (`account_id` None: the list of accounts)."""

    account_id: str | None
    resource: str
    listed: int = 0
    loaded: int = 0
    missing: int = 0
    passes: int = 0
    steadiness: Steadiness | None = None
    unanswered: int = 0  # stored, not delivered, and the API gave no clear answer about it
    hidden: int = 0  # stored, not delivered, but still there
    suspicious: int = 0  # stored, not delivered, too many to believe
    gone: list[str] = field(default_factory=list)  # stored ids that an incremental pass found to be gone
    short: int = 0  # counted by the API but delivered by no pass, although the passes agree
    nameless: int = 0  # records without an id, which cannot be stored
    shared: list[str] = field(default_factory=list)  # ids that another account lists, too
    verified: Verified | None = None
    error: str | None = None
    tally: Tally = field(default_factory=Tally)
    whole: str | None = None  # why an incremental run read it whole
    # for the next run (order.ListState)
    began: datetime | None = None
    order: Order | None = None
    newest: datetime | None = None
    counted: int | None = None
    pages: int | None = None
    unlisted: list[str] = field(default_factory=list)  # stored ids that a full pass did not deliver (Options.unlisted)
    silent: int = 0  # records whose content changed but whose cursor did not

    def verify(self, repeated: int, unequal: int, twice: int = 0, lost: int = 0) -> None:
        """Set `verified` after the load. `repeated`: rows beyond one per id; `unequal`: records not as listed;
        `twice`, `lost`: versions that the history holds more than once, or not at all.
        """
        if repeated or unequal or twice or lost or self.suspicious or self.nameless or self.shared:
            self.verified = "failed"
            self.error = self._failure(repeated, unequal, twice, lost)
        elif self.unanswered:
            self.verified = "moving"
        elif self.hidden:
            self.verified = "covered" if self.steadiness == "exact" else self.steadiness
        else:
            self.verified = self.steadiness

    def _failure(self, repeated: int, unequal: int, twice: int, lost: int) -> str:
        if self.suspicious:
            return (
                f"{self.suspicious} stored enrollments are no longer listed, too many to believe: nothing was marked"
                " missing. Look at the account in Boast; if they are gone indeed, run `boast load --accept-missing`."
            )
        if repeated or twice:
            shared = f"{repeated} rows of {self.resource} share their id"
            if not repeated:
                shared = f"{twice} rows of {self.resource}_history share their version_key"
            return f"{shared} with another. Remove the extra rows, then load again."
        if lost:
            return (
                f"{lost} versions did not reach {self.resource}_history. Remove the trigger or rule that drops its"
                " rows, then load again."
            )
        if self.shared:
            return (
                f"another account lists {len(self.shared)} of these ids, too (one is {self.shared[0]}), and the"
                " warehouse holds one row per id. Give each account a dataset of its own: `boast load --account ID"
                " --dataset NAME`."
            )
        if self.nameless:
            return f"records without an id, which were left out: {self.nameless}. Ask Boast."
        hint = "Run `boast load --full-refresh`; if that changes nothing, remove your trigger or rule on it."
        return f"{unequal} records of {self.resource} differ from what was listed. {hint}"


@dataclass(frozen=True)
class Options:
    """How to list. `account_ids` None: all that the token sees. `since`/`until` bound the cursor, [since, until).
    `prove`: read until two passes agree, for every list or the one of this name. `unlisted`: note in the reports which
    stored records are no longer listed, for lists whose rows stay.
    """

    account_ids: tuple[str, ...] | None = None
    workers: int = 8
    prove: bool | str = False
    everything: bool = False
    since: datetime | None = None
    until: datetime | None = None
    accept_missing: bool = False  # an operator confirms that many vanished rows are no accident
    unlisted: bool = False
    keep_going: bool = False  # a failing account is reported, not raised
    mended: bool = False  # columns were dropped: the stored rows were never versions
    incremental: Incremental | None = None  # None: every list is read whole
    states: Mapping[tuple[str, str], ListState] = field(default_factory=dict)  # by account and list, of earlier runs

    @property
    def bounded(self) -> bool:
        return self.since is not None or self.until is not None

    def within(self) -> str:
        """Return an SQL condition on a record's cursor, called `moment`: it is in the range or null."""
        bounds = []
        if self.since:
            bounds.append(f"moment >= '{self.since.isoformat()}'::timestamptz")
        if self.until:
            bounds.append(f"moment < '{self.until.isoformat()}'::timestamptz")
        return f"(moment is null or ({' and '.join(bounds)}))" if bounds else "true"
