"""Logging to stderr: plain lines for people, JSON lines for machines, everything with --debug.

No line shows a record's content. `sources.boast.log_format = "json"` turns on JSON lines.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from datetime import datetime, timezone
from typing import Any

from boast_source.driver_text import traceback_of
from boast_source.errors import one_line

log = logging.getLogger("boast_source")


class OneLine(logging.Formatter):
    """Lines for people: outside text cannot start a line or steer a terminal, and no traceback shows a row."""

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info and record.exc_info[1]:
            record.exc_text = traceback_of(record.exc_info[1])  # logging prints this as the traceback
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's name
        record.message = one_line(record.message)
        return super().formatMessage(record)


class JsonLines(logging.StreamHandler):  # type: ignore[type-arg]
    """One JSON object per line: `timestamp` (UTC), `level`, `logger`, `message`, then the facts given to `say`."""

    def format(self, record: logging.LogRecord) -> str:  # ignores any formatter that dlt sets
        at = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, Any] = {
            "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[1]:
            line["traceback"] = traceback_of(record.exc_info[1])
        return json.dumps(line, default=str)


def set_up(*, debug: bool) -> None:
    """Set up logging before dlt is imported; by default, also turn off telemetry and delete completed load jobs."""
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    os.environ.setdefault("LOAD__DELETE_COMPLETED_JOBS", "true")  # personal data belongs only in the warehouse
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # Arrow's own pool does not give memory back
    if debug:
        os.environ.setdefault("RUNTIME__LOG_LEVEL", "INFO")
    else:
        warnings.filterwarnings("ignore", module=r"dlt\.")  # SQLAlchemy's warnings about dlt's own statements
    level = logging.DEBUG if debug else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


def use_json() -> None:
    """Make every line a JSON object, including dlt's, and every note a line of level `info`."""
    root, ours = logging.getLogger(), logging.getLogger("dlt")
    handler = JsonLines(sys.stderr)
    root.handlers = [handler]
    ours.handlers = [handler]  # dlt keeps a handler that is already there
    log.setLevel(min(logging.INFO, root.level))


def is_json() -> bool:
    return any(isinstance(handler, JsonLines) for handler in logging.getLogger().handlers)


def say(message: str, *, level: int = logging.INFO, error: BaseException | None = None, **facts: Any) -> None:
    """Log a line for machines; `facts`: its counts, durations and names."""
    log.log(level, "%s", message, extra={"facts": facts}, exc_info=error)


_HUSHED: set[str] = set()  # names of dlt's functions


def hush(function: str) -> None:
    """Suppress the warnings of one of dlt's functions."""
    _HUSHED.add(function)
    logger = logging.getLogger("dlt")
    if _is_heard not in logger.filters:
        logger.addFilter(_is_heard)


def _is_heard(record: logging.LogRecord) -> bool:
    return record.levelno != logging.WARNING or record.funcName not in _HUSHED
