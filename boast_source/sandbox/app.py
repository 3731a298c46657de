"""The API's routes, counters and middleware."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
from aiohttp import web

from boast_source.sandbox.changes import mutate
from boast_source.sandbox.data import number_of
from boast_source.sandbox.faults import Faults, broken
from boast_source.sandbox.oauth import CLIENT_ID, LIMITED_TOKEN, Tokens
from boast_source.sandbox.world import Refused, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from boast_source.sandbox.options import SandboxOptions

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

NOUNS = ("sequence_enrollments", "contacts", "forms", "sequences", "responses", "webhook_subscriptions")


@dataclass
class Counters:
    """Request counts. `requests`: by method, endpoint and status; `writes`: those that acted; `at_once`: unfinished."""

    requests: Counter[str] = field(default_factory=Counter)
    arrived: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0

    def clear(self) -> None:
        for counter in (self.requests, self.arrived, self.writes):
            counter.clear()
        self.most_at_once = 0


class Api:
    """The API over one world."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.world = World(options)
        self.tokens = Tokens(options.token_lifetime, options.revoke, options.seed)
        self.faults = Faults(options.seed, self.tokens)
        self.counters = Counters()
        self.drift: dict[str, Any] = {}
        self._pages = 0

    def routes(self) -> list[web.RouteDef]:
        lists = [web.get(f"/v1/accounts/{{account}}/{noun}", self._list_of(noun)) for noun in NOUNS]
        one = "/v1/accounts/{account}/sequence_enrollments/{id}"
        return [
            web.get("/v1/accounts", self.accounts),
            web.get("/v1/accounts/{account}", self.account),
            *lists,
            web.post("/v1/accounts/{account}/sequence_enrollments", self.create),
            web.get(one, self.show),
            web.delete(one, self.remove),
            web.get("/oauth/authorize", self.authorize),
            web.post("/oauth/token", self.token),
        ]

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count requests, add latency and faults, and format errors like the API."""
        if request.path.startswith("/_sandbox/"):
            return await handler(request)
        counters, endpoint = self.counters, _endpoint(request.path)
        counters.arrived[f"{request.method} {endpoint}"] += 1
        counters.at_once += 1
        counters.most_at_once = max(counters.most_at_once, counters.at_once)
        status = 0
        try:
            if self.options.latency:
                await asyncio.sleep(self.options.latency)
            answer = await self.faults.apply(request, lambda inner: self._worded(inner, handler))
            status = answer.status
            return answer
        finally:
            counters.at_once -= 1
            counters.requests[f"{request.method} {endpoint} {status}"] += 1

    async def _worded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            if refused.status == 401 and self.options.bare_401:
                return web.Response(status=401)
            return broken(refused.status, refused.code, str(refused))
        except web.HTTPNotFound:
            return broken(404, "not_found", "No such path")
        except web.HTTPMethodNotAllowed:
            return broken(405, "method_not_allowed", "Method not allowed")

    # Lists and records

    async def accounts(self, request: web.Request) -> web.Response:
        token = self._admit(request)
        rows = self.world.accounts()
        rows = rows[:1] if token == LIMITED_TOKEN else rows
        return self._page(request, len(rows), lambda start, stop: rows[start:stop])

    async def account(self, request: web.Request) -> web.Response:
        return _json({"data": self.world.accounts()[self._account(request)]})

    def _list_of(self, noun: str) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            account = self._account(request)
            count = self.world.length(account, noun)
            page = self._page(request, count, lambda start, stop: self.world.rows(account, noun, start, stop))
            if noun == "sequence_enrollments":
                self._drift()
            return page

        return answer

    async def show(self, request: web.Request) -> web.Response:
        return _json({"data": self.world.enrollment(self._found(request))})

    async def create(self, request: web.Request) -> web.Response:
        account = self._account(request)
        body = await _body(request)
        missing = [key for key in ("contact_id", "sequence_id") if not body.get(key)]
        if missing:
            raise Refused(422, "missing_parameter", f"{missing[0]} is missing")
        n = self.world.enroll(account, body["contact_id"], body["sequence_id"])
        self.counters.writes["POST sequence_enrollments"] += 1
        return _json({"data": self.world.enrollment(n)}, status=201)

    async def remove(self, request: web.Request) -> web.Response:
        n = self._found(request)
        if self.world.remove(n):
            self.counters.writes["DELETE sequence_enrollments"] += 1
        return _json({"data": self.world.enrollment(n)})

    # OAuth

    async def authorize(self, request: web.Request) -> web.Response:
        query = request.query
        if query.get("client_id") != CLIENT_ID or query.get("response_type") != "code" or "redirect_uri" not in query:
            return web.json_response({"error": "invalid_request"}, status=400)
        back = {"code": self.tokens.code()} | ({"state": query["state"]} if "state" in query else {})
        return web.Response(status=302, headers={"Location": f"{query['redirect_uri']}?{urlencode(back)}"})

    async def token(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        status, body = self.tokens.answer(form)
        return web.json_response(body, status=status)

    # Inside

    def _admit(self, request: web.Request) -> str:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not self.tokens.admits(token):
            raise Refused(401, "unauthorized", "The access token is missing, invalid, expired or revoked")
        return token

    def _account(self, request: web.Request) -> int:
        token = self._admit(request)
        n = number_of(self.options.seed, "account", request.match_info["account"])
        if n is None or n >= self.options.accounts:
            raise Refused(404, "not_found", "Account not found")
        if token == LIMITED_TOKEN and n > 0:
            raise Refused(403, "forbidden", "The token has no access to this account")
        return n

    def _found(self, request: web.Request) -> int:
        n = self.world.find(self._account(request), request.match_info["id"])
        if n is None:
            raise Refused(404, "not_found", "Sequence enrollment not found")
        return n

    def _page(self, request: web.Request, count: int, rows: Callable[[int, int], list[Any]]) -> web.Response:
        size = self.options.page_size
        if not self.options.meta:
            return _json({"data": rows(0, count)})
        text = request.query.get("page", "1")
        if not text.isdigit() or int(text) < 1:
            raise Refused(400, "bad_request", "page must be a number from 1")
        number, pages = int(text), max(1, -(-count // size))
        if number > pages and self.options.past_end == "404":
            raise Refused(404, "not_found", "No such page")
        if number > pages and self.options.past_end == "last":
            number = pages
        found = rows((number - 1) * size, min(number * size, count)) if number <= pages else []
        items = len(found) if self.options.items_of_page else size
        pagination = {"count": count, "page": number, "items": items, "pages": pages}
        return _json({"data": found, "meta": {"pagination": pagination}})

    def _drift(self) -> None:
        """Change the list between two page requests, if the control asked for it."""
        self._pages += 1
        if self.drift and self._pages % int(self.drift.get("every_pages", 1)) == 0:
            times = self.drift.get("times")
            if times is None or times > 0:
                mutate(self.world, self.drift)
            if times is not None:
                self.drift["times"] = times - 1


async def _body(request: web.Request) -> dict[str, Any]:
    """Return the JSON body; empty without the JSON content type. Raises Refused."""
    if request.content_type != "application/json":
        return {}
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise Refused(400, "bad_request", "The body is not JSON") from None
    return body if isinstance(body, dict) else {}


def _endpoint(path: str) -> str:
    """Return the endpoint's name: `/v1/accounts/x/forms` is `forms`, `/v1/accounts/x/forms/y` is `forms/id`."""
    parts = path.strip("/").split("/")
    if parts[0] == "oauth":
        return path.strip("/")
    if len(parts) <= 3:
        return "accounts" if len(parts) == 2 else "accounts/id"
    return parts[3] if len(parts) == 4 else f"{parts[3]}/id"


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
