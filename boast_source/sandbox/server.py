"""Runs the sandbox: in the foreground for the command, in a thread for tests and the demo."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from aiohttp import web

from boast_source.sandbox import control, oauth
from boast_source.sandbox.app import Api, account_id
from boast_source.sandbox.faults import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from boast_source.sandbox.options import SandboxOptions

HOST = "127.0.0.1"
TICK = 0.2  # seconds between two steps of a living sandbox


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox, as tests and the demo hold it. `info` is what a client needs."""

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
        request = Request(f"{self.info['control_url']}/{path}", data=data, method=method)  # noqa: S310 -- loopback
        with urlopen(request) as answer:  # noqa: S310
            return json.load(answer)

    def truth(self) -> dict[str, dict[str, Any]]:
        """Every listed enrollment by id."""
        with urlopen(f"{self.info['control_url']}/truth") as answer:  # noqa: S310
            return {record["id"]: record for record in map(json.loads, answer.read().splitlines())}


def serve(options: SandboxOptions, rules: list[dict[str, Any]], announce: Callable[[dict[str, Any]], None]) -> None:
    """Serve until SIGINT or SIGTERM, with fault `rules`; `announce` gets the info once clients can connect.

    Raises ValueError for a rule that does not exist, OSError for a port that is taken.
    """

    def announced(info: dict[str, Any], api: Api) -> None:
        api.faults.rules += [Rule.of(rule) for rule in rules]
        announce(info)

    asyncio.run(_serve(options, announced, None))


@contextlib.contextmanager
def running(options: SandboxOptions) -> Iterator[Sandbox]:
    """A sandbox in a thread, for as long as the block runs."""
    ready = threading.Event()
    held: list[Sandbox] = []
    failed: list[BaseException] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def announced(info: dict[str, Any], api: Api) -> None:
        held.append(Sandbox(info, api))
        ready.set()

    def run() -> None:
        try:
            loop.run_until_complete(_serve(options, announced, stop))
        except BaseException as error:  # noqa: BLE001 -- told to the thread that waits
            failed.append(error)
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run, name="boast-sandbox", daemon=True)
    thread.start()
    ready.wait()
    if failed:
        raise failed[0]
    try:
        yield held[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def _serve(
    options: SandboxOptions, announce: Callable[[dict[str, Any], Api], None], stop: asyncio.Event | None
) -> None:
    api = Api(options)
    info: dict[str, Any] = {}
    app = web.Application(middlewares=[api.middleware], client_max_size=2**20)
    app.add_routes([*api.routes(), *control.routes(api, info)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    living = None
    stop = stop or _stopped()  # before the announcement: a client may end the server as soon as it knows of it
    try:
        await web.TCPSite(runner, HOST, options.port).start()
        info |= _info(options, runner.addresses[0][1])
        announce(info, api)
        if options.live:
            living = asyncio.create_task(_live(api))
        await stop.wait()
    finally:
        if living:
            living.cancel()
        await runner.cleanup()


async def _live(api: Api) -> None:
    while True:
        await asyncio.sleep(TICK)
        api.world.happen(TICK * api.options.live)


def _stopped() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def _info(options: SandboxOptions, port: int) -> dict[str, Any]:
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
        "account_ids": [account_id(options, n) for n in range(options.accounts)],
        "enrollments": options.enrollments,
        "seed": options.seed,
        "env": {
            "SOURCES__BOAST__BASE_URL": f"{root}/v1",
            "SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN": oauth.STATIC_TOKEN,
        },
    }
