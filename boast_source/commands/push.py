"""`boast push` and `boast requests`: options only, the work is in job.py."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

import click

from boast_source.commands.options import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boast_source.commands.options import Common


@click.command()
@common
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and what would not and why; sends nothing.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Send at most N; the rest waits for the next run.")
@click.option(
    "--max-sends",
    type=click.IntRange(1),
    metavar="N",
    help="With more than N to send, send nothing. Default: sources.boast.push.max_sends, else 1000.",
)
@click.option(
    "--pending",
    metavar="TABLE",
    help="Table or view of pending requests. Default: sources.boast.push.pending_table, else pending_enrollments.",
)
@click.option("--new-ledger", is_flag=True, help="Start a ledger where there is none: for the first push.")
def push(
    given: Common,
    pending: str | None,
    limit: int | None,
    max_sends: int | None,
    *,
    dry_run: bool,
    new_ledger: bool,
) -> None:
    """Enroll and remove whom the pending table asks for, each request at most once.

    Lists the enrollments first, settles what earlier runs left open, then sends what is new.

    \b
    Examples:
      boast push --dry-run            what would be sent, to whom it would not be sent, and why
      boast push --new-ledger         the first push
      boast push                      every further one
      boast push --limit 100          a careful start
      boast push --pending marketing.contacts_to_enroll
    """
    from boast_source.commands.push_job import push_job  # noqa: PLC0415

    sys.exit(
        push_job(
            given.destination,
            given.dataset,
            pending=pending,
            limit=limit,
            max_sends=max_sends,
            new_ledger=new_ledger,
            dry_run=dry_run,
            as_json=given.printer,
        )
    )


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


def _decide(action: str, given: Common, *, keys: Sequence[str] = (), states: Sequence[str] = ()) -> NoReturn:
    from boast_source.commands.push_job import requests_job  # noqa: PLC0415

    sys.exit(
        requests_job(
            given.destination,
            given.dataset,
            action=action,
            keys=keys,
            states=states,
            as_json=given.printer,
        )
    )
