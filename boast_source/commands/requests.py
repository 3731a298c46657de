"""`boast requests`: what an operator sees of pushed requests, and decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from boast_source.commands.options import Common, common, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.group()
def requests() -> None:
    """See and decide about pushed requests that wait for a person.

    \b
    Examples:
      boast requests list
      boast requests list --state refused --json
      boast requests release KEY      send a held or refused request at the next push
      boast requests retry KEY        an unknown one did not happen: send it again
      boast requests drop KEY         never send it
    """


@requests.command(name="list")
@common
@click.option("--state", "states", multiple=True, metavar="STATE", help="Requests in this state; repeatable.")
def list_requests(given: Common, states: tuple[str, ...]) -> None:
    """List the requests that wait for a person, or those in the given states.

    \b
    Examples:
      boast requests list
      boast requests list --state enrolled --json
    """
    _decide("list", given, states=states)


@requests.command()
@common
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
def release(given: Common, keys: tuple[str, ...]) -> None:
    """Let the next push send requests that are held, refused or skipped.

    \b
    Example:
      boast requests release 4711
    """
    _decide("release", given, keys=keys)


@requests.command()
@common
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
def retry(given: Common, keys: tuple[str, ...]) -> None:
    """Say of unknown requests that they did not happen: the next push looks once more, then sends them again.

    \b
    Example:
      boast requests retry 4711
    """
    _decide("retry", given, keys=keys)


@requests.command()
@common
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
def drop(given: Common, keys: tuple[str, ...]) -> None:
    """Never send these requests (again).

    \b
    Example:
      boast requests drop 4711 4712
    """
    _decide("drop", given, keys=keys)


def _decide(action: str, given: Common, *, keys: Sequence[str] = (), states: Sequence[str] = ()) -> None:
    from boast_source.commands import render_push
    from boast_source.jobs.requests import requests_job

    events = requests_job(given.destination, given.dataset, action=action, keys=keys, states=states)
    if given.as_json:
        print_json({"status": "ok", "requests": [render_push.as_json(event) for event in events]})
    else:
        render_push.requests(events, action)
