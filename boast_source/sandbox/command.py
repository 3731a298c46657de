"""`boast sandbox`: serve the embedded Boast API."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import click

from boast_source.sandbox.options import SandboxOptions

MISSING = 'boast: the sandbox needs its extra. Install it: pip install "boast-source[sandbox]"'
ORDERS = ["created_asc", "created_desc", "updated_asc", "updated_desc"]


@click.command()
@click.option("--port", default=8800, show_default=True, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option(
    "--enrollments",
    type=click.IntRange(min=0),
    default=500,
    show_default=True,
    help="How many enrollments there are at the start.",
)
@click.option("--seed", default=1, show_default=True, help="Equal seeds give equal data.")
@click.option("--accounts", default=1, show_default=True, help="How many accounts they are spread over.")
@click.option(
    "--now", type=click.DateTime(), default="2026-06-01", show_default=True, help="The sandbox's clock at start."
)
@click.option("--page-size", default=20, show_default=True, help="Records per page.")
@click.option(
    "--order", type=click.Choice(ORDERS), default=ORDERS[0], show_default=True, help="Order of the enrollments."
)
@click.option(
    "--past-end",
    type=click.Choice(["empty", "404", "last"]),
    default="empty",
    show_default=True,
    help="What a page past the last one is.",
)
@click.option("--meta/--no-meta", default=True, show_default=True, help="With pagination, or every list as one answer.")
@click.option("--items-of-page", is_flag=True, help="meta's `items` is the number of rows of the page.")
@click.option(
    "--on-duplicate",
    type=click.Choice(["create", "refuse"]),
    default="create",
    show_default=True,
    help="POST for a pair that is active already.",
)
@click.option(
    "--on-inactive",
    type=click.Choice(["refuse", "unchanged"]),
    default="refuse",
    show_default=True,
    help="DELETE of an enrollment that is not active.",
)
@click.option(
    "--unknown-status",
    type=click.Choice(["400", "404", "422"]),
    default="422",
    show_default=True,
    help="Status of a POST for an unknown contact or sequence.",
)
@click.option("--bare-401", is_flag=True, help="A 401 has no body.")
@click.option("--token-lifetime", default=7200.0, show_default=True, help="Seconds until an access token expires.")
@click.option(
    "--revoke",
    type=click.Choice(["on_use", "at_once"]),
    default="on_use",
    show_default=True,
    help="When a refresh ends the old tokens: at the new one's first use, or at once.",
)
@click.option(
    "--live", default=0.0, show_default=True, help="Sandbox seconds per real second; 86400 is a day a second."
)
@click.option("--latency", default=0.0, show_default=True, help="Seconds that every request takes.")
@click.option("--fault", "faults", multiple=True, metavar="JSON", help="A fault from the start; repeatable.")
def sandbox(faults: tuple[str, ...], **given: Any) -> None:
    """Serve the embedded Boast API on loopback, until Ctrl-C.

    Prints one JSON line with what a client needs: addresses, tokens, account ids, environment variables.

    \b
    Examples:
      boast sandbox
      boast sandbox --enrollments 100000 --page-size 100 --live 86400
      boast sandbox --fault '{"kind": "status", "status": 429, "retry_after": 1, "every": 10}'
    """
    try:
        from boast_source.sandbox.server import serve  # noqa: PLC0415 -- needs the extra
    except ImportError:
        click.echo(MISSING, err=True)
        raise SystemExit(2) from None
    given["now"] = given["now"].replace(tzinfo=timezone.utc) if isinstance(given["now"], datetime) else given["now"]
    given["unknown_status"] = int(given["unknown_status"])
    try:
        rules = [json.loads(fault) for fault in faults]
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"--fault is not JSON: {error}") from None
    try:
        serve(SandboxOptions(**given), rules, lambda info: click.echo(json.dumps(info)))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--fault") from None
    except OSError as error:
        click.echo(
            f"boast: Port {given['port']} cannot be used: {error.strerror}. Choose another with --port.", err=True
        )
        raise SystemExit(2) from None
