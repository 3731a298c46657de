"""The command line: the group of commands, errors and exit codes.

The result goes to stdout (with --json exactly one JSON document), everything else to stderr. Commands import what they
need when they run (see pyproject.toml), so `boast --help` is fast and needs no extra.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from boast_source import logs, signals
from boast_source.commands import streams
from boast_source.commands.check import check
from boast_source.commands.demo import demo
from boast_source.commands.init import init
from boast_source.commands.load import load, prepare
from boast_source.commands.login import login
from boast_source.commands.nightly import nightly
from boast_source.commands.options import print_json, refusing_blanks
from boast_source.commands.push import push
from boast_source.commands.report import report
from boast_source.commands.requests import requests
from boast_source.commands.sql import sql
from boast_source.commands.status import status
from boast_source.driver_text import traceback_of
from boast_source.errors import BoastError, ConfigurationError, StoppedError
from boast_source.sandbox.command import sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence


class Group(click.Group):
    """A group that lists its commands in the order in which a new user needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(self.commands)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="boast-source", prog_name="boast")
def boast() -> None:
    """Load Boast sequence enrollments into a warehouse, and enroll contacts from a table.

    \b
    First steps:
      boast demo              try everything on a local sandbox, no account needed
      boast init              write the configuration: token, destination, dataset
      boast check             check the configuration and tell how to fix it
      boast load              load what is new or changed, and verify it
      boast nightly           load, push, report: the command to schedule
      boast status            freshness, last run, pending actions
      boast sql "QUERY"       ask the warehouse
      boast push --dry-run    preview what would be sent

    \b
    Settings come from the environment, .dlt/config.toml and .dlt/secrets.toml, for example:
      export SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN=...

    \b
    Exit codes:
      0 done, 1 failed, 2 wrong usage or configuration, 3 done but needs attention,
      4 another run holds the lock
    """
    try:
        Path.cwd()
    except OSError as error:
        raise ConfigurationError(
            f"The working folder cannot be read: {error.strerror}", hint="Change to another folder, then run it again."
        ) from None


for _command in (init, check, load, prepare, push, nightly, status, sql, report, requests, login, sandbox, demo):
    boast.add_command(refusing_blanks(_command))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Every error becomes one line and a documented exit code."""
    ended: list[int] = []
    atexit.register(_leave, ended)  # registered first, it runs last
    ended.append(_run(list(sys.argv[1:] if arguments is None else arguments)))
    sys.exit(ended[0])


def _leave(ended: list[int]) -> None:
    """Exit without freeing every module and object one by one, which takes 0.3 s. All that cleans up has run."""
    if ended:
        signals.leave(ended[0])


def _run(arguments: list[str]) -> int:
    debug = "--debug" in arguments
    streams.settle()
    signals.install()
    try:
        try:
            boast.main(arguments, prog_name="boast", standalone_mode=False)
        finally:
            sys.stdout.flush()
    except SystemExit as end:
        return int(end.code or 0)
    except click.ClickException as error:
        error.show()
        if "--json" in arguments:
            print_json({"status": "failed", "error": error.format_message()})
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 -- the last word of every command
        signals.ignore()  # a second signal must not cause a traceback
        failure = _known(error)
        text = str(failure) if isinstance(failure, BoastError) else _unexpected(failure)
        code = getattr(failure, "exit_code", 1)
        if logs.is_json():
            logs.say(text, level=logging.ERROR, error=error if debug else None, exit_code=code)
        else:
            if debug:
                click.echo(traceback_of(error), err=True)
            click.echo(f"boast: {text}", err=True)
        if "--json" in arguments:
            status = "attention" if isinstance(failure, StoppedError) else "failed"
            with contextlib.suppress(OSError):
                print_json(getattr(failure, "summary", None) or {"status": status, "error": text})
        signals.leave(code)
    else:
        return 0
    finally:
        signals.ignore()  # only the exit follows


def _known(error: BaseException) -> BaseException:
    """Return the BoastError for a stop, a destination's or a driver's error; any other error as is."""
    if isinstance(error, BoastError):
        return error
    if signals.caused(error):
        return StoppedError()  # import nothing here: the stop may have interrupted an import
    from boast_source.warehouse import explain, is_of_destination

    return explain(error) if is_of_destination(error) else error


def _unexpected(error: BaseException) -> str:
    said = f" ({os.strerror(error.errno)})" if isinstance(error, OSError) and error.errno else ""
    return f"Unexpected {type(error).__name__}{said}. Run again with --debug to see where it comes from."


if __name__ == "__main__":
    main()
