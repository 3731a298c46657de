"""Runs: records, the lock, health, notifications, retention."""

from boast_source.runs.record import (
    ATTENTION,
    DONE,
    FAILED,
    LOCKED,
    STATUS,
    USAGE,
    Run,
    ensure_table,
    keep_died,
    kept,
    now,
    save,
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
    "ensure_table",
    "keep_died",
    "kept",
    "now",
    "save",
    "told_before",
]
