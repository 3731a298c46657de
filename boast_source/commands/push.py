"""`boast push`."""

from __future__ import annotations

from typing import Any

import click

from boast_source.commands.options import Common, common


@click.command()
@common
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and what would not and why; sends nothing.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Send at most N; the rest wait for the next run.")
@click.option(
    "--max-sends",
    type=click.IntRange(1),
    metavar="N",
    help="Send nothing if there are more than N. Default: sources.boast.push.max_sends, else 1000.",
)
@click.option(
    "--pending",
    metavar="TABLE",
    help="Table or view of pending requests. Default: sources.boast.push.pending_table, else pending_enrollments.",
)
@click.option(
    "--plan",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write what would be sent, as HTML or JSON (*.json); sends nothing.",
)
@click.option("--approve", metavar="HASH", help="Send exactly what the plan with this hash shows.")
@click.option("--only", metavar="KEY", help="Send this one request.")
@click.option("--new-ledger", is_flag=True, help="First push only: confirm that you are starting a new ledger.")
@click.option(
    "--accept-ledger",
    is_flag=True,
    help="Continue with a ledger that lost events; hold what may have been sent before.",
)
def push(given: Common, **options: Any) -> None:
    """Enroll and remove contacts listed in the pending table.

    Each request is carried out at most once.

    Lists the enrollments first, settles what earlier runs left open, then sends what is new.

    \b
    Examples:
      boast push --dry-run            what would be sent, what would not, and why
      boast push --new-ledger         the first push
      boast push                      every further one
      boast push --limit 100          a careful start
      boast push --plan plan.html     who would be sent what; `--approve HASH` then sends exactly that
      boast push --pending marketing.contacts_to_enroll
    """
    from boast_source.commands import render_push
    from boast_source.commands.terminal import Terminal
    from boast_source.jobs.push import push_job

    pushed = push_job(given.destination, given.dataset, **options, progress=Terminal())
    given.show(pushed, render_push.pushed)
