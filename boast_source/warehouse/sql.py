"""Named queries from a `.sql` file: each begins with a line `-- name --`, then its comment, then one statement.

A placeholder is `{name}`: a table, a list of columns, an expression. All are substituted in one pass, so a value that
looks like a placeholder stays as it is. Row values are never substituted; they are parameters of the statement.
"""

from __future__ import annotations

import functools
import re
from importlib import resources

_TITLE = re.compile(r"^-- (\w+) --$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@functools.cache
def queries(package: str, file: str) -> dict[str, str]:
    """Return the statements of a file of the package, by name."""
    text = (resources.files(package) / file).read_text(encoding="utf-8")
    _, *parts = _TITLE.split(text)
    found = {name: sql.strip() for name, sql in zip(parts[::2], parts[1::2], strict=True)}
    if len(found) != len(parts) // 2:
        raise ValueError(f"{file} names a query twice")
    return found


def filled(sql: str, **values: str) -> str:
    """Return the statement with each placeholder replaced. Raises KeyError for one without a value."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], sql)
