"""A warehouse's connection: opened once per run, after waiting if another process has the DuckDB file.

Source: `pipeline.sql_client()` of dlt.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from typing import TYPE_CHECKING, Any, TypeVar

from dlt.common.configuration.exceptions import ConfigurationException, ValueNotSecretException
from dlt.common.destination.exceptions import DestinationUndefinedEntity, SqlClientNotAvailable
from dlt.common.exceptions import MissingDependencyException
from dlt.destinations.sql_client import SqlClientBase
from dlt.pipeline.exceptions import PipelineConfigMissing
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_fixed

from boast_source import signals
from boast_source.errors import ConfigurationError, DestinationError
from boast_source.warehouse import working_folder
from boast_source.warehouse.errors import explain, explained, is_lock, is_lost

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    import dlt
    from typing_extensions import Self

SqlClient = SqlClientBase[Any]
T = TypeVar("T")


class Connected:
    """The connection to the place that a pipeline loads into."""

    has_sql = True
    table_format: str | None = None  # of the tables on a file system
    own_schemas: Collection[str] = frozenset({"information_schema"})
    borrowed = False  # whether it is, or was last, read through the run that holds it
    reads_on_the_same_connection = False  # elsewhere rows being streamed would be in the way
    how_to_configure = (
        "Set destination.{name}.credentials in .dlt/secrets.toml or DESTINATION__{NAME}__CREDENTIALS:"
        " docs/warehouses.md or dlt's documentation of {name} says how."
    )

    def __init__(self, pipeline: dlt.Pipeline) -> None:
        self.pipeline = pipeline
        self._open: SqlClient | None = None

    @property
    def client(self) -> SqlClient:
        """The connection, inside `open`, for a destination with SQL."""
        assert self._open is not None
        return self._open

    @property
    def file(self) -> Path | None:
        """The DuckDB file, if it is one."""
        return None

    @property
    def name(self) -> str:
        return str(self.pipeline.destination.destination_name)

    @property
    def dataset(self) -> str:
        return str(self.pipeline.dataset_name)

    @property
    def place(self) -> str:
        """Where the data goes, in words for people."""
        where = self.file or working_folder.shown(self.pipeline.destination)
        return f"{self.name}{f' ({where})' if where else ''}, dataset {self.dataset}"

    def check(self) -> None:
        """Raise ConfigurationError if nothing can be loaded with this configuration."""
        if self.dataset.lower() in self.own_schemas or self.dataset.lower().startswith("pg_"):
            raise ConfigurationError(
                f"The dataset cannot be called {self.dataset}: the warehouse has that name for itself",
                hint="Choose another, for example --dataset boast_data.",
            )

    def unconfigured(self, error: BaseException) -> ConfigurationError:
        """Return the error for missing or unreadable destination settings; `error`: dlt's own, which may quote them."""
        why = f"are missing or cannot be read ({type(error).__name__})"
        traces = getattr(error, "traces", {}).values()  # dlt's, for each field the names of those parts that it lacks
        if lacking := {part for found in traces for trace in found for part in getattr(trace, "traces", ())}:
            why = f"lack {', '.join(sorted(lacking))}"
        if isinstance(error, ValueNotSecretException):
            why = "are in .dlt/config.toml, where dlt does not read credentials"
        return ConfigurationError(
            f"The settings of the destination {self.name} {why}",
            hint=self.how_to_configure.format(name=self.name, NAME=self.name.upper()),
        )

    @contextlib.contextmanager
    def open(
        self,
        *,
        patience: float,
        on_wait: Callable[[str], None] | None = None,
        creates: bool = True,
        only_reads: bool = False,
    ) -> Iterator[Self]:
        """Keep the connection open for the whole run; opening it again inside yields the same one.

        If another process has the DuckDB file open, wait at most `patience` seconds; once open, the file is ours for
        the whole run. `creates` False: no missing file is created. `only_reads`: if a run of ours has the file, read
        through that run instead of waiting.

        Raises DestinationError that names the process, or the missing file.
        """
        if self._open is not None:
            yield self
            return
        if not creates and self.file and not self.file.exists():
            raise DestinationError(
                f"There is no warehouse at {self.file}",
                hint="Run `boast load` first, or run this in the folder where the file is.",
            )
        waiting = Retrying(
            stop=stop_after_delay(patience),
            wait=wait_fixed(0.2),
            retry=retry_if_exception(is_lock),
            before_sleep=lambda tried: _say_why(tried, patience, on_wait),
            reraise=True,
        )
        with contextlib.ExitStack() as stack:
            with explained():
                self._open = waiting(lambda: stack.enter_context(self._opened(only_reads=only_reads)))
            stack.callback(setattr, self, "_open", None)
            stack.callback(self._stop_reading)
            yield self

    @contextlib.contextmanager
    def _opened(self, *, only_reads: bool) -> Iterator[SqlClient | None]:
        """Open the connection of `open`; here another connection never keeps a reader out."""
        with self.session() as client:
            yield client

    def _stop_reading(self) -> None:
        """Close results that an error left half read, if they would keep the connection from closing."""

    @contextlib.contextmanager
    def session(self) -> Iterator[SqlClient | None]:
        """Yield a SQL client to read with; None if the destination has none.

        Raises ConfigurationError if the destination's settings are missing or unreadable, or its packages are missing.
        """
        if self._open is not None and self.reads_on_the_same_connection:
            yield self._open
            return
        try:
            client = self._made()
        except SqlClientNotAvailable:
            self.has_sql = False
            yield None
            return
        except (ConfigurationException, PipelineConfigMissing) as error:
            raise self.unconfigured(error) from None
        except MissingDependencyException as error:
            wanted = " ".join(f'"{name}"' for name in error.dependencies)
            raise ConfigurationError(
                f"The destination {self.name} needs packages that are not installed",
                hint=f"Install them beside the connector: pip install {wanted}",
            ) from None
        with client:
            yield client

    @functools.cached_property
    def dlts(self) -> Any:
        """Dlt's own client of the destination, made once: each one resolves the whole configuration."""
        return self.pipeline.destination_client()

    @contextlib.contextmanager
    def asking(self) -> Iterator[Any]:
        """Yield dlt's own client, over the open connection if that may be read on: for each new one DuckLake would
        attach its catalog.
        """
        if self._open is not None and self.reads_on_the_same_connection:
            client = copy.copy(self.dlts)
            client.sql_client = self._open
            yield client
            return
        with self.dlts as client:
            yield client

    def _made(self) -> SqlClient:
        return self.pipeline.sql_client()

    def is_there(self) -> bool:
        """Whether the dataset exists; checking creates no DuckDB file. Raises DestinationError."""
        if self.file and not self.file.exists():
            return False
        with explained(), self.session() as client:
            return client is None or client.has_dataset()

    def awake(self) -> None:
        """Make sure that the connection is alive: a server or a NAT may have dropped it while it was idle.

        A new connection takes the old one's locks again. Raises DestinationError if it cannot.
        """
        with explained():
            try:
                self.client.execute_sql("select 1")
            except DestinationError:  # it has reconnected, and another run has its locks
                raise
            except Exception as error:
                if not is_lost(error):
                    raise
                self.client.execute_sql("select 1")  # dlt has reconnected


