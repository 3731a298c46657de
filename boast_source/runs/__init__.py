"""Runs: records, the lock, health, notifications, retention."""

from boast_source.runs.record import (
    ATTENTION,
    DONE,
    FAILED,
    LOCKED,
    STATUS,
    USAGE,
    Run,
    closing,
    ensure_table,
    keep_died,
    kept,
    now,
    save,
    shown_as_over,
    told_before,
)

__all__ = [
    "ATTENTION",
    "DONE",
    "FAILED",
    "LOCKED",
    "STATUS",
    "USAGE",
    "Run",
    "closing",
    "ensure_table",
    "keep_died",
    "kept",
    "now",
    "save",
    "shown_as_over",
    "told_before",
]
