"""`boast requests`: list requests, decide on them, pause and resume sending."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

import click

from boast_source.commands.options import Common, adding, common, print_json
from boast_source.errors import ConfigurationError
from boast_source.push.model import State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from boast_source.push.ledger import Event

STATES = [state.value for state in State]


@click.group()
def requests() -> None:
    """List and decide on pushed requests that need an operator.

    \b
    Examples:
      boast requests list
      boast requests list --state refused --json
      boast requests release KEY      send a held or refused request at the next push
      boast requests retry KEY        an unknown one did not happen: send it again
      boast requests drop KEY         never send it
      boast requests pause            send nothing until `boast requests resume`
    """


_sequences = click.option("--sequence", "sequences", multiple=True, metavar="ID", help="An id or a name; repeatable.")
_note = click.option("--note", metavar="TEXT", help="A comment, kept in the ledger.")
_filtering = adding(
    click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Their state; repeatable."),
    click.option("--reason", "reasons", multiple=True, metavar="CODE", help="Their error code; repeatable."),
    _sequences,
    click.option("--before", metavar="TIME", help="In their state since before this time (ISO 8601, UTC)."),
)
_deciding = adding(
    click.argument("keys", nargs=-1, metavar="[KEY]..."),
    _filtering,
    click.option(
        "--confirm", type=click.IntRange(1), metavar="N", help="Without KEY: confirm the number of matching requests."
    ),
    _note,
)
_pausing = adding(
    _sequences,
    click.option("--account", "accounts", multiple=True, metavar="ID", help="An id or a name; repeatable."),
    _note,
)


@requests.command(name="list")
@common
@_filtering
def list_requests(given: Common, **filters: Any) -> None:
    """List the requests that need an operator, or those that match the options.

    \b
    Examples:
      boast requests list
      boast requests list --state enrolled --json
      boast requests list --reason repeat --before 2026-05-01
    """
    _decide("list", given, **filters)


@requests.command()
@common
@_deciding
def release(given: Common, **choice: Any) -> None:
    """Let the next push send requests that are held, refused or skipped.

    \b
    Examples:
      boast requests release 4711
      boast requests release --reason repeat --confirm 37 --note "asked for by marketing"
    """
    _decide("release", given, **choice)


@requests.command()
@common
@_deciding
def retry(given: Common, **choice: Any) -> None:
    """Declare that unknown requests did not happen. The next push checks again, then resends them.

    \b
    Example:
      boast requests retry 4711
    """
    _decide("retry", given, **choice)


@requests.command()
@common
@_deciding
def drop(given: Common, **choice: Any) -> None:
    """Never send these requests (again).

    \b
    Examples:
      boast requests drop 4711 4712
      boast requests drop --state held --sequence "Video testimonial after purchase"
    """
    _decide("drop", given, **choice)


@requests.command()
@common
@_pausing
def pause(given: Common, **what: Any) -> None:
    """Pause sending of everything, or of a sequence or account. New requests wait until it is resumed.

    \b
    Examples:
      boast requests pause
      boast requests pause --sequence 6ea82b1c-0d3f-4e12-9f57-12345678abcd
    """
    _pause(given, resume=False, **what)


@requests.command()
@common
@_pausing
def resume(given: Common, **what: Any) -> None:
    """Resume what was paused.

    \b
    Example:
      boast requests resume
    """
    _pause(given, resume=True, **what)


def _pause(given: Common, **what: Any) -> None:
    from boast_source.jobs.requests import pause_job

    paused = pause_job(given.destination, given.dataset, **what)
    if given.as_json:
        print_json({"status": "ok", "paused": paused})
    else:
        said = ", ".join("everything" if scope == "*" else scope for scope in paused)
        click.echo(f"Paused: {said}." if paused else "Nothing is paused.")


def _decide(
    action: str, given: Common, *, before: str | None, note: str | None = None, confirm: int | None = None, **like: Any
) -> None:
    from boast_source.commands import render_push
    from boast_source.jobs.requests import requests_job
    from boast_source.push.decisions import Choice

    choice = Choice(before=_moment(before) if before else None, **like)
    if action != "list" and bool(choice.keys) == choice.filters:
        raise click.UsageError(f"Give the keys to {action}, or what they are like (--state, --reason, ...), not both.")
    found = requests_job(
        given.destination,
        given.dataset,
        action=action,
        choice=choice,
        note=note,
        confirm=lambda events: _confirm(action, events, confirm),
    )
    if given.as_json:
        print_json({"status": "ok", "requests": [one.as_json() for one in found]})
    else:
        render_push.requests(found, action)


def _confirm(action: str, events: Sequence[Event], expected: int | None) -> None:
    """Confirm the number of matching requests, by --confirm or a prompt. Raises ConfigurationError if it is not."""
    count = len(events)
    asked = expected is None and sys.stdin.isatty()
    if expected == count or (asked and click.confirm(f"{action.capitalize()} {count} requests?", err=True)):
        return
    raise ConfigurationError(
        f"{count} requests are like this, so nothing was decided",
        hint=f"To {action} them all, run it again with --confirm {count}.",
    )


def _moment(text: str) -> datetime:
    from boast_source.warehouse.dialect import moment_of

    try:
        return cast("datetime", moment_of(text.strip()))
    except ValueError:
        raise click.BadParameter("give a date or a time, for example 2026-05-01T12:00", param_hint="--before") from None
