"""`boast check`."""

from __future__ import annotations

import click

from boast_source.commands.options import Common, common


@click.command()
@common
def check(given: Common) -> None:
    """Check the configuration, token, lists and destination.

    Reports each check as ok or tells you how to fix it.

    \b
    Examples:
      boast check
      boast check --destination postgres --json
    """
    from boast_source.commands import render
    from boast_source.jobs.check import check as run_check

    given.show(run_check(given.destination, given.dataset), render.checked)
