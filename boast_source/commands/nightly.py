"""`boast nightly`."""

from __future__ import annotations

import click

from boast_source.commands.options import Common, common


@click.command()
@common
@click.option("--new-ledger", is_flag=True, help="Start a push ledger where there is none: for the first night.")
def nightly(given: Common, *, new_ledger: bool) -> None:
    """Everything a night needs, for a scheduler: load, push, views, report, copy for dashboards.

    \b
    Examples:
      boast nightly
      0 2 * * *  cd /srv/boast && boast nightly --json >> nightly.log      a line for cron
      SOURCES__BOAST__LOG_FORMAT=json boast nightly                        JSON lines on stderr

    \b
    sources.boast.webhook_url: who is told, once, what failed, what waits for a person and what is well again.
    """
    from boast_source.commands import render
    from boast_source.commands.terminal import Terminal
    from boast_source.jobs.nightly import nightly_job

    progress = Terminal()
    night = nightly_job(given.destination, given.dataset, new_ledger=new_ledger, progress=progress)
    for trouble in night.troubles:
        progress.note(f"! {trouble}")
    given.show(night, render.night)
