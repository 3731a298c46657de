"""`boast demo`: everything on the embedded sandbox and DuckDB, in a separate folder."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click

from boast_source.commands.options import print_json, telling
from boast_source.errors import ConfigurationError
from boast_source.install import INSTALL_ALL

QUERY = """select sequence_name, enrolled, completed, responded, round(100 * response_rate, 1) as response_percent,
       round(median_hours_to_respond / 24, 1) as median_days
from boast_data.sequence_performance
order by response_rate desc limit 5"""
# Contacts who were never in the sequence with the best response rate, as a marketer might choose them. It is a table,
# since a view with a limit would ask for the next five contacts every night.
PENDING = """create table boast_data.pending_enrollments as
with best as (
    select sequence_id, account_id from boast_data.sequence_performance order by response_rate desc, sequence_id limit 1
)
select 'demo-' || c.id || '-' || best.sequence_id as request_id, c.account_id, c.id as contact_id, best.sequence_id
from boast_data.contacts c join best using (account_id)
where c.id not in (select contact_id from boast_data.sequence_enrollments e where e.sequence_id = best.sequence_id)
order by c.id limit 5"""
NEXT = """The report: {place}/boast_report.html
More questions: docs/cookbook.md; ask them with: cd {place} && {boast} sql "select * from pipeline_health"
Your own account: {boast} init, in another folder. The command line: {boast} --help"""
DAYS = 7  # between the two loads


@click.command()
@click.option(
    "--folder",
    default="boast-demo",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Folder of the demo's DuckDB file and state.",
)
@click.option(
    "--enrollments",
    type=click.IntRange(min=0),
    default=2000,
    show_default=True,
    help="Enrollments in the sandbox.",
)
@telling
def demo(folder: str, enrollments: int, *, as_json: bool) -> None:
    """Try everything on a local sandbox; needs no account.

    Loads from the sandbox into DuckDB, runs the nightly job with push and report, and answers a first query.

    \b
    Example:
      boast demo
    """
    import duckdb

    from boast_source.sandbox.options import SandboxOptions

    try:
        from boast_source.sandbox.server import running
    except ImportError as error:
        raise ConfigurationError("The demo needs the sandbox", hint=INSTALL_ALL) from error
    place = Path(folder).resolve()
    if (place / "boast.duckdb").exists():
        click.echo(f"An earlier demo is in {place}; to run it anew, remove the folder first.", err=as_json)
        try:
            answer = _ask(place, show=not as_json)
        except duckdb.Error as error:
            raise ConfigurationError(
                f"The demo in {place} is incomplete",
                hint="Stop what still runs it and remove the folder, then try again.",
            ) from error
        if as_json:
            print_json({"status": "ok", "folder": str(place), "runs": [], "query": answer})
        return
    place.mkdir(parents=True, exist_ok=True)
    click.echo(f"Demo in {place}", err=as_json)
    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    with running(SandboxOptions(enrollments=enrollments, now=today - timedelta(days=DAYS))) as server:
        click.echo(f"A Boast API with {enrollments:,} enrollments on {server.base_url}\n", err=as_json)
        os.environ |= {
            "DLT_DATA_DIR": str(place / ".state"),
            "SOURCES__BOAST__BASE_URL": server.base_url,
            "SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN": server.access_token,
        }
        os.chdir(place)
        night, summaries = _run(server, place / "boast.duckdb", as_json=as_json)
    answer = _ask(place, show=not as_json)
    if as_json:
        print_json({"status": night["status"], "folder": str(place), "runs": summaries, "query": answer})


def _run(server: Any, file: Path, *, as_json: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Load, let a week pass, run the nightly job. Return its summary, and the summaries of both runs."""
    import duckdb

    from boast_source.commands import render
    from boast_source.commands.terminal import Terminal
    from boast_source.jobs.load import load_job
    from boast_source.jobs.nightly import nightly_job
    from boast_source.push.ledger import Ledger
    from boast_source.warehouse.pipeline import warehouse_for

    loaded = load_job(progress=Terminal())
    if not as_json:
        render.loaded(loaded)
    with duckdb.connect(str(file)) as connection:
        connection.execute(PENDING)
    with warehouse_for("duckdb", "boast_data").open(patience=60) as warehouse:
        Ledger(warehouse).create()
    click.echo(
        f"\n{DAYS} days pass in the sandbox: enrollments progress, new ones appear. A table asks to enroll"
        " five contacts.\nThe night loads what is new and pushes what is asked for:\n",
        err=as_json,
    )
    server.control("POST", "advance", {"seconds": DAYS * 86_400})
    night = nightly_job(progress=Terminal())  # whose stages say it all
    return night.as_json(), [loaded.as_json(), night.as_json()]


def _ask(place: Path, *, show: bool) -> list[dict[str, Any]]:
    import duckdb

    with duckdb.connect(str(place / "boast.duckdb"), read_only=True) as connection:
        answer = connection.sql(QUERY)
        if show:
            click.echo(f"\nWhich sequences turn into responses?\n\n{QUERY}\n\n{answer}")
            click.echo(NEXT.format(place=place, boast=_command()))
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


def _command() -> str:
    """Return the command that starts this `boast` in the user's shell."""
    mine = Path(sys.executable).with_name("boast")
    found = shutil.which("boast")
    return "boast" if (found and Path(found).resolve() == mine.resolve()) or not mine.exists() else str(mine)
