"""Driver messages without row values: only text known to hold none is kept, otherwise just the error's class.

_SAFE lists the known messages, including the names of tables, columns and constraints. Databases quote names and values
alike: a quoted name is kept if the word before it says what it names ("column", "constraint").
"""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Any

from boast_source import signals

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

# where Postgres, DuckDB and SQLAlchemy begin the part of a message that holds rows, statements or values
_REST = re.compile(
    r"\s*\n?(?:\b(?:DETAIL|CONTEXT|HINT|QUERY|STATEMENT|WHERE|LINE \d+|Failing row contains)\b:?|\[SQL:|\[parameters:"
    r"|\(Background on this error at:).*",
    re.DOTALL,
)
_NAMES = (
    "catalog|columns?|constraint|database|dataset|directory|extension|file|for key|function|host|index|named|option"
    "|parameter|partition|port|relation|role|schema|sequence|server at|setting|tables?|trigger|type|user|view|with name"
)
_NAMED = re.compile(rf"(?:\b(?:{_NAMES})\s+|[\"'][.@])$", re.IGNORECASE)
_QUOTED = re.compile(r"[\"']")
_APOSTROPHE = re.compile(r"^\w'(?:t|s|re|ve)\b")
_NUMBER = re.compile(r"\b(value:?) [-+.\w]*\d[-+.\w]*")
_ACCOUNT = re.compile(r"[^\s\"'@/]*(?::[^\s\"'@/]*)?@(?=[\w\[.-])")
_LONGEST = 300
# DuckDB begins each message with its class; the first ones are raised before any row is read
_ROWLESS = "Binder|Catalog|Connection|Dependency|HTTP|IO|Parser|Permission|TransactionContext"
_OTHERS = (
    "Constraint|Conversion|Decimal|Divide by Zero|Executor|Expression|FATAL|Index|INTERNAL|INTERRUPT|Invalid"
    "|Invalid Configuration|Invalid Input|Invalid type|Mismatch Type|Missing Extension|Not implemented|NullPointer"
    "|Object Size|Out of Memory|Out of Range|Optimizer|Planner|Scheduler|Sequence|Serialization|Settings|Stat|Syntax"
)
_DUCKDB = re.compile(rf"(?:(?P<rowless>{_ROWLESS})|{_OTHERS}) Error(?=:|$)")
_TYPES = "U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?\\d*|UUID|BOOL|BOOLEAN|DATE|TIME|TIMESTAMP|DOUBLE|FLOAT|JSON|ENUM"
_TYPE = re.compile(rf"(?:to|to type|destination type) ({_TYPES})\b")
_COLUMN = re.compile(r"\bfrom (?:source )?column (\w+)$")
_DRIVERS = "duckdb|mysql|MySQLdb|oracledb|psycopg2?|pymysql|pyodbc|snowflake|sqlite3"
_SQLALCHEMY = re.compile(rf"\((?:{_DRIVERS})(?:\.\w+)*\.(\w+)\) (.*)", re.DOTALL)
_MYSQL = re.compile(r"\((\d+), ([\"'])(.*)\2\)", re.DOTALL)  # number and text
_OBJECT = r"(?:column|constraint|database|function|materialized view|relation|role|schema|sequence|table|type|view)"
_NAME = r"[\w.\"]+"
_LACKS = {"3D000", "3F000", "42703", "42704", "42883", "42P01"}  # Postgres: no object of that name
_SERVERS_OWN = ("COPY ", "JSON data", "parallel worker")  # contexts that Postgres itself adds
# errors while connecting, before there are rows: trusted only if the error has no SQLSTATE
_REACHING = re.compile(
    r"(?:FATAL|connection to server|could not (?:connect|translate)|Connection refused|timeout expired).*"
)
_SAFE = [
    re.compile(shape)
    for shape in (
        # Postgres
        r"null value in column \S+(?: of relation \S+)? violates not-null constraint",
        r"duplicate key value violates unique constraint \S+",
        r"(?:insert or update|update or delete) on table \S+ violates foreign key constraint \S+(?: on table \S+)?",
        r"new row for relation \S+ violates (?:check constraint \S+|partition constraint|row-level security policy)",
        rf"value for domain {_NAME} violates check constraint \S+|domain {_NAME} does not allow null values",
        rf"{_OBJECT} {_NAME}(?: of relation \S+|\([\w ,.\[\]]*\))? (?:does not exist|already exists)",
        r"invalid input (?:syntax for type|value for enum) [\w. ]+|value too long for type [\w. ]+(?:\(\d+\))?",
        r"(?:smallint|integer|bigint|numeric field|real|double precision|timestamp|date) (?:out of range|overflow)",
        r"division by zero|out of (?:shared )?memory|deadlock detected|could not serialize access|syntax error",
        r"value … is out of range for type (?:smallint|integer|bigint|numeric|real|double precision)",
        rf"permission denied (?:for {_OBJECT} {_NAME}|to (?:alter|create|drop|set) \w+)",
        rf"must be (?:owner of {_OBJECT} {_NAME}|superuser)|cannot execute [A-Z ]+ in a read-only transaction",
        r"canceling statement due to (?:user request|statement timeout|lock timeout|conflict with recovery)",
        rf"cannot (?:alter|drop) {_OBJECT} {_NAME}(?: of table {_NAME})? because other objects depend on it",
        r"cannot alter type of a column used by a view or rule|cannot drop columns from view",
        r"cannot change (?:name|data type) of view column \S+",
        rf"column \S+ (?:is of|cannot be cast automatically to) type {_NAME}",
        r"operator does not exist: [\w ]+ [=<>|]+ [\w ]+",
        r"(?:UNION|INTERSECT|EXCEPT|CASE|COALESCE|IN) types [\w ]+ and [\w ]+ cannot be matched",
        r"terminating connection due to (?:administrator command|[a-z-]+ timeout|conflict with recovery)",
        r"cannot execute MERGE on relation \S+",
        r"cannot (?:update|delete from) table \S+ because it does not have a replica identity",
        r"server closed the connection unexpectedly|SSL connection has been closed|connection already closed",
        r"(?:sorry, )?too many (?:clients already|connections)|remaining connection slots are reserved",
        r"the database system is (?:in recovery mode|not (?:yet )?accepting connections|shutting down|starting up)",
        r"could not (?:create|extend|open|read|write)(?: to)? file|No space left on device",
        # MySQL, MariaDB
        r"Access denied for user \S+(?: to database \S+)?|Can.t connect to \w+ server|Lost connection to \w+ server",
        r"Table [^ ]+ (?:doesn't exist|already exists)|Unknown column(?: … in)?|Column [^ ]+ cannot be null",
        r"(?:Data too long|Out of range value|Data truncated) for column \S+|Incorrect \w+ value",
        r"Duplicate entry|Cannot (?:add or update|delete or update) a (?:child|parent) row",
        r"Lock wait timeout exceeded|Deadlock found|CONSTRAINT \S+ failed|[A-Z ]+ command denied to user",
        # SQLite
        r"no such (?:table|column|function): [\w.]+|table \w+ has no column named \w+|datatype mismatch",
        r"near …: syntax error|incomplete input",
        r"(?:UNIQUE|NOT NULL|CHECK|FOREIGN KEY) constraint failed(?:: [\w., ]+)?",
        r"database (?:is locked|or disk is full|schema has changed)|attempt to write a readonly database",
        r"unable to open database file|disk I/O error|integer overflow|malformed JSON",
        r"\w+ \((?:SQLSTATE|error) \w+\)$",  # what `said` returns for an unknown message
        # DuckDB, after its class
        r"PRIMARY KEY or UNIQUE constraint violation|Violates foreign key constraint",
        r"Duplicate key … violates (?:primary key|unique) constraint|CHECK constraint failed on table \S+",
    )
]


