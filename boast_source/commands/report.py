"""`boast report`."""

from __future__ import annotations

import click

from boast_source.commands.options import Common, common


@click.command()
@common
@click.option(
    "--output",
    metavar="FILE",
    help="Path or fsspec URL. Default: sources.boast.report_path, else boast_report.html.",
)
def report(given: Common, output: str | None) -> None:
    """Write the HTML report.

    A single file that works offline and contains no personal data. Charts need the extra "report"; without it the
    report has tables only.

    \b
    Examples:
      boast report
      boast report --output reports/enrollments.html
      boast report --output s3://bucket/enrollments.html
    """
    from boast_source.commands.terminal import Terminal
    from boast_source.jobs.report import report_job

    made = report_job(given.destination, given.dataset, place=output, progress=Terminal())
    given.show(made, lambda result: click.echo(f"The report is in {result.place}"))
