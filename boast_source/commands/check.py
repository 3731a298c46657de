"""`boast check`."""

from __future__ import annotations

import click

from boast_source.commands.options import Common, common


@click.command()
@common
def check(given: Common) -> None:
    """Check configuration, token, accounts, the list and the destination, each with ok or what to do.

    \b
    Examples:
      boast check
      boast check --destination postgres --json
    """
    from boast_source.commands import render
    from boast_source.jobs.check import check as run_check

    given.show(run_check(given.destination, given.dataset), render.checked)
