"""Runs a dlt pipeline: with our errors, without dlt's tracebacks, and again if another run was in the way.

Only this module knows what a running pipeline raises and how dlt logs it.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.destination import exceptions
from dlt.common.destination.exceptions import DestinationException
from dlt.common.exceptions import DltException
from dlt.pipeline.exceptions import PipelineStepFailed
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random

from boast_source import signals
from boast_source.driver_text import one_line, strip
from boast_source.errors import BoastError
from boast_source.logs import log
from boast_source.warehouse.errors import explain

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dlt

    from boast_source.warehouse.base import Warehouse

_DAMAGE = (ValueError, KeyError, TypeError, OSError)  # what reading a damaged file raises


def run(warehouse: Warehouse, source: Any) -> None:
    """Extract, normalize and load a source.

    Raises the BoastError behind dlt's error, or one with the message of the destination or the system.
    """
    try:
        try:
            warehouse.pipeline.run(source)
        except PipelineStepFailed as error:
            if not _is_race(error):
                raise
            # another run altered the tables at the same time: the package is complete, only load it again
            Retrying(
                stop=stop_after_attempt(5), wait=wait_random(0.1, 1), retry=retry_if_exception(_is_race), reraise=True
            )(warehouse.pipeline.load)
    except PipelineStepFailed as error:
        log.debug("the pipeline's step %s failed", error.step, exc_info=error)
        missing = next((link for link in signals.chain(error) if isinstance(link, ConfigurationException)), None)
        raise (warehouse.unconfigured(missing) if missing else _cause(error)) from None
    except DestinationException as error:
        raise explain(error) from None


def is_pending(pipeline: dlt.Pipeline) -> bool:
    """Whether packages wait to be loaded, including unreadable ones."""
    try:
        return pipeline.has_pending_data
    except _DAMAGE:
        return True


def finish(pipeline: dlt.Pipeline) -> None:
    """Load the packages that an interrupted run left. `is_pending` then tells whether some remain."""
    try:
        pipeline.normalize()
        pipeline.load()
    except (DltException, *_DAMAGE) as error:
        log.warning("a pending package failed: %s", type(error).__name__)


def make_again(warehouse: Warehouse) -> list[str]:
    """Recreate tables and columns that somebody dropped; return their names. Raises DestinationError."""
    try:
        return warehouse.make_again()
    except (PipelineStepFailed, DestinationException) as error:
        raise explain(error) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide the tracebacks that dlt logs for failing jobs: the run ends with one line about them. With --debug
    everything is logged, but without the rows that drivers quote.
    """

    def passes(record: logging.LogRecord) -> bool:
        of_load = record.filename == "load.py" or record.levelno >= logging.ERROR
        of_trace = record.funcName == "suppress_and_warn"  # a trace that could not be written, on a full disk
        if of_load and record.levelno >= logging.WARNING and log.isEnabledFor(logging.DEBUG):
            strip(record)
        return not (of_load or of_trace) or log.isEnabledFor(logging.DEBUG)

    logger = logging.getLogger("dlt")
    logger.addFilter(passes)
    try:
        yield
    finally:
        logger.removeFilter(passes)


def _is_race(error: BaseException) -> bool:
    """Whether the tables could not be migrated, as happens when two runs migrate at once (dlt 1.31 reports that)."""
    return any(isinstance(link, getattr(exceptions, "SchemaUpdateError", ())) for link in signals.chain(error))


def _cause(error: PipelineStepFailed) -> BoastError:
    """Return our own error behind dlt's, or one with the destination's message."""
    links = [link for link in signals.chain(error) if not isinstance(link, StopIteration)]  # how dlt's loops end
    last = links[-1]
    for link in links:
        if isinstance(link, BoastError):
            return link
    if error.step == "load":
        return explain(error)
    if isinstance(last, OSError) and last.strerror:
        return BoastError(
            f"A file of the pipeline could not be written or read: {last.strerror}",
            hint="Free space and permissions in the working folder and in DLT_DATA_DIR; the next run does the rest.",
        )
    return BoastError(
        f"The step {error.step} failed: {type(last).__name__}: {one_line(last)}",
        hint="Run again with --debug to see where.",
    )