def said(error: BaseException) -> str:
    """Return an error's text; a driver's only if it is known to hold no value, else its class and code."""
    if not is_drivers(error):
        return bare(str(error))
    error = getattr(error, "orig", None) or error  # SQLAlchemy wraps it
    kind = type(error).__name__
    code = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    if code is None and _REACHING.match(reached := bare(str(error))):
        return reached
    return ("" if is_raised(error) else _known(str(error))) or (f"{kind} (SQLSTATE {code})" if code else kind)


def is_raised(error: BaseException) -> bool:
    """Whether a function or trigger may have raised it: then any of its text and names may be a row's values."""
    told: Any = getattr(error, "diag", None)  # Postgres: its context begins with the innermost frame
    context = getattr(told, "context", None) or ""
    if getattr(told, "internal_query", None) or (context and not context.startswith(_SERVERS_OWN)):
        return True
    if getattr(error, "pgcode", "") in _LACKS and told and not told.statement_position:
        return True  # not a name in the statement: casts like `name::regclass` look up a row's value
    return getattr(error, "sqlite_errorname", "") == "SQLITE_CONSTRAINT_TRIGGER"  # SQLite: RAISE


def is_drivers(error: BaseException) -> bool:
    """Whether a driver raised it: PEP 249 names the class, and drivers share no base."""
    return any(base.__name__ == "DatabaseError" for base in type(error).__mro__)


def bare(text: str) -> str:
    """Return a message without the rows, statements and connection strings that it quotes."""
    text = _REST.sub("", text.rpartition("The actual reason given is:")[2].strip())
    if _DUCKDB.match(text) or _MYSQL.match(text):
        return _known(text)
    if found := _SQLALCHEMY.search(text):
        return _unquoted(text[: found.start()]) + (_known(found[2]) or found[1])
    return _unquoted(text)


