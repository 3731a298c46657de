"""From a database's error code to its cause and the next step: one table.

Sources: PostgreSQL documentation, Appendix A (SQLSTATE); DuckDB's exception classes; PEP 249.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cause:
    """`what` starts the message; of the driver's own words those follow that hold no row's values."""

    what: str
    hint: str


UNREACHABLE = Cause(
    "The warehouse cannot be reached",
    "Check that it runs and that host and port are right, then run `boast check`.",
)
CREDENTIALS = Cause(
    "The warehouse does not accept the credentials",
    "Check them in .dlt/secrets.toml or in the environment, then run `boast check`.",
)
RIGHTS = Cause(
    "The warehouse's role may not do this", "Grant the right that is missing: `boast check` prints the statements."
)
READ_ONLY = Cause("The warehouse is read-only", "Point the destination at a primary server with a role that may write.")
CONSTRAINT = Cause(
    "A constraint in the warehouse refuses a row",
    "Drop the constraint, since Boast's data may break it, and state the rule in a view of your own; then run again.",
)
TYPE = Cause(
    "A column in the warehouse cannot hold a value",
    "Give the column back the type that docs/model.md names, and cast in a view of your own; then run again.",
)
TRIGGER = Cause("A trigger or function in the warehouse raised an error", "Correct or drop it, then run again.")
SCHEMA = Cause(
    "The warehouse lacks a table or column, or has another one under its name",
    "Run `boast load`, which makes again what is missing; rename what is yours.",
)
DEPENDS = Cause(
    "An object of yours depends on a table or view that must change", "Drop it, run again, and create it again after."
)
FULL = Cause("The warehouse has no room", "Free disk space or memory there, then run again.")
BUSY = Cause(
    "The warehouse is busy", "Run again when the others are done, or raise its limit of connections or its timeouts."
)
FILE = Cause("A file of the warehouse cannot be read or written", "Check its path, its permissions and the free space.")
OTHER = Cause("The destination does not answer as it should", "Run again with --debug to see where.")

_SQLSTATE = {  # the longest prefix that fits
    "08": UNREACHABLE,
    "0A": OTHER,
    "22": TYPE,
    "23": CONSTRAINT,
    "25006": READ_ONLY,
    "28": CREDENTIALS,
    "2BP01": DEPENDS,
    "38": TRIGGER,
    "39": TRIGGER,
    "3D": CREDENTIALS,
    "3F": SCHEMA,
    "40": BUSY,
    "42": SCHEMA,
    "42501": RIGHTS,
    "42804": TYPE,
    "42883": TYPE,  # no such operator between two types
    "42846": TYPE,
    "42P16": DEPENDS,
    "44": CONSTRAINT,
    "53": FULL,
    "53300": BUSY,
    "54": OTHER,
    "55": BUSY,
    "57": UNREACHABLE,
    "57014": BUSY,
    "58": FILE,
    "P0": TRIGGER,
}
_CLASSES = {  # of DuckDB, then of any driver (PEP 249)
    "BinderException": SCHEMA,
    "CatalogException": SCHEMA,
    "ConnectionException": UNREACHABLE,
    "ConstraintException": CONSTRAINT,
    "ConversionException": TYPE,
    "DependencyException": DEPENDS,
    "HTTPException": UNREACHABLE,
    "InvalidInputException": OTHER,  # an expression fails on a value
    "IOException": FILE,
    "OutOfMemoryException": FULL,
    "OutOfRangeException": TYPE,
    "ParserException": OTHER,
    "PermissionException": RIGHTS,
    "SyntaxException": OTHER,
    "TransactionException": BUSY,
    "TypeMismatchException": TYPE,
    "IntegrityError": CONSTRAINT,
    "DataError": TYPE,
    "NotSupportedError": OTHER,
    "ProgrammingError": SCHEMA,
}
_OF_CREDENTIALS = ("authentication", "password", "access denied", "pg_hba", "login", "unauthorized", "token")
_OF_REACH = ("connect", "could not translate host", "timeout", "timed out", "closed", "refused")


def cause_of(error: BaseException) -> Cause:
    """Return the cause of what a driver raised: by its SQLSTATE, else by its class, else by what it says."""
    code = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    if isinstance(code, str):
        for length in (5, 2):
            if found := _SQLSTATE.get(code[:length]):
                return found
    for base in type(error).__mro__:
        if found := _CLASSES.get(base.__name__):
            return found
    text = str(error).lower()
    if any(word in text for word in _OF_CREDENTIALS):
        return CREDENTIALS
    return UNREACHABLE if any(word in text for word in _OF_REACH) else OTHER


def place_of(error: BaseException, table: str | None = None) -> str:
    """Return the table, with the column or constraint where the driver names it; `table`: what was being loaded."""
    found: Any = getattr(error, "diag", None)
    if name := getattr(found, "table_name", None):
        table = ".".join(filter(None, (found.schema_name, name, found.column_name)))
    return f" ({table})" if table else ""
