"""Options that commands share, and the set-up of logs."""

from __future__ import annotations

import functools
import gc
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

import click

from boast_source import logs

if TYPE_CHECKING:
    from collections.abc import Callable


class Result(Protocol):
    """What a job returns."""

    @property
    def exit_code(self) -> int: ...
    def as_json(self) -> dict[str, Any]: ...


R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Common:
    """What the shared options say."""

    destination: str | None
    dataset: str | None
    as_json: bool

    def show(self, result: R, render: Callable[[R], None]) -> NoReturn:
        """Print a result as JSON or as `render` does, and exit with its code."""
        if self.as_json:
            print_json(result.as_json())
        else:
            render(result)
        sys.exit(result.exit_code)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of all that works on the warehouse; the command gets them as its first argument."""

    @functools.wraps(command)
    def run(destination: str | None, dataset: str | None, *, as_json: bool, **own: Any) -> Any:
        from boast_source.commands.terminal import note
        from boast_source.config import unknown_keys

        for sentence in unknown_keys():
            note(sentence)
        return command(Common(destination, dataset, as_json), **own)

    made = telling(run)
    for option in (
        click.option(
            "--dataset",
            metavar="NAME",
            help="Dataset (schema) in the destination. Default: sources.boast.dataset, else boast_data.",
        ),
        click.option(
            "--destination",
            metavar="NAME",
            help="A dlt destination: duckdb, postgres, ... Default: sources.boast.destination, else duckdb.",
        ),
    ):
        made = option(made)
    return made


def telling(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options about what is told, and set logs up before the command."""

    @functools.wraps(command)
    def run(*, debug: bool, **own: Any) -> Any:
        gc.set_threshold(100_000, 50, 100)  # imports and pages make many objects and hardly a cycle: 3 % of a load
        logs.set_up(debug=debug)
        from boast_source.config import wants_json_logs

        if wants_json_logs():
            logs.use_json()
        return command(**own)

    run = click.option("--debug", is_flag=True, help="Show tracebacks and all logs.")(run)
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print exactly one JSON document on stdout.",
    )(run)


def print_json(document: dict[str, Any]) -> None:
    """The one JSON document of a command, on stdout."""
    click.echo(json.dumps(document, default=str))
