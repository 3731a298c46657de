"""What a run leaves: its record, its lock, the health they add up to, what is told of it, what is forgotten."""

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
