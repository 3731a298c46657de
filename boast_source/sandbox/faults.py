"""Faults on demand: the rules that select requests, and the faults themselves.

`boast sandbox --help` lists the kinds and settings of a rule.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from boast_source.sandbox.oauth import Tokens

KINDS = {
    *("latency", "status", "error_before_write", "error_after_write", "drop", "drop_after_write", "hold"),
    *("hold_then_act", "cut_body", "not_json", "wrong_shape", "trickle", "rate_limit", "token_revoked"),
}
PARAMETERS = {"seconds", "status", "retry_after", "body", "data", "per_second"}


@dataclass
class Rule:
    """One rule. `seen`: matching requests so far; `done`: how many of them got the fault."""

    kind: str
    method: str = "*"
    path: str = ""
    times: int | None = None
    after: int = 0
    every: int = 1
    probability: float = 1.0
    parameters: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    done: int = 0
    window: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, given: dict[str, Any]) -> Rule:
        """Return a rule from JSON. Raises ValueError for an unknown kind or key."""
        known = {"kind", "method", "path", "times", "after", "every", "probability"}
        if given.get("kind") not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(sorted(KINDS))}")
        if unknown := sorted(given.keys() - known - PARAMETERS):
            raise ValueError(
                f"a fault has no {', '.join(unknown)}; it may have {', '.join(sorted(known | PARAMETERS))}"
            )
        parameters = {key: value for key, value in given.items() if key not in known}
        return cls(**{key: value for key, value in given.items() if key in known}, parameters=parameters)

    def meets(self, method: str, path: str, rng: random.Random) -> bool:
        if self.method not in {"*", method} or not re.search(self.path, path):
            return False
        self.seen += 1
        if self.seen <= self.after or (self.seen - self.after) % self.every:
            return False
        if self.times is not None and self.done >= self.times:
            return False
        if self.kind == "rate_limit" and not self._over():
            return False
        if rng.random() >= self.probability:
            return False
        self.done += 1
        return True

    def _over(self) -> bool:
        now = time.monotonic()
        self.window = [at for at in self.window if at > now - 1]
        if len(self.window) >= self.parameters.get("per_second", 10):
            return True
        self.window.append(now)
        return False


@dataclass
class Faults:
    """The active rules. The first that matches a request decides; latency and revocation apply in addition."""

    seed: int
    tokens: Tokens
    rules: list[Rule] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._cleared = asyncio.Event()

    def clear(self) -> None:
        """Remove all rules. Requests that they delay or hold continue at once."""
        self.rules.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    async def _wait(self, seconds: float) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._cleared.wait(), seconds)

    async def apply(self, request: web.Request, handler: Any) -> web.StreamResponse:
        for rule in self.rules:
            if not rule.meets(request.method, request.path, self._rng):
                continue
            if rule.kind == "latency":
                await self._wait(rule.parameters.get("seconds", 0.1))
            elif rule.kind == "token_revoked":
                self.tokens.revoke_all(refresh_too=False)
            else:
                return await self._mishap(rule, request, handler)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _mishap(self, rule: Rule, request: web.Request, handler: Any) -> web.StreamResponse:
        """Apply a fault: hold the request or not, carry it out or not, then answer it or drop the connection."""
        kind, seconds = rule.kind, rule.parameters.get("seconds")
        await request.read()  # let the whole request arrive first
        if kind in {"hold", "hold_then_act"}:
            await self._wait(1.0 if seconds is None else seconds)
        acts = kind in {"error_after_write", "drop_after_write", "cut_body", "hold_then_act", "trickle"}
        answer: web.StreamResponse = await handler(request) if acts else web.Response()
        if kind == "drop_after_write" and seconds:
            await self._wait(seconds)
        if kind in {"drop", "hold", "drop_after_write"} and request.transport:
            request.transport.abort()
        if kind in {"cut_body", "trickle"}:
            return await _in_pieces(request, answer, None if kind == "cut_body" else seconds or 0.1)
        mistaken = _mistaken(kind, rule.parameters)
        return answer if mistaken is None else mistaken  # in older aiohttp an empty answer is falsy


def _mistaken(kind: str, given: dict[str, Any]) -> web.Response | None:
    """Return the answer of a fault; None if it is the API's own answer."""
    headers = _retry_after(given.get("retry_after"))
    if kind in {"error_before_write", "error_after_write"}:
        return broken(500, "internal_error", "Something went wrong")
    if kind == "not_json":
        return web.Response(text="<html><body>Sign in to continue</body></html>", content_type="text/html")
    if kind == "wrong_shape":
        return web.json_response({"data": given.get("data", "not what you expect")})
    if kind == "rate_limit":
        return broken(429, "rate_limited", "Too many requests", headers)
    if kind != "status":
        return None
    status, body = int(given.get("status", 503)), given.get("body", "errors")
    if body == "errors":
        return broken(status, "unavailable", "Try again later", headers)
    text = "<html>Bad gateway</html>" if body == "html" else None
    return web.Response(status=status, headers=headers, text=text, content_type="text/html" if text else None)


async def _in_pieces(request: web.Request, whole: web.StreamResponse, pause: float | None) -> web.StreamResponse:
    """Send half of the body and close the connection or, with a `pause` in seconds, send it byte by byte."""
    body = bytes(whole.body) if isinstance(whole, web.Response) and isinstance(whole.body, bytes) else b""
    answer = web.StreamResponse(status=whole.status, headers={"Content-Type": "application/json"})
    answer.content_length = len(body)
    await answer.prepare(request)
    if pause is None:
        await answer.write(body[: len(body) // 2])
        if request.transport:
            request.transport.close()
        return answer
    for at in range(len(body)):
        await answer.write(body[at : at + 1])
        await asyncio.sleep(pause)
    return answer


def _retry_after(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if isinstance(value, str) and value.startswith("date:"):
        moment = datetime.now(timezone.utc) + timedelta(seconds=float(value[5:]))
        return {"Retry-After": format_datetime(moment, usegmt=True)}
    return {"Retry-After": str(value)}


def broken(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an error answer with the API's `errors` body."""
    body = {"errors": [{"detail": detail, "code": code, "status": status}]}
    return web.json_response(body, status=status, headers=headers)
