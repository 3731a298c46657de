"""Ids that two accounts list: the warehouse holds one row per id, so one of the two records is not in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boast_source.errors import ApiError, ConfigurationError
from boast_source.listing.columns import keeps_history

if TYPE_CHECKING:
    from boast_source.listing.diff import Compared
    from boast_source.listing.reader import Swept
    from boast_source.listing.report import ListReport
    from boast_source.shapes import Shape

SAMPLE = 3  # ids to request, to tell shared records from those that moved to another account


def note_shared(compared: Compared, shape: Shape, reader: Swept | None, reports: list[ListReport]) -> None:
    """Note such ids in the reports, but not records that moved and that their old account no longer shows.

    `reader` None: nothing can be requested.
    """
    by_account = {report.account_id: report for report in reports}
    found = compared.shared_ids()
    if reader and keeps_history(shape):
        sample = found[:SAMPLE]
        if not any(all(_shows(reader, shape, key, a, by_account) for a in accounts) for key, *accounts in sample):
            return
    else:
        found = [row for row in found if by_account.keys() >= set(row[1:])]
    for key, *accounts in found:
        for report in [by_account[account] for account in accounts if account in by_account]:
            report.shared.append(key)


def _shows(reader: Swept, shape: Shape, key: str, account: str, reports: dict[str | None, ListReport]) -> bool:
    report = reports.get(account) or next(iter(reports.values()))  # which counts the request
    try:
        return reader.ask(shape, account, key, report) is not None
    except (ApiError, ConfigurationError):  # no clear answer: the next run asks again
        return False
