"""The ritual around every run: settings, pipeline, lock, client, signals, record, retention.

Whatever ends a run leaves a row in `runs`, also a refusal, another run's lock or a configuration that cannot be read;
what cannot reach the warehouse is kept beside the pipeline (runs/record.py).
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
from boast_source.runs import retention
from boast_source.runs.lock import lock
from boast_source.warehouse import explain, is_of_destination
from boast_source.warehouse.pipeline import warehouse_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from boast_source.warehouse import Warehouse


class Result(Protocol):
    """What a run did so far: `tallies` are columns of `runs`, `as_json` the summary of the contract."""

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
    """A run while it lives. `result` starts empty and is replaced by what the run did. `recorded` False: the run
    writes nothing, its record neither. `at_end` hears of the finished run before it is recorded. `accounts`: the given
    ids. `died`: what the lock knows of a run that died, where that is news.
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

    @property
    def warehouse(self) -> Warehouse:
        """Where the run's data goes, inside of `running` or `recording`."""
        assert self.place is not None
        return self.place

    def summary(self) -> dict[str, Any]:
        """Return what the run did so far as `--json` prints it."""
        self.result.run_id = self.run.run_id
        return self.result.as_json()

    def nearly_over(self) -> runs.Run:
        """Record what the run did so far, as running; returns it as it ends if nothing else fails."""
        self._save()
        over = replace(self.run)
        over.finish(self.result.exit_code, "; ".join(self.result.errors) or None)
        return over

    def end(self, exit_code: int, error: str | None, *, tidy: bool = False) -> None:
        """Record the run as ended in this way, unless it writes nothing, after `at_end` has heard of it; then `tidy`
        the warehouse, which still answers.
        """
        if self.at_end:
            self.run.count(self.result.tallies())
            self.run.finish(exit_code, error)
            self.at_end(self)
        self.run.finish(exit_code, error)
        with _kept_open(self.place if tidy and self.recorded else None) as warehouse:
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
    """Enclose a run with all that comes before and after it; yields a client of the API.

    `accounts`: given ids, whose runs may go on beside others. The caller puts what the run did into `job.result`.

    Raises BoastError with the run's `summary`; a requested stop becomes StoppedError.
    """
    with recording(job, destination, dataset, accounts=accounts), contextlib.ExitStack() as stack:
        left = stack.enter_context(lock(job.warehouse.pipeline, run_id=job.run.run_id, command=job.run.command))
        job.died = left if runs.keep_died(job.warehouse, left) else None
        client = stack.enter_context(BoastClient.from_config(job.settings))
        stack.enter_context(signals.waking(client.close))
        yield client
        job.end(job.result.exit_code, "; ".join(job.result.errors) or None, tidy=True)


@contextlib.contextmanager
def recording(
    job: Job[R], destination: str | None, dataset: str | None, *, accounts: Sequence[str] = ()
) -> Iterator[None]:
    """The part of the ritual that a job has which neither locks the pipeline nor calls the API: settings, pipeline,
    and the record however it ends.

    Raises as `running`.
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
                return  # all is recorded; what a stop left untidied, a later run tidies
            raise
        said = str(failure) if isinstance(failure, BoastError) else type(failure).__name__
        job.end(getattr(failure, "exit_code", runs.FAILED), said)
        if isinstance(failure, BoastError):
            failure.summary = job.summary() | {"status": job.run.status, "error": job.run.error}
        raise failure from error


@contextlib.contextmanager
def _kept_open(warehouse: Warehouse | None) -> Iterator[Warehouse | None]:
    """Open the warehouse once for all that follows, where it can be opened at once; that makes no file."""
    with contextlib.ExitStack() as stack:
        if warehouse and (not warehouse.file or warehouse.file.exists()):
            with contextlib.suppress(Exception):  # who needs it opens it again, and says why that cannot be
                stack.enter_context(warehouse.open(patience=0))
        yield warehouse
