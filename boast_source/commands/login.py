"""`boast login`."""

from __future__ import annotations

import click

from boast_source.commands.options import print_json, telling


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="Port of the redirect URI; 0 takes a free one.",
)
@click.option("--timeout", default=300, show_default=True, help="Seconds to wait for the browser.")
@click.option("--no-browser", is_flag=True, help="Print the address instead of opening a browser.")
@telling
def login(port: int, timeout: int, *, no_browser: bool, as_json: bool) -> None:
    """Log in with OAuth; the tokens go to the token store.

    Needs sources.boast.credentials.client_id and .client_secret. Register http://127.0.0.1:8765/callback as redirect
    URI of the OAuth application.

    \b
    Examples:
      boast login
      boast login --no-browser      print the address; on a server, forward the port with ssh -L, or paste the
                                    address that the browser ends on
    """
    import os
    import webbrowser

    from boast_source.api.login import login as log_in
    from boast_source.commands.terminal import note

    def show(address: str) -> bool:
        note(f"Open this address in a browser to log in:\n{address}")
        if no_browser:
            note("If that browser cannot reach this machine, paste the address that it ends on, or its code.")
        return True if no_browser else webbrowser.open(address)

    # not sys.stdin: a thread that waits for a line keeps its lock at the end
    parts = iter(lambda: os.read(0, 65536), b"") if no_browser else ()
    pasted = (line for part in parts for line in part.decode(errors="replace").splitlines())
    store = log_in(port=port, timeout=timeout, open_browser=show, pasted=pasted)
    if as_json:
        print_json({"status": "ok", "token_store": store})
    else:
        click.echo(f"Logged in. The tokens are in {store}. Next: boast check")
