"""Run the sandbox: in the foreground for the command, in a thread for tests and the demo."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from aiohttp import web

from boast_source.sandbox import oauth
from boast_source.sandbox.app import Api
from boast_source.sandbox.control import Control
from boast_source.sandbox.faults import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from boast_source.sandbox.options import SandboxOptions

HOST = "127.0.0.1"
TICK = 0.2  # seconds between two steps with --live


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox. `info`: addresses, tokens and ids that a client needs."""

    info: dict[str, Any]
    api: Api

    @property
    def base_url(self) -> str:
        return str(self.info["base_url"])

    @property
    def access_token(self) -> str:
        return str(self.info["access_token"])

    @property
    def account_ids(self) -> list[str]:
        return list(self.info["account_ids"])

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the remote control, for example `control("POST", "faults", {"kind": "drop", "times": 1})`."""
        data = None if body is None else json.dumps(body).encode()
        return json.loads(self._called(method, path, data))

    def truth(self) -> dict[str, dict[str, Any]]:
        """Return every listed enrollment by id."""
        return {record["id"]: record for record in map(json.loads, self._called("GET", "truth").splitlines())}

    def _called(self, method: str, path: str, data: bytes | None = None) -> bytes:
        with urlopen(Request(f"{self.info['control_url']}/{path}", data=data, method=method)) as answer:
            return bytes(answer.read())


def serve(options: SandboxOptions, rules: list[dict[str, Any]], announce: Callable[[dict[str, Any]], None]) -> None:
    """Serve until SIGINT or SIGTERM, with fault `rules`. `announce` gets the info once clients can connect.

    Raises ValueError for an invalid rule, OSError or OverflowError for an unusable port.
    """
    faults = [Rule.of(rule) for rule in rules]
    told, telling = os.pipe()  # a signal may reach any thread, also one that a library started
    os.set_blocking(telling, False)
    signal.set_wakeup_fd(telling)
    for number in (signal.SIGINT, signal.SIGTERM):  # a client may send one as soon as it knows of the server
        signal.signal(number, lambda *_: None)
    with running(options) as sandbox:
        sandbox.api.faults.rules += faults
        announce(sandbox.info)
        os.read(told, 1)


@contextlib.contextmanager
def running(options: SandboxOptions) -> Iterator[Sandbox]:
    """Run a sandbox in a thread inside the block. Raises OSError or OverflowError for an unusable port."""
    ready, stop = threading.Event(), asyncio.Event()
    held: list[tuple[asyncio.AbstractEventLoop, Sandbox]] = []
    failed: list[Exception] = []

    def announce(sandbox: Sandbox) -> None:
        held.append((asyncio.get_running_loop(), sandbox))
        ready.set()

    def run() -> None:
        try:
            asyncio.run(_serve(options, announce, stop))
        except (OSError, OverflowError) as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="boast-sandbox", daemon=True)
    thread.start()
    ready.wait()
    if failed:
        raise failed[0]
    loop, sandbox = held[0]
    try:
        yield sandbox
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def _serve(options: SandboxOptions, announce: Callable[[Sandbox], None], stop: asyncio.Event) -> None:
    api = Api(options)
    info: dict[str, Any] = {}
    app = web.Application(middlewares=[api.middleware], client_max_size=2**20)
    app.add_routes([*api.routes(), *Control(api, info).routes()])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    living = None
    try:
        await web.TCPSite(runner, HOST, options.port).start()
        info |= _info(api, runner.addresses[0][1])
        announce(Sandbox(info, api))
        living = asyncio.create_task(_live(api)) if options.live else None
        await stop.wait()
    finally:
        if living:
            living.cancel()
        await runner.cleanup()


async def _live(api: Api) -> None:
    while True:
        await asyncio.sleep(TICK)
        api.world.happen(TICK * api.options.live)


def _info(api: Api, port: int) -> dict[str, Any]:
    root = f"http://{HOST}:{port}"
    return {
        "base_url": f"{root}/v1",
        "authorize_url": f"{root}/oauth/authorize",
        "token_url": f"{root}/oauth/token",
        "control_url": f"{root}/_sandbox",
        "access_token": oauth.STATIC_TOKEN,
        "limited_token": oauth.LIMITED_TOKEN,
        "client_id": oauth.CLIENT_ID,
        "client_secret": oauth.CLIENT_SECRET,
        "refresh_token": oauth.FIRST_REFRESH,
        "account_ids": [account["id"] for account in api.world.accounts()],
        "enrollments": api.options.enrollments,
        "seed": api.options.seed,
        "env": {
            "SOURCES__BOAST__BASE_URL": f"{root}/v1",
            "SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN": oauth.STATIC_TOKEN,
        },
    }
