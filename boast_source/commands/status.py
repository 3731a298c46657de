"""`boast status`."""

from __future__ import annotations

import click

from boast_source.commands.options import Common, common


@click.command()
@common
@click.option("--max-age", metavar="AGE", help="Exit with 1 if the last verified load is older, for example 26h.")
def status(given: Common, max_age: str | None) -> None:
    """Show freshness, the last run, row counts and pending actions.

    \b
    Examples:
      boast status
      boast status --max-age 26h      a health check: exits with 1 if the data is stale
    """
    from boast_source.commands import render
    from boast_source.commands.terminal import note
    from boast_source.config import seconds, settings
    from boast_source.runs.health import status as read_status
    from boast_source.warehouse.pipeline import warehouse_for

    age = None if max_age is None else seconds("--max-age", max_age)
    warehouse = warehouse_for(given.destination, given.dataset)
    found = read_status(warehouse, max_age=age, patience=settings().lock_timeout, on_wait=note)
    given.show(found, render.status)
