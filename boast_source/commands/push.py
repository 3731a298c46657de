"""`boast push`."""

from __future__ import annotations

import click

from boast_source.commands.options import Common, common


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
    """Enroll and remove contacts listed in the pending table.

    Each request is sent at most once.

    Lists the enrollments first, settles what earlier runs left open, then sends what is new.

    \b
    Examples:
      boast push --dry-run            what would be sent, to whom it would not be sent, and why
      boast push --new-ledger         the first push
      boast push                      every further one
      boast push --limit 100          a careful start
      boast push --pending marketing.contacts_to_enroll
    """
    from boast_source.commands import render_push
    from boast_source.commands.terminal import Terminal
    from boast_source.jobs.push import push_job

    pushed = push_job(
        given.destination,
        given.dataset,
        pending=pending,
        limit=limit,
        max_sends=max_sends,
        new_ledger=new_ledger,
        dry_run=dry_run,
        progress=Terminal(),
    )
    given.show(pushed, render_push.pushed)
