"""`boast sandbox`: serve the embedded Boast API."""

from __future__ import annotations

import json
from dataclasses import Field, fields
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import click

from boast_source.install import INSTALL_ALL
from boast_source.sandbox.options import SandboxOptions

if TYPE_CHECKING:
    from collections.abc import Callable

PORT = 8800  # default of the command; in Python the default is any free port


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each field of SandboxOptions."""
    hints = get_type_hints(SandboxOptions)
    for each in reversed(fields(SandboxOptions)):
        command = _option(each, hints[each.name])(command)
    return command


def _option(option: Field[Any], hint: Any) -> Callable[..., Callable[..., None]]:
    name = option.name.replace("_", "-")
    how: dict[str, Any] = {"default": PORT if name == "port" else option.default, "show_default": True}
    if hint is bool:
        how |= {} if option.default else {"is_flag": True, "show_default": False}
        name = f"{name}/--no-{name}" if option.default else name
    elif hint is datetime:
        how |= {"type": click.DateTime(), "default": f"{option.default:%Y-%m-%d}"}
    elif get_origin(hint) is Literal:
        how |= {"type": click.Choice([str(choice) for choice in get_args(hint)]), "default": str(option.default)}
    elif name in {"enrollments", "port"}:
        how |= {"type": click.IntRange(0, 65535 if name == "port" else None)}
    return click.option(f"--{name}", help=option.metadata["help"], **how)


@click.command()
@_options
@click.option(
    "--fault", "faults", multiple=True, metavar="JSON", help="A fault that is active from the start; repeatable."
)
def sandbox(faults: tuple[str, ...], now: datetime, unknown_status: str, **given: Any) -> None:
    """Serve a local Boast API with generated data, until Ctrl-C.

    Prints one line of JSON for clients: addresses, tokens, account ids, environment variables.

    \b
    Examples:
      boast sandbox
      boast sandbox --enrollments 100000 --page-size 100 --live 86400
      boast sandbox --fault '{"kind": "status", "status": 429, "retry_after": 1, "every": 10}'

    A fault is a JSON object: a kind and, optionally, method, path (a regular expression), times (number of requests),
    after (skip the first n), every (every nth request only), probability, and the kind's own settings.

    \b
    Kinds:
      latency             delay by `seconds`
      status              answer `status`; retry_after (seconds, or "date:SECONDS"), body ("errors", "none", "html")
      error_before_write  answer 500 without acting
      error_after_write   act, then answer 500
      drop                close the connection without acting
      drop_after_write    act, hold the connection for `seconds`, then close it without an answer
      hold                hold the connection for `seconds`, then close it without acting
      hold_then_act       hold for `seconds`, then act, even if the client has gone
      cut_body            act, then send half of the body
      not_json            answer with an HTML page and status 200 without acting
      wrong_shape         answer with `data` in place of the records without acting
      trickle             send one byte of the answer every `seconds`
      rate_limit          answer 429 above `per_second` requests a second; retry_after as above
      token_revoked       revoke all access tokens before handling the request
    """
    try:
        from boast_source.sandbox.server import serve
    except ImportError:
        click.echo(f"boast: The sandbox is not installed. {INSTALL_ALL}", err=True)
        raise SystemExit(2) from None
    options = SandboxOptions(now=now.replace(tzinfo=timezone.utc), unknown_status=int(unknown_status), **given)  # type: ignore[arg-type]
    try:
        serve(options, [json.loads(fault) for fault in faults], lambda info: click.echo(json.dumps(info)))
    except ValueError as error:
        what = f"not JSON: {error}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise click.BadParameter(what, param_hint="--fault") from None
    except OSError as error:
        click.echo(
            f"boast: Port {options.port} cannot be used: {error.strerror}. Choose another with --port.", err=True
        )
        raise SystemExit(2) from None
