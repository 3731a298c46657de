"""`boast nightly`."""

from __future__ import annotations

import click

from boast_source.commands.options import Common, common


@click.command()
@common
@click.option("--new-ledger", is_flag=True, help="First run only: confirm that you are starting a new ledger.")
@click.option("--no-push", is_flag=True, help="Push nothing tonight.")
def nightly(given: Common, *, new_ledger: bool, no_push: bool) -> None:
    """Load, push and report: the command to schedule.

    A failing stage does not stop the others.

    \b
    Examples:
      boast nightly
      0 2 * * *  cd /srv/boast && boast nightly --json >> nightly.log      a line for cron
      SOURCES__BOAST__LOG_FORMAT=json boast nightly                        JSON lines on stderr

    \b
    sources.boast.webhook_url is notified on failure, on pending actions and on recovery.
    """
    from boast_source.commands import render
    from boast_source.commands.terminal import Terminal
    from boast_source.jobs.nightly import nightly_job

    progress = Terminal()
    night = nightly_job(given.destination, given.dataset, new_ledger=new_ledger, no_push=no_push, progress=progress)
    for trouble in night.troubles:
        progress.note(f"! {trouble}")
    given.show(night, render.night)
