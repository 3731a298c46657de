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

from boast_source.sandbox.changes import mutate
from boast_source.sandbox.data import identify, stamp
from boast_source.sandbox.faults import Rule
from boast_source.sandbox.world import Refused

if TYPE_CHECKING:
    from boast_source.sandbox.app import Api


class Control:
    """The remote control of one server. `info`: addresses, tokens and ids that a client needs."""

    def __init__(self, api: Api, info: dict[str, Any]) -> None:
        self._api, self._info = api, info

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_sandbox/info", self.info),
            web.get("/_sandbox/truth", self.truth),
            web.get("/_sandbox/transitions", self.transitions),
            web.get("/_sandbox/counters", self.counters),
            web.delete("/_sandbox/counters", self.counters),
            web.post("/_sandbox/faults", self.faults),
            web.delete("/_sandbox/faults", self.faults),
            web.post("/_sandbox/mutate", self.mutate),
            web.post("/_sandbox/drift", self.drift),
            web.post("/_sandbox/advance", self.advance),
            web.post("/_sandbox/tokens", self.tokens),
        ]

    async def info(self, _: web.Request) -> web.Response:
        return web.json_response(self._info)

    async def truth(self, _: web.Request) -> web.Response:
        lines = b"\n".join(map(orjson.dumps, self._api.world.truth()))
        return web.Response(body=lines, content_type="application/x-ndjson")

    async def transitions(self, _: web.Request) -> web.Response:
        seed = self._api.options.seed
        happened = self._api.world.transitions
        return web.json_response(
            [{"id": identify(seed, "enrollment", n), "at": stamp(at), "status": status} for n, at, status in happened]
        )

    async def counters(self, request: web.Request) -> web.Response:
        counters, tokens = self._api.counters, self._api.tokens
        if request.method == "DELETE":
            counters.clear()
            tokens.refreshes = 0
        return web.json_response(
            {
                "arrived": counters.arrived,
                "requests": counters.requests,
                "writes": counters.writes,
                "most_at_once": counters.most_at_once,
                "token_requests": tokens.refreshes,
                "duplicates": self._api.world.duplicates(),
            }
        )

    async def faults(self, request: web.Request) -> web.Response:
        rules = self._api.faults.rules
        if request.method == "DELETE":
            self._api.faults.clear()
            return web.json_response({"rules": 0})
        given = await request.json()
        try:
            rules += [Rule.of(rule) for rule in (given if isinstance(given, list) else [given])]
        except (TypeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"rules": len(rules)})

    async def mutate(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(mutate(self._api.world, await request.json()))
        except Refused as refused:
            return web.json_response({"error": str(refused)}, status=refused.status)

    async def drift(self, request: web.Request) -> web.Response:
        self._api.drift = await request.json()
        return web.json_response(self._api.drift)

    async def advance(self, request: web.Request) -> web.Response:
        given = await request.json()
        happened = self._api.world.advance(float(given.get("seconds", 0)), given.get("events"))
        return web.json_response({"happened": happened})

    async def tokens(self, request: web.Request) -> web.Response:
        given = await request.json()
        if given.get("expire"):
            self._api.tokens.expire_access()
        if given.get("revoke"):
            self._api.tokens.revoke_all(refresh_too=given["revoke"] == "refresh too")
        return web.json_response({})
