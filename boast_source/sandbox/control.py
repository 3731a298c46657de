"""The remote control under `/_sandbox/`: faults, changes of the data, time, tokens, counters, truth. JSON, no token.

GET    info                  what a client needs
GET    truth                 every listed enrollment with its account_id, one JSON object a line
GET    transitions           what happened since the start: [{id, at, status}]
GET    counters              requests that arrived and how they were answered, writes that acted, duplicates
DELETE counters              start counting again
POST   faults                a rule or a list of rules (see faults.py); DELETE clears them
POST   mutate                {update, touch, insert, updated_at, delete, delete_ids, restore_ids,
                             edits: [{id, set, drop, touch}]}; answers with the ids per kind
POST   drift                 the same, carried out after each `every_pages` pages of enrollments, `times` times
POST   advance               {seconds, events}: time passes, enrollments progress
POST   tokens                {"expire": true}, {"revoke": true} or {"revoke": "refresh too"}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from boast_source.sandbox.data import identify, stamp
from boast_source.sandbox.faults import Rule
from boast_source.sandbox.world import Refused

if TYPE_CHECKING:
    from boast_source.sandbox.app import Api


def routes(api: Api, info: dict[str, Any]) -> list[web.RouteDef]:  # noqa: C901 -- a flat list of handlers
    """The control of one server."""

    async def send_info(_: web.Request) -> web.Response:
        return web.json_response(info)

    async def truth(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await answer.prepare(request)
        lines: list[bytes] = []
        for record in list(api.world.truth()):
            lines.append(orjson.dumps(record))
            if len(lines) >= 1000:
                await answer.write(b"\n".join(lines) + b"\n")
                lines = []
        await answer.write(b"\n".join(lines))
        await answer.write_eof()
        return answer

    async def transitions(_: web.Request) -> web.Response:
        seed = api.options.seed
        return web.json_response(
            [
                {"id": identify(seed, "enrollment", n), "at": stamp(at), "status": status}
                for n, at, status in api.world.transitions
            ]
        )

    async def counters(request: web.Request) -> web.Response:
        if request.method == "DELETE":
            api.counters.requests.clear()
            api.counters.arrived.clear()
            api.counters.writes.clear()
            api.counters.most_at_once = 0
            api.tokens.refreshes = 0
        return web.json_response(
            {
                "arrived": api.counters.arrived,
                "requests": api.counters.requests,
                "writes": api.counters.writes,
                "token_requests": api.tokens.refreshes,
                "most_at_once": api.counters.most_at_once,
                "duplicates": api.world.duplicates(),
            }
        )

    async def faults(request: web.Request) -> web.Response:
        if request.method == "DELETE":
            api.faults.rules.clear()
        else:
            given = await request.json()
            try:
                api.faults.rules += [Rule.of(rule) for rule in (given if isinstance(given, list) else [given])]
            except (TypeError, ValueError) as error:
                return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"rules": len(api.faults.rules)})

    async def mutate(request: web.Request) -> web.Response:
        try:
            return web.json_response(api.world.mutate(await request.json()))
        except Refused as refused:
            return web.json_response({"error": str(refused)}, status=refused.status)

    async def drift(request: web.Request) -> web.Response:
        api.drift = await request.json()
        return web.json_response(api.drift)

    async def advance(request: web.Request) -> web.Response:
        given = await request.json()
        happened = api.world.advance(float(given.get("seconds", 0)), given.get("events"))
        return web.json_response({"happened": happened})

    async def tokens(request: web.Request) -> web.Response:
        given = await request.json()
        if given.get("expire"):
            api.tokens.expire_access()
        if given.get("revoke"):
            api.tokens.revoke_all(refresh_too=given["revoke"] == "refresh too")
        return web.json_response({})

    return [
        web.get("/_sandbox/info", send_info),
        web.get("/_sandbox/truth", truth),
        web.get("/_sandbox/transitions", transitions),
        web.get("/_sandbox/counters", counters),
        web.delete("/_sandbox/counters", counters),
        web.post("/_sandbox/faults", faults),
        web.delete("/_sandbox/faults", faults),
        web.post("/_sandbox/mutate", mutate),
        web.post("/_sandbox/drift", drift),
        web.post("/_sandbox/advance", advance),
        web.post("/_sandbox/tokens", tokens),
    ]
