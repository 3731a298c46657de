"""The command line: commands and their options; no logic of its own.

stdout carries the result (with --json exactly one JSON document), stderr all else. Heavy imports wait until a command
runs, so that `boast --help` is instant and needs no extra.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING

import click

from boast_source import logs, signals
from boast_source.commands.options import common, print_json, telling
from boast_source.commands.push import push, requests
from boast_source.errors import BoastError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from boast_source.commands.options import Common

_STAMP = [
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S.%fZ",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%f%z",
]


class Group(click.Group):
    """Commands in the order of a user's first day, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "sandbox":
            from boast_source.sandbox.command import sandbox  # noqa: PLC0415 -- the extra is needed only here

            return sandbox
        return super().get_command(ctx, cmd_name)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="boast-source", prog_name="boast")
def boast() -> None:
    """Load Boast sequence enrollments into a warehouse, incrementally and verifiably.

    \b
    First steps:
      boast demo                      try everything on the embedded sandbox, no account needed
      boast check                     is everything configured? each point with ok or what to do
      boast load                      load what is new or changed, and verify it
      boast load --json | jq .        the same for a script
      boast nightly                   load, push, views, report, copy for dashboards: for a scheduler
      boast status                    is all well?
      boast push --dry-run            what would be enrolled from the table of pending enrollments

    \b
    Configuration comes from the environment, .dlt/config.toml and .dlt/secrets.toml, for example:
      export SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN=...

    Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done but something waits for a person,
    4 another run holds the lock.
    """


@boast.command()
@common
def check(given: Common) -> None:
    """Check configuration, token, accounts, the list and the destination, each with ok or what to do.

    \b
    Examples:
      boast check
      boast check --destination postgres --json
    """
    from boast_source.commands.check import check as run_check  # noqa: PLC0415
    from boast_source.commands.render import show_checks  # noqa: PLC0415

    points = run_check(given.destination, given.dataset)
    exit_code = max((point.exit_code for point in points), default=0)
    if given.as_json:
        print_json({"status": "ok" if exit_code == 0 else "failed", "checks": [point.as_json() for point in points]})
    else:
        show_checks(points)
    sys.exit(exit_code)


@boast.command()
@common
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="ID",
    help="Load this account only; repeatable. Default: sources.boast.account_ids, else all.",
)
@click.option(
    "--resources",
    default="",
    metavar="A,B",
    help="Load only these: sequence_enrollments,accounts,contacts,forms,responses,sequences.",
)
@click.option("--prove", is_flag=True, help="Read the list again until two passes in a row agree.")
@click.option(
    "--since",
    type=click.DateTime(_STAMP),
    metavar="MOMENT",
    help="Only records with updated_at at or after this moment (UTC unless it says otherwise).",
)
@click.option(
    "--until", type=click.DateTime(_STAMP), metavar="MOMENT", help="Only records with updated_at before this moment."
)
@click.option("--full-refresh", is_flag=True, help="Read and write all again; drops nothing.")
@click.option(
    "--accept-missing",
    is_flag=True,
    help="Mark vanished enrollments as missing even if they are suspiciously many.",
)
def load(
    given: Common,
    accounts: tuple[str, ...],
    resources: str,
    since: datetime | None,
    until: datetime | None,
    *,
    prove: bool,
    full_refresh: bool,
    accept_missing: bool,
) -> None:
    """List everything, load what is new or changed, and verify that the warehouse holds what was listed.

    \b
    Examples:
      boast load
      boast load --prove                             two passes that agree: verified "exact"
      boast load --account 7a2f1f8c-... --resources sequence_enrollments
      boast load --since 2026-01-01 --until 2026-02-01
    """
    from boast_source.commands.job import load_job  # noqa: PLC0415

    sys.exit(
        load_job(
            given.destination,
            given.dataset,
            accounts=accounts,
            resources=[name.strip() for name in resources.split(",") if name.strip()],
            prove=prove,
            everything=full_refresh,
            accept_missing=accept_missing,
            since=_utc(since),
            until=_utc(until),
            as_json=given.printer,
        )
    )


@boast.command()
@common
def prepare(given: Common) -> None:
    """Make and migrate all tables and views, and print the account ids: before one `load --account` each, side by side.

    \b
    Examples:
      boast prepare --destination postgres
      boast prepare --destination postgres | xargs -P 4 -n 1 boast load --destination postgres --account
    """
    from boast_source.commands.job import prepare_job  # noqa: PLC0415

    accounts = prepare_job(given.destination, given.dataset)
    if given.as_json:
        print_json({"status": "ok", "accounts": accounts})
    else:
        click.echo("\n".join(accounts))


boast.add_command(push)


@boast.command()
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
    from boast_source.commands.nightly import nightly_job  # noqa: PLC0415

    sys.exit(nightly_job(given.destination, given.dataset, new_ledger=new_ledger, as_json=given.printer))


