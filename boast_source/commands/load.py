"""`boast load` and `boast prepare`."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import click

from boast_source.commands.options import Common, common

_STAMP = [
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S.%fZ",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%f%z",
]


@click.command()
@common
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="ID",
    help="Load this account only; repeatable. Default: sources.boast.account_ids, else all accounts.",
)
@click.option(
    "--resources",
    default="",
    metavar="A,B",
    help="Load only these: sequence_enrollments,accounts,contacts,forms,responses,sequences.",
)
@click.option("--prove", is_flag=True, help="Read each list until two passes in a row agree.")
@click.option(
    "--since",
    type=click.DateTime(_STAMP),
    metavar="MOMENT",
    help="Only records updated at or after this moment; UTC by default.",
)
@click.option("--until", type=click.DateTime(_STAMP), metavar="MOMENT", help="Only records updated before this moment.")
@click.option("--full", is_flag=True, help="Read every list in full.")
@click.option(
    "--incremental",
    is_flag=True,
    help="Read only new and changed records of lists whose order allows it, regardless of sources.boast.full_every.",
)
@click.option("--full-refresh", "everything", is_flag=True, help="Write every row again; drops nothing.")
@click.option(
    "--accept-missing",
    is_flag=True,
    help="Mark vanished enrollments as missing even if suspiciously many are gone.",
)
def load(given: Common, resources: str, since: datetime | None, until: datetime | None, **options: Any) -> None:
    """Load what is new or changed, and verify the result.

    Compares every list with the warehouse and writes the difference. Reads the lists in full, or, within 20 hours of a
    full run, from the end where changes appear.

    \b
    Examples:
      boast load
      boast load --prove                             verified "exact": two passes agree
      boast load --account 7a2f1f8c-... --resources sequence_enrollments
      boast load --since 2026-01-01 --until 2026-02-01
    """
    from boast_source.commands import render
    from boast_source.commands.terminal import Terminal
    from boast_source.jobs.load import load_job

    loaded = load_job(
        given.destination,
        given.dataset,
        resources=[name.strip() for name in resources.split(",") if name.strip()],
        since=_utc(since),
        until=_utc(until),
        progress=Terminal(),
        **options,
    )
    given.show(loaded, render.loaded)


@click.command()
@common
def prepare(given: Common) -> None:
    """Create and migrate all tables and views; print the account ids.

    Run it once before loading accounts in parallel.

    \b
    Examples:
      boast prepare --destination postgres
      boast prepare --destination postgres | xargs -P 4 -n 1 boast load --destination postgres --account
    """
    from boast_source.commands.terminal import Terminal
    from boast_source.jobs.load import prepare_job

    prepared = prepare_job(given.destination, given.dataset, progress=Terminal())
    given.show(prepared, lambda result: click.echo("\n".join(result.accounts)))


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=timezone.utc) if moment and moment.tzinfo is None else moment
