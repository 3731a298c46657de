"""Options shared by commands, and the set-up of logging."""

from __future__ import annotations

import functools
import gc
import json
import math
import sys
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

import click

from boast_source import logs

if TYPE_CHECKING:
    from collections.abc import Callable


class Result(Protocol):
    """The result of a job."""

    @property
    def exit_code(self) -> int: ...
    def as_json(self) -> dict[str, Any]: ...


R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Common:
    """The values of the shared options."""

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
    """Add the options of every command that uses the warehouse; the command gets them as its first argument."""

    @functools.wraps(command)
    def run(destination: str | None, dataset: str | None, *, as_json: bool, **own: Any) -> Any:
        from boast_source.commands.terminal import note
        from boast_source.config import unknown_keys

        for sentence in unknown_keys():
            note(sentence)
        return command(Common(destination, dataset, as_json), **own)

    added = adding(
        click.option(
            "--destination",
            metavar="NAME",
            help="A dlt destination: duckdb, postgres, ... Default: sources.boast.destination, else duckdb.",
        ),
        click.option(
            "--dataset",
            metavar="NAME",
            help="Dataset (schema) in the destination. Default: sources.boast.dataset, else boast_data.",
        ),
    )
    return added(telling(run))


def adding(*options: Callable[[Any], Any]) -> Callable[[Any], Callable[..., Any]]:
    """Return a decorator that adds these options to a command, in the order of its help."""
    return lambda command: functools.reduce(lambda made, option: option(made), reversed(options), command)


def telling(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json and --debug, and set up logging before the command runs."""

    @functools.wraps(command)
    def run(*, debug: bool, **own: Any) -> Any:
        gc.set_threshold(100_000, 50, 100)  # many objects, hardly any cycles: saves 3 % of a load
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


def refusing_blanks(command: click.Command) -> click.Command:
    """Refuse empty option values: usually an unset variable of a script, which must not count as the default."""
    for one in command.commands.values() if isinstance(command, click.Group) else ():
        refusing_blanks(one)
    for option in command.params:
        if isinstance(option, click.Option) and not option.is_flag and option.callback is None:
            option.callback = _no_blank
    return command


def _no_blank(context: click.Context, option: click.Parameter, value: Any) -> Any:
    given = context.get_parameter_source(str(option.name)) is click.core.ParameterSource.COMMANDLINE
    for one in value if isinstance(value, tuple) else (value,):
        if given and isinstance(one, str) and not one.strip():
            raise click.BadParameter("it is empty; leave the option out, or give a value", param=option)
    return value


def print_json(document: dict[str, Any]) -> None:
    """Print the command's only JSON document on stdout."""
    click.echo(json.dumps(document, default=_written, allow_nan=False))


def _written(value: object) -> object:
    """Return a Decimal as a number if JSON can represent it; any other type as text."""
    if not isinstance(value, Decimal) or not math.isfinite(float(value)):
        return str(value)
    return int(value) if value.as_tuple().exponent == 0 else float(value)