def _known(text: str) -> str:
    """Return the part of a driver's text that is known to hold no value; empty if there is none."""
    text = _REST.sub("", text.strip())
    if duckdb := _DUCKDB.match(text):
        kind, rest = duckdb[0], text[duckdb.end() + 1 :].strip()
        if duckdb["rowless"]:
            rest = _unquoted(rest.partition("\n")[0])
        elif kind == "Conversion Error":
            rest = _conversion(_unquoted(rest))
        else:
            rest = _safe(rest) if kind == "Constraint Error" else ""
        return f"{kind}: {rest}" if rest else kind
    mysql = _MYSQL.match(text)
    if mysql and mysql[1] == "1644":  # SIGNAL: the words are a trigger's
        return "DatabaseError (error 1644)"
    return _safe(mysql[3] if mysql else text) or (f"DatabaseError (error {mysql[1]})" if mysql else "")


def _safe(text: str) -> str:
    plain = _unquoted(text)
    return next((found[0] for shape in _SAFE if (found := shape.match(plain))), "")


def _conversion(text: str) -> str:
    """Return the type and column that a value did not fit, from DuckDB's text without its quoted values."""
    kind, column = _TYPE.search(text), _COLUMN.search(text)
    parts = (f"to {kind[1]}" if kind else "", f"from column {column[1]}" if column else "")
    return " ".join(filter(None, parts))


def _unquoted(text: str) -> str:
    kept, rest = "", text
    while found := _QUOTED.search(rest):
        before, quote = rest[: found.start()], found[0]
        end = rest.find(quote, found.end())
        if end > 0 and _NAMED.search(kept[-1:] + before):
            kept, rest = kept + rest[: end + 1], rest[end + 1 :]
        elif _APOSTROPHE.search(before[-1:] + rest[found.start() : found.end() + 3]):
            kept, rest = kept + rest[: found.end()], rest[found.end() :]
        else:  # a value may itself hold quotes: cut up to the last one
            last = rest.rfind(quote)
            kept, rest = f"{kept}{before}…", rest[last + 1 :] if last > found.start() else ""
    return _ACCOUNT.sub("***@", _NUMBER.sub(r"\1 …", kept + rest))


def one_line(what: str | BaseException) -> str:
    """Return text made `bare`, or what an error `said`, on one line of bounded length."""
    text = bare(what) if isinstance(what, str) else said(what)
    return " ".join(text.split())[:_LONGEST].rstrip(" .:!")


def traceback_of(error: BaseException) -> str:
    """Return the traceback as Python prints it, with each error's text made `bare`."""
    seen = signals.chain(error, shown=True)
    drivers = {str(link): said(link) for link in seen if is_drivers(link)}
    parts = []
    for link in reversed(seen):
        text = str(link)
        for raw, safe in drivers.items():  # dlt repeats its drivers' messages
            text = text.replace(raw, safe)
        frames = "".join(traceback.format_tb(link.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{type(link).__name__}: {bare(text)}\n")
    return "\nThis led to:\n\n".join(parts)


def strip(record: logging.LogRecord) -> None:
    """Leave only bare text in a log record that may hold a driver's message or traceback."""
    record.msg, record.args = bare(record.getMessage()), ()
    if record.exc_info and record.exc_info[1]:
        record.msg += "\n" + traceback_of(record.exc_info[1])
        record.exc_info = None


def stripped(sql_client: Any) -> Any:
    """Make dlt's client raise errors with bare text only, so that no log, trace or load package holds a row."""
    make = sql_client._make_database_exception  # noqa: SLF001 -- the one place where dlt sees a driver's exception

    def bared(error: Exception) -> Any:
        made = make(error)
        _strip_chain(error)
        return made

    sql_client._make_database_exception = bared  # noqa: SLF001
    return sql_client


def _strip_chain(error: BaseException) -> None:
    for link, safe in [(link, said(link)) for link in signals.chain(error, shown=True) if is_drivers(link)]:
        link.args = (safe,)
        if hasattr(link, "params"):  # SQLAlchemy's error, which prints them with the statement
            link.params = link.statement = None  # type: ignore[attr-defined]


def stripping(destination: Any) -> Any:
    """Make a dlt destination's clients and load jobs raise errors with bare text only."""
    make = destination.client

    def client(*given: Any, **named: Any) -> Any:
        made = make(*given, **named)
        if "sql_client" in vars(made):
            stripped(made.sql_client)
        make_job = made.create_load_job

        def job(*given: Any, **named: Any) -> Any:
            found = make_job(*given, **named)
            if hasattr(found, "run"):
                found.run = _raising_bare(found.run)
            return found

        made.create_load_job = job
        return made

    destination.client = client
    return destination


def _raising_bare(run: Callable[[], None]) -> Callable[[], None]:
    def guarded() -> None:
        try:
            run()
        except Exception as error:
            _strip_chain(error)
            raise

    return guarded
