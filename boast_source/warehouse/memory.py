"""The one rule for memory: how much DuckDB may use, as the scratch index of a listing and as the destination.

DuckDB keeps what it touches in memory up to its bound, by default 80 % of the machine, and spills the rest to disk. The
bound here is what its sorts and joins need. It follows from what was delivered, before they begin, and is never raised
because something failed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

LEAST = 128  # MB: enough to compare MANY rows
MANY = 1_000_000
PER_ROW = 24  # bytes for each beyond them; measured: 10,000,000 fail with 128 MB in all and pass with 192
BATCH = 4 * 2**20  # bytes of JSON that are collected before they become a batch; one page may bring more
PER_COLUMN = 4  # MB per undocumented field: two threads hold some thousand values of it, in several steps at once
PARSED, PARSED_ROWS = 48, 400  # copies of the undocumented fields, and the number of records that DuckDB parses at once
COPIES = 96  # of the largest record, while two threads type, hash and write
GROUP, GROUP_COPIES = 5000, 6  # rows that dlt writes into a Parquet file at once, and how many copies merging needs
_MB = 2**20


def needed(rows: int = 0, size: int = 0, widest: int = 0, columns: int = 0) -> int:
    """Return the MB needed for a list: its `rows`, bytes in all (`size`), bytes of its largest row (`widest`) and
    `columns` of undocumented fields. At most 80 % of the machine.
    """
    group = size * min(rows, GROUP) // max(rows, 1)
    wide = widest * COPIES + max(group - BATCH, 0) * GROUP_COPIES
    wide += widest * min(rows, PARSED_ROWS) * PARSED if columns else 0
    wanted = LEAST + PER_COLUMN * columns + (max(rows - MANY, 0) * PER_ROW + wide) // _MB
    return max(min(wanted, _machine() * 8 // 10), LEAST)


def _machine() -> int:
    """Return how many MB of memory this process may use at all."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")] if hasattr(os, "sysconf") else []
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(path).read_text().strip() if Path(path).exists() else ""
        if re.fullmatch(r"\d+", text):
            found.append(int(text))
    return min(found, default=16 * 1024 * _MB) // _MB
