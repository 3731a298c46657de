"""What a warehouse's errors mean, in one line and without anybody's data."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import duckdb
from dlt.destinations.exceptions import DatabaseException, DestinationConnectionError

from boast_source import signals
from boast_source.driver_text import is_drivers, one_line
from boast_source.errors import DestinationError
from boast_source.warehouse.causes import BUSY, FILE, FULL, RIGHTS, UNREACHABLE, cause_of, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def explained(table: str | None = None) -> Iterator[None]:
    """Turn whatever the destination raises inside into a DestinationError. `table`: what is read or written."""
    try:
        yield
    except Exception as error:
        if not is_of_destination(error):
            raise
        raise explain(error, table) from None


def is_of_destination(error: BaseException) -> bool:
    """Whether dlt or a driver raised it."""
    return isinstance(error, (DestinationConnectionError, DatabaseException, duckdb.Error)) or is_drivers(error)


def is_lost(error: BaseException) -> bool:
    """Whether the connection is lost or was never made, rather than the statement wrong."""
    cause = _driver(error)
    if isinstance(cause, DestinationConnectionError) or is_lock(cause):
        return True
    for link in signals.chain(error):
        if hasattr(link, "connection_invalidated"):  # SQLAlchemy's: SQLite and MariaDB call every failure operational
            return bool(link.connection_invalidated) or cause_of(cause) in {UNREACHABLE, BUSY, FULL, FILE}
    return any(base.__name__ in {"OperationalError", "InterfaceError"} for base in type(cause).__mro__)


def is_forbidden(error: BaseException) -> bool:
    """Whether the only cause is that the role lacks a right."""
    return cause_of(_driver(error)) == RIGHTS


def _driver(error: BaseException) -> BaseException:
    """Return the driver's own error behind dlt's."""
    links = signals.chain(error)
    drivers = [link for link in links if is_of_destination(link)]
    return drivers[-1] if drivers else links[-1]


def words_of(error: BaseException) -> str:
    """Return the driver's message, or the error's class if the message may hold somebody's data."""
    return one_line(_driver(error))


def explain(error: BaseException, table: str | None = None) -> DestinationError:
    """Return a destination's error in one line, with the next step; `error` may be dlt's, with the driver's behind it.

    `table`: what was read or written, if the error does not say so.
    """
    links = signals.chain(error)
    driver = _driver(error)
    text = " ".join(str(driver).split())
    if is_lock(driver):
        holder = re.search(r"\(PID (\d+)\)", text)
        program = re.search(r"lock is held in (\S+)", text)
        who = f"process {holder[1]}" if holder else "another process"
        name = f" ({program[1].rsplit('/', 1)[-1]})" if program else ""
        return DestinationError(
            f"The DuckDB file is locked by {who}{name}",
            hint="Close the program that has the file open (a dashboard, a SQL shell), or let it read the published"
            " copy (publish_path) instead; then run again.",
        )
    cause = cause_of(driver)
    jobs = [str(getattr(link, "job_id", "")) for link in links]  # <table>.<hash>.<retries>.<format>
    where = place_of(driver, max(jobs).partition(".")[0] or table)
    return DestinationError(f"{cause.what}{where}: {one_line(driver)}", hint=cause.hint)


def is_lock(error: BaseException) -> bool:
    return "Could not set lock on file" in str(error)