def until_answered(warehouse: Connected, question: Callable[[], T]) -> T:
    """Return the answer to a question that opens the warehouse `only_reads`. Asks up to ten times while a run is read
    through: a night opens the file several times, and one of its turns may have ended. Raises what the question raises.
    """
    again = Retrying(
        stop=stop_after_attempt(10),
        wait=wait_fixed(0.2),
        retry=retry_if_exception(lambda error: warehouse.borrowed and isinstance(error, DestinationError)),
        reraise=True,
    )
    return again(question)


def _say_why(tried: RetryCallState, patience: float, on_wait: Callable[[str], None] | None) -> None:
    error = tried.outcome.exception() if tried.outcome else None
    if error and on_wait and tried.attempt_number == 1:
        on_wait(f"{explain(error).message}; waiting up to {patience:.0f} s")


def columns_in(client: SqlClient, name: str) -> list[str]:
    """Return the columns of a table or view, by its qualified name; empty if there is no such thing."""
    try:
        with client.execute_query(f"select * from {name} where 1 = 0") as cursor:
            return [str(name) for name in cursor.columns_schema]
    except DestinationUndefinedEntity:
        return []


def strange(name: str, there: Collection[str], ours: Collection[str]) -> DestinationError | None:
    """Return an error if the table or view of that qualified name has less than half of our columns.

    `there`: its columns in lower case; empty: there is no such table.
    """
    if not there or len(set(ours).intersection(there)) * 2 >= len(ours):
        return None
    return DestinationError(
        f"{name} is your own table or view: it is kept, and the connector does not create its own of that name",
        hint="Rename yours, then run again.",
    )


def columns_of_ours(client: SqlClient, name: str, ours: Collection[str]) -> set[str]:
    """Return the columns of a table of ours, in lower case; empty if there is no such table.

    Raises DestinationError if a user's table has its name.
    """
    there = {column.lower() for column in columns_in(client, name)}
    if error := strange(name, there, ours):
        raise error
    return there


def interruptible(client: SqlClient) -> contextlib.AbstractContextManager[None]:
    """Let a stop interrupt the statements inside the block on SQLite, which ignores signals, and DuckDB, which rarely
    looks for them. Other drivers wait on a socket, or do it themselves.
    """
    connection = client.native_connection
    driver = getattr(getattr(connection, "connection", None), "driver_connection", connection)
    return signals.waking(getattr(driver, "interrupt", lambda: None))
