"""`boast init`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from boast_source.commands.options import print_json, telling
from boast_source.errors import BoastError

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "sources.boast.credentials.access_token"  # noqa: S105 -- its key
CLIENT = "sources.boast.credentials.client_id"
SECRET = "sources.boast.credentials.client_secret"  # noqa: S105 -- its key


@click.command()
@click.option("--destination", metavar="NAME", help="A dlt destination: duckdb, postgres, ...")
@click.option(
    "--credentials",
    metavar="URL",
    help="Address of the destination, postgresql://user:password@host/db; - reads it from stdin.",
)
@click.option("--dataset", metavar="NAME", help="Dataset (schema) in the destination.")
@click.option(
    "--token", metavar="TOKEN", help="The access token; - reads it from stdin, to keep it out of shell history."
)
@click.option("--client-id", metavar="ID", help="For OAuth instead of a token.")
@click.option("--client-secret", metavar="SECRET", help="For OAuth; - reads it from stdin.")
@click.option("--pending", is_flag=True, help="Also create an empty table of pending enrollments.")
@click.option("--no-check", is_flag=True, help="Only write the files.")
@telling
def init(*, as_json: bool, **given: Any) -> None:
    """Set up this folder: token, destination, dataset.

    On a terminal, prompts for missing options. Writes .dlt/config.toml, .dlt/secrets.toml (mode 0600) and
    .gitignore, keeps their other contents, and ends with `boast check`.

    \b
    Examples:
      boast init
      boast init --token - < token.txt
      boast init --destination postgres --credentials postgresql://boast:pass@db/analytics --token - < token.txt
    """
    from boast_source.jobs import init as job

    folder = Path.cwd()
    settings, secrets = _answers(given, {**job.current(folder, job.CONFIG), **job.current(folder, job.SECRETS)})
    written = [str(path.relative_to(folder)) for path in job.write(folder, settings, secrets)]
    for name in written:
        click.echo(f"Wrote {name}", err=as_json)
    if given["pending"]:
        from boast_source.push.pending import ddl

        _boast("sql", "--write", ddl(f"{settings['sources.boast.dataset']}.pending_enrollments"))
    code = 0 if given["no_check"] else _boast("check")
    if not code:
        click.echo("Next: `boast load`, then `boast sql` to ask and `boast nightly` to schedule.", err=True)
    if as_json:
        print_json({"status": "failed" if code else "ok", "wrote": written})
    sys.exit(code)


_LIKE = {
    "postgres": ", like postgresql://user:password@host:5432/database",
    "sqlalchemy": ", like mysql+pymysql://user:password@host/database",
}


def _boast(*arguments: str) -> int:
    """Run a boast command with the new configuration, its output on stderr. Return its exit code."""
    command = [sys.executable, "-m", "boast_source", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode  # noqa: S603 -- ours


def _destination(name: str) -> str:
    """Return the destination's name if dlt has it. Raises click.UsageError, after which a prompt asks again."""
    from boast_source.warehouse.pipeline import check_name

    try:
        check_name(name)
    except BoastError as error:
        raise click.UsageError(str(error)) from None
    return name


def _answers(given: dict[str, Any], there: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return settings and secrets by dotted key: from options, else from prompts, else from the files (`there`)."""
    asking = sys.stdin.isatty()

    def text(option: str, key: str, question: str, default: str, usable: Callable[[str], str] = str) -> str:
        known = given[option] or (None if asking else there.get(key, default))
        asked = known or click.prompt(question, default=there.get(key, default), value_proc=usable, err=True)
        return usable(str(asked))

    def secret(option: str, key: str, question: str, *, needed: bool = True) -> str | None:
        if given[option] == "-" and not asking:
            return sys.stdin.readline().strip()
        if given[option] not in {None, "-"}:
            return str(given[option])
        if not asking or not needed:
            return None
        kept = ", empty keeps the one that is there" if key in there else ""
        return (
            str(click.prompt(f"{question}{kept} [hidden]", default="", hide_input=True, show_default=False, err=True))
            or None
        )

    destination = text(
        "destination", "sources.boast.destination", "Destination (duckdb, postgres, ...)", "duckdb", _destination
    )
    settings = {
        "sources.boast.destination": destination,
        "sources.boast.dataset": text("dataset", "sources.boast.dataset", "Dataset", "boast_data"),
    }
    address = f"destination.{destination}.credentials"
    oauth = bool(given["client_id"] or CLIENT in there)
    secrets = {
        address: secret(
            "credentials",
            address,
            f"Address of {destination}{_LIKE.get(destination, '')}",
            needed=destination != "duckdb",
        ),
        TOKEN: secret("token", TOKEN, "Access token (empty: OAuth)", needed=not oauth),
    }
    if oauth or (asking and not secrets[TOKEN] and TOKEN not in there):
        secrets[CLIENT] = text("client_id", CLIENT, "Client id of the OAuth application", "")
        secrets[SECRET] = secret("client_secret", SECRET, "Client secret")
    return settings, {key: value for key, value in secrets.items() if value}