@boast.command()
@common
@click.option("--max-age", metavar="AGE", help="Exit with 1 when the last good load is older, for example 26h.")
def status(given: Common, max_age: str | None) -> None:
    """Tell in five lines whether all is well, what is old and what waits for a person.

    \b
    Examples:
      boast status
      boast status --max-age 26h      a health check: exits with 1 when the data is stale
    """
    from boast_source.commands.job import pipeline_for  # noqa: PLC0415
    from boast_source.commands.render import note, show_status  # noqa: PLC0415
    from boast_source.config import seconds, settings  # noqa: PLC0415
    from boast_source.runs.health import status as read_status  # noqa: PLC0415

    age = None if max_age is None else seconds("--max-age", max_age)
    pipeline = pipeline_for(given.destination, given.dataset)
    found = read_status(pipeline, max_age=age, patience=settings().lock_timeout, on_wait=note)
    if given.as_json:
        print_json(found.as_json())
    else:
        show_status(found)
    sys.exit(found.exit_code)


@boast.command()
@common
@click.option(
    "--output",
    metavar="FILE",
    help="Path or fsspec URL. Default: sources.boast.report_path, else boast_report.html.",
)
def report(given: Common, output: str | None) -> None:
    """Write the report: one HTML file that opens anywhere, without a network and without anybody's personal data.

    Charts need the extra: pip install "boast-source[report]"; without it there are the tables.

    \b
    Examples:
      boast report
      boast report --output reports/enrollments.html
      boast report --output s3://bucket/enrollments.html
    """
    from boast_source.commands.job import report_job  # noqa: PLC0415

    written = report_job(given.destination, given.dataset, place=output)
    if given.as_json:
        print_json({"status": "ok", "report": written})
    else:
        click.echo(f"The report is in {written}")


boast.add_command(requests)


@boast.command()
@click.option(
    "--port",
    default=0,
    show_default="a free one",
    help="Loopback port that receives the answer; give the one registered as redirect URI.",
)
@click.option("--timeout", default=300, show_default=True, help="Seconds to wait for the browser.")
@click.option("--no-browser", is_flag=True, help="Print the address instead of opening a browser.")
@telling
def login(port: int, timeout: int, *, no_browser: bool, as_json: bool) -> None:
    """Log in with OAuth in the browser and keep the tokens in the token store.

    Needs sources.boast.credentials.client_id and .client_secret.

    \b
    Examples:
      boast login
      boast login --port 8123 --no-browser
    """
    from boast_source.commands.job import login_job  # noqa: PLC0415

    store = login_job(port=port, seconds=timeout, open_browser=not no_browser)
    if as_json:
        print_json({"status": "ok", "token_store": store})
    else:
        click.echo(f"Logged in. The tokens are in {store}. Next: boast check")


@boast.command(name="sandbox")
def _sandbox() -> None:
    """Serve the embedded Boast API on loopback."""  # replaced by the extra's own command, see Group


@boast.command()
@click.option(
    "--folder",
    default="boast-demo",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Where the demo keeps its DuckDB file and state.",
)
@click.option(
    "--enrollments",
    type=click.IntRange(min=0),
    default=2000,
    show_default=True,
    help="How many enrollments the sandbox holds.",
)
@telling
def demo(folder: str, enrollments: int, *, as_json: bool) -> None:
    """Sandbox, load, a night with a push and a first query, in a folder of its own. Needs no account.

    \b
    Example:
      boast demo
    """
    from boast_source.commands.demo import demo as run_demo  # noqa: PLC0415

    sys.exit(run_demo(folder, enrollments, as_json=print_json if as_json else None))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: every error becomes one line and the exit code of the contract."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    signals.install()
    try:
        boast.main(arguments, prog_name="boast", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        if "--json" in arguments:
            print_json({"status": "failed", "error": error.format_message()})
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 -- the last word of every command
        failure = StoppedError() if signals.caused(error) and not isinstance(error, BoastError) else error
        text = str(failure) if isinstance(failure, BoastError) else _unexpected(failure)
        code = getattr(failure, "exit_code", 1)
        if logs.is_json():
            logs.say(text, level=logging.ERROR, error=error if debug else None, exit_code=code)
        else:
            if debug:
                traceback.print_exception(error)
            click.echo(f"boast: {text}", err=True)
        if "--json" in arguments:
            status = "attention" if isinstance(failure, StoppedError) else "failed"
            print_json(getattr(failure, "summary", None) or {"status": status, "error": text})
        signals.leave(code)
    finally:
        signals.ignore()  # what comes after is only the interpreter's way out


def _unexpected(error: BaseException) -> str:
    return f"Unexpected {type(error).__name__}. Run again with --debug to see where it comes from."


def _utc(moment: datetime | None) -> datetime | None:
    from datetime import timezone  # noqa: PLC0415

    return moment.replace(tzinfo=timezone.utc) if moment and moment.tzinfo is None else moment


if __name__ == "__main__":
    main()
