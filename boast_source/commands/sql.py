"""`boast sql`."""

from __future__ import annotations

import csv
import itertools
import json
import math
import sys
from typing import TYPE_CHECKING, Any

import click

from boast_source.commands.options import Common, common, print_json
from boast_source.errors import BoastError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHOWN = 100  # rows per table on a terminal


@click.command()
@common
@click.argument("query", required=False)
@click.option("--csv", "as_csv", is_flag=True, help="Print all rows as CSV, with a header.")
@click.option("--write", is_flag=True, help="Let the statement change the warehouse.")
def sql(given: Common, query: str | None, *, as_csv: bool, write: bool) -> None:
    """Run a query on the warehouse.

    Tables and views of the dataset need no prefix. Without QUERY it is read from stdin, or from a prompt on a terminal.

    \b
    Examples:
      boast sql "select sequence_name, enrolled, response_rate from sequence_performance"
      boast sql --csv "from contacts" > contacts.csv
      boast sql --json "select * from pipeline_health"
      boast sql --write "create view boast_data.pending_enrollments as select ..."
    """
    from boast_source.commands.terminal import note
    from boast_source.config import settings
    from boast_source.errors import DestinationError
    from boast_source.warehouse.pipeline import warehouse_for
    from boast_source.warehouse.query import asked

    patience = settings().lock_timeout
    warehouse = warehouse_for(given.destination, given.dataset)

    def run(text: str) -> None:
        with warehouse.open(patience=patience, on_wait=note, creates=write):
            if not warehouse.has_sql:
                raise DestinationError("This destination has no SQL", hint="Read its files with DuckDB.")
            client = warehouse.client
            if write and not client.has_dataset():
                client.create_dataset()
            with asked(client, text, write=write) as (names, batches):
                rows = (tuple(map(_plain, row)) for row in itertools.chain.from_iterable(batches))
                if given.as_json:
                    keys = _unlike(names)
                    found = [dict(zip(keys, row, strict=True)) for row in rows]
                    print_json({"columns": keys, "rows": found})
                elif as_csv:
                    written = _cell if sys.stdout.isatty() else _flat
                    lines = itertools.chain([names], (map(written, row) for row in rows))
                    csv.writer(sys.stdout, lineterminator="\n").writerows(lines)
                else:
                    _show(names, rows, write=write)

    if query is not None or not sys.stdin.isatty():
        run(sys.stdin.read() if query in {None, "-"} else str(query))
        return
    note("End each statement with a semicolon; leave with exit or Ctrl-D.")
    while text := _typed():
        _attempt(run, text)


def _attempt(run: Callable[[str], None], text: str) -> None:
    try:
        run(text)
    except BoastError as error:
        click.echo(str(error), err=True)


def _show(names: list[str], rows: Iterator[tuple[Any, ...]], *, write: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from boast_source.commands.terminal import note, stdout

    table = Table(box=None, pad_edge=False, header_style="bold")
    shown = list(itertools.islice(rows, SHOWN))
    if write and not shown:
        note("Done.")
        return
    if (
        len(shown) == 1
        and sum(max(len(n), len(_cell(v))) + 2 for n, v in zip(names, shown[0], strict=True)) > stdout().width
    ):
        names, shown = ["column", "value"], list(zip(names, shown[0], strict=True))  # too wide for one line
    for place, name in enumerate(names):
        numbers = all(isinstance(row[place], int | float | None) for row in shown)
        table.add_column(Text(_cell(name)), justify="right" if numbers else "left", overflow="fold")
    for row in shown:
        table.add_row(*(Text(_cell(value)) for value in row))
    stdout().print(table)
    if next(rows, None) is not None:
        note(f"The first {SHOWN} rows; --csv prints all.")


def _unlike(names: list[str]) -> list[str]:
    """Return unique column names for JSON objects: the second `a` becomes `a_2`."""
    keys: list[str] = []
    for name in names:
        number = 1
        while (key := name if number == 1 else f"{name}_{number}") in keys:
            number += 1
        keys.append(key)
    return keys


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: infinity and NaN as text, bytes as hexadecimal, keys as strings."""
    if isinstance(value, bytes | memoryview):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _flat(value: Any) -> Any:
    """Return a value for one cell: objects and arrays as JSON."""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else value


def _cell(value: object) -> str:
    """Return a value as one line of text, with control characters replaced by spaces."""
    return "" if value is None else "".join(c if c.isprintable() else " " for c in str(_flat(value)))


def _typed() -> str:
    """Read a statement from the prompt, up to its semicolon; empty at the end of input or when told to leave."""
    lines: list[str] = []
    while not "".join(lines).rstrip().endswith(";") and (line := _line("   ... " if lines else "boast> ")) is not None:
        if not lines and line.strip(" ;").lower() in {"exit", "quit", r"\q"}:
            return ""
        lines.append(line)
    return "\n".join(lines).strip()


def _line(prompt: str) -> str | None:
    try:
        return input(prompt)
    except EOFError:
        click.echo()
        return None
