"""Logging of the commands: quiet by default, everything with --debug, never a record's content."""

from __future__ import annotations

import logging
import os
import sys


def set_up(*, debug: bool) -> None:
    """Before dlt is imported: levels, and unless the environment says otherwise, no telemetry and no data left over."""
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    os.environ.setdefault("LOAD__DELETE_COMPLETED_JOBS", "true")  # people's data belongs into the warehouse alone
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # Arrow's own keeps what it once had
    if debug:
        os.environ.setdefault("RUNTIME__LOG_LEVEL", "INFO")
    level = logging.DEBUG if debug else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def hush_hint_warnings() -> None:
    """Dlt warns when a hint (JSON) is narrower than the Arrow type (text); ours is so on purpose, at every run."""
    logger = logging.getLogger("dlt")
    if _no_hint_warning not in logger.filters:
        logger.addFilter(_no_hint_warning)


def _no_hint_warning(record: logging.LogRecord) -> bool:
    return not (record.funcName == "_compute_tables" and record.levelno == logging.WARNING)
