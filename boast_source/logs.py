"""Logging of the commands on stderr: plain lines for people, JSON lines for machines, everything with --debug.

Never a record's content. Source of the JSON form: `sources.boast.log_format = "json"`.
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
    """Text for people: nothing from outside begins a line or steers a terminal, and no traceback shows a row."""

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info and record.exc_info[1]:
            record.exc_text = traceback_of(record.exc_info[1])  # which logging takes for its own
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's name
        record.message = one_line(record.message)
        return super().formatMessage(record)


class JsonLines(logging.StreamHandler):  # type: ignore[type-arg]
    """One JSON object a line: `timestamp` (UTC), `level`, `logger`, `message`, and what a line counts or times."""

    def format(self, record: logging.LogRecord) -> str:  # whatever formatter dlt sets
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
    """Before dlt is imported: levels, and unless the environment says otherwise, no telemetry and no data left over."""
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    os.environ.setdefault("LOAD__DELETE_COMPLETED_JOBS", "true")  # people's data belongs into the warehouse alone
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # Arrow's own keeps what it once had
    if debug:
        os.environ.setdefault("RUNTIME__LOG_LEVEL", "INFO")
    else:
        warnings.filterwarnings("ignore", module=r"dlt\.")  # SQLAlchemy's about dlt's own statements
    level = logging.DEBUG if debug else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


def use_json() -> None:
    """From now on every line is a JSON object, dlt's too, and notes are lines of level `info`."""
    root, ours = logging.getLogger(), logging.getLogger("dlt")
    handler = JsonLines(sys.stderr)
    root.handlers = [handler]
    ours.handlers = [handler]  # dlt keeps the first one that is there
    log.setLevel(min(logging.INFO, root.level))


def is_json() -> bool:
    return any(isinstance(handler, JsonLines) for handler in logging.getLogger().handlers)


def say(message: str, *, level: int = logging.INFO, error: BaseException | None = None, **facts: Any) -> None:
    """A line for machines; `facts`: what it counts, times or names."""
    log.log(level, "%s", message, extra={"facts": facts}, exc_info=error)


_HUSHED: set[str] = set()  # names of dlt's functions


def hush(function: str) -> None:
    """Leave out the warnings of one of dlt's functions."""
    _HUSHED.add(function)
    logger = logging.getLogger("dlt")
    if _is_heard not in logger.filters:
        logger.addFilter(_is_heard)


def _is_heard(record: logging.LogRecord) -> bool:
    return record.levelno != logging.WARNING or record.funcName not in _HUSHED
