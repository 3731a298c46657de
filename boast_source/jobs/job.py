"""The frame of every run: settings, pipeline, lock, client, signals, record, retention.

Every run leaves a row in `runs`, even if it was refused, found another run's lock or could not read its configuration.
If the warehouse cannot be reached, the row is kept in the pipeline's folder until it can (runs/record.py).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from boast_source import runs, signals
from boast_source.api import BoastClient
from boast_source.config import Settings, account_ids_from, settings
from boast_source.errors import BoastError, StoppedError
from boast_source.jobs.progress import QUIET, Progress
from boast_source.runs import health, notify, retention
from boast_source.runs.lock import lock
from boast_source.warehouse import Warehouse, explain, is_of_destination
from boast_source.warehouse.pipeline import warehouse_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Result(Protocol):
    """A run's result so far. `tallies`: values of `runs` by column; `as_json`: the documented summary (`--json`)."""

    run_id: str

    @property
    def exit_code(self) -> int: ...
    @property
    def errors(self) -> list[str]: ...
    def tallies(self) -> dict[str, Any]: ...
    def as_json(self) -> dict[str, Any]: ...


R = TypeVar("R", bound=Result)


@dataclass
class Job(Generic[R]):
    """A run in progress. `result`: empty at first, then replaced by the run's result. `recorded` False: a dry run,
    which is not recorded. `at_end`: called with the finished run before it is recorded. `accounts`: ids given by the
    caller. `died`: the lock's data about an earlier run that died, if not reported yet. `held`: what `running` closes.
    """

    run: runs.Run
    result: R
    progress: Progress = QUIET
    recorded: bool = True
    at_end: Callable[[Job[R]], None] | None = None
    settings: Settings = field(default_factory=Settings)
    accounts: tuple[str, ...] = ()
    place: Warehouse | None = None
    died: dict[str, Any] | None = None
    ended: bool = False
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def warehouse(self) -> Warehouse:
        """The run's warehouse; available only inside `running` or `recording`."""
        assert self.place is not None
        return self.place

    def keep_open(self) -> None:
        """Open the warehouse until the run is recorded: each opening of a DuckDB file takes 50 ms.

        Raises what opening it raises.
        """
        patience, on_wait = self.settings.lock_timeout, self.progress.note
        self.held.enter_context(self.warehouse.open(patience=patience, on_wait=on_wait))

    def summary(self) -> dict[str, Any]:
        """Return the summary so far, as `--json` prints it."""
        self.result.run_id = self.run.run_id
        return self.result.as_json()

    def nearly_over(self) -> runs.Run:
        """Record the run so far as still running. Return a copy as it will end if nothing else fails."""
        self._save()
        over = replace(self.run)
        over.finish(self.result.exit_code, "; ".join(self.result.errors) or None)
        return over

    def end(self, exit_code: int, error: str | None, *, tidy: bool = False) -> None:
        """Call `at_end`, then record the run with this exit code and error, unless `recorded` is False. `tidy`: then
        apply retention.
        """
        if self.at_end:
            self.run.count(self.result.tallies())
            self.run.finish(exit_code, error)
            self.at_end(self)
        self.run.finish(exit_code, error)
        with kept_open(self.place if tidy and self.recorded else None) as warehouse:
            self._save()
            self.ended = True
            if warehouse:
                retention.tidy(warehouse, self.settings)

    def _save(self) -> None:
        self.result.run_id = self.run.run_id
        self.run.count(self.result.tallies())
        if self.recorded:
            runs.save(self.place, self.run)


@contextlib.contextmanager
def running(
    job: Job[R], destination: str | None, dataset: str | None, *, accounts: Sequence[str] = ()
) -> Iterator[BoastClient]:
    """Do what comes before and after every run; yield an API client.

    `accounts`: given ids; runs of different accounts may run in parallel. The caller sets `job.result`.

    Raises BoastError with the run's `summary`; StoppedError if a stop was requested.
    """
    with recording(job, destination, dataset, accounts=accounts), contextlib.ExitStack() as stack:
        left = stack.enter_context(lock(job.warehouse.pipeline, run_id=job.run.run_id, command=job.run.command))
        job.died = left if runs.keep_died(job.warehouse, left) else None
        client = stack.enter_context(BoastClient.from_config(job.settings))
        stack.enter_context(signals.waking(client.close))
        stack.enter_context(job.held)
        yield client
        job.end(job.result.exit_code, "; ".join(job.result.errors) or None, tidy=True)


@contextlib.contextmanager
def recording(
    job: Job[R], destination: str | None, dataset: str | None, *, accounts: Sequence[str] = ()
) -> Iterator[None]:
    """Read the settings, find the warehouse, and record the run however it ends. For jobs that need neither the lock
    nor the API; the others use `running`.

    Raises what `running` raises.
    """
    try:
        job.settings = settings()
        job.accounts = account_ids_from(list(accounts)) or ()
        job.run.account_ids = ",".join(job.accounts) or None
        job.place = warehouse_for(destination, dataset, job.accounts)
        yield
        if not job.ended:
            job.end(job.result.exit_code, "; ".join(job.result.errors) or None)
    except BaseException as error:
        known = explain(error) if is_of_destination(error) else error
        failure = StoppedError() if signals.caused(error) else known
        if job.ended:
            if isinstance(failure, StoppedError):
                return  # the run is recorded; a later run applies retention
            raise
        said = str(failure) if isinstance(failure, BoastError) else type(failure).__name__
        job.end(getattr(failure, "exit_code", runs.FAILED), said)
        if isinstance(failure, BoastError):
            failure.summary = job.summary() | {"status": job.run.status, "error": job.run.error}
        raise failure from error


def tell(job: Job[Any]) -> None:
    """Notify the webhook of what is new since the last notification, before the run is recorded."""
    run, waiting = job.run, None
    with contextlib.suppress(Exception):  # the run's own error covers a warehouse that cannot be read
        waiting = health.waiting(job.place) if job.place and run.exit_code != runs.LOCKED else None
    notify.tell(job.place, run, waiting, job.progress.note)


@contextlib.contextmanager
def kept_open(warehouse: Warehouse | None) -> Iterator[Warehouse | None]:
    """Keep the warehouse open inside the block, if it opens without waiting. Creates no file."""
    with contextlib.ExitStack() as stack:
        if warehouse and (not warehouse.file or warehouse.file.exists()):
            with contextlib.suppress(Exception):  # later users open it themselves and report the error
                stack.enter_context(warehouse.open(patience=0))
        yield warehouse
