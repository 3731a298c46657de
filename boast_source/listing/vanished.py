"""Stored rows that no pass delivered: each is requested, unless implausibly many are gone.

If they outnumber the list's pages, a second pass that agrees with the first proves their absence with fewer requests.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from boast_source.errors import ApiError, AuthenticationError, ConfigurationError
from boast_source.listing.index import ASKED, Listed, ListIndex
from boast_source.listing.report import ListReport, Options
from boast_source.logs import log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boast_source.listing.diff import Compared
    from boast_source.listing.reader import Swept
    from boast_source.shapes import Shape


# More vanished rows than this, if also more than this share of the stored rows, are suspicious: none is marked.
GONE_ROWS, GONE_SHARE = 10, 0.2


def ask_for_undelivered(
    listed: Listed, compared: Compared, reader: Swept, options: Options, reports: list[ListReport]
) -> list[str]:
    """Return the ids that are gone: stored, delivered by no pass, and 404 when requested or absent from a second pass.

    A record that still exists is added to what was listed, and its report counts it as hidden.
    """
    whole = [report for report in reports if not report.error and report.steadiness != "recent"]
    by_account = {str(report.account_id): report for report in whole}
    undelivered = compared.undelivered(list(by_account))
    if options.bounded:  # only an unbounded run decides what is gone
        for account, _ in undelivered:
            by_account[account].unanswered += 1
        return []
    for account, _ in undelivered:
        by_account[account].suspicious += 1
    stored, delivered = compared.stored_counts(), compared.listed_counts()
    for account, report in by_account.items():
        here = stored.get(account, 0), delivered.get(account, 0)
        if options.accept_missing or not too_many(report.suspicious, *here):
            report.suspicious = 0
    believed: dict[str, list[str]] = {}
    for account, key in undelivered:
        if not by_account[account].suspicious:
            believed.setdefault(account, []).append(key)
    proved = {
        account
        for account, keys in believed.items()
        # what only an operator believes is requested one by one: a broken list may be broken twice
        if not options.accept_missing and _proved(listed, reader, by_account[account], len(keys))
    }
    open_ = [(account, key) for account, keys in believed.items() if account not in proved for key in keys]
    return [key for account in proved for key in believed[account]] + _ask(
        listed, reader, options.workers, by_account, open_
    )


def too_many(gone: int, stored: int, delivered: int) -> bool:
    """Whether so many of the stored rows are gone that a broken list is the likelier reason."""
    return gone > 0 and (not delivered or (gone > GONE_ROWS and gone > GONE_SHARE * stored))


def _proved(listed: Listed, reader: Swept, report: ListReport, absent: int) -> bool:
    """Whether a second pass proves the absence of rows; it is made only if they are many, so that it costs less."""
    if report.pages is None or absent <= max(report.pages, GONE_ROWS):
        return False
    try:
        return reader.agrees(listed.shape, report)
    except AuthenticationError:
        raise
    except ApiError as error:
        log.warning("a second pass over %s failed, so each row that is gone is asked for: %s", listed.shape.name, error)
        return False


def lost_accounts(shape: Shape, compared: Compared, options: Options, accounts: Sequence[str]) -> list[ListReport]:
    """Return reports on accounts that were once listed, even without enrollments, and that the token no longer sees."""
    if options.account_ids is not None:
        return []
    listed_once = {account for account, _ in options.states}
    known = listed_once.difference(accounts).union(compared.other_accounts(list(accounts)))
    return [_left(shape, account) for account in sorted(known)]


def _left(shape: Shape, account: str) -> ListReport:
    report = ListReport(account, shape.name, verified="failed")
    report.error = (
        "the token no longer sees this account; its rows stay as they were. Give the token access again,"
        " or set sources.boast.account_ids to the accounts that are left."
    )
    return report


def none_seen(report: ListReport) -> ListReport:
    """Turn the report on an empty list of accounts into one on a list that could not be read."""
    report.steadiness, report.verified = None, "failed"
    report.error = "the token sees no account. Ask for API access to an account in Boast, then run `boast check`."
    return report


def _ask(
    listed: Listed, reader: Swept, workers: int, reports: dict[str, ListReport], asked: list[tuple[str, str]]
) -> list[str]:
    indexes = {account: ListIndex(listed, account) for account in reports}
    gone: list[str] = []

    def ask(account: str, key: str) -> None:
        report = reports[account]
        try:
            record = reader.ask(listed.shape, account, key, report)
        except AuthenticationError:
            raise
        except (ApiError, ConfigurationError) as error:  # some ids cannot be requested, for example `..`
            log.warning("what became of %s could not be asked: %s", key, error)
            with listed.scratch.lock:
                report.unanswered += 1
            return
        with listed.scratch.lock:
            if record is None:
                gone.append(key)
            else:
                report.hidden += 1
                indexes[account].add([record], ASKED)

    with ThreadPoolExecutor(workers, thread_name_prefix="boast-ask") as pool:
        for _ in pool.map(lambda pair: ask(*pair), asked):
            pass
    for index in indexes.values():
        index.flush()
    return gone
