"""The API's OAuth 2: authorization codes, access tokens that expire, refresh tokens that rotate.

Real servers revoke the old tokens in one of two modes: `on_use` (when the new access token is first used; until then
the old refresh token still works) and `at_once` (as soon as a refresh succeeds).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "sandbox-client-secret"
STATIC_TOKEN = "sandbox-access-token"
LIMITED_TOKEN = "sandbox-limited-token"  # sees the first account only
FIRST_REFRESH = "sandbox-refresh-token"


@dataclass
class Grant:
    """A pair of tokens. `ends`: the pair that this one replaced and that is still valid, in mode `on_use`."""

    access: str
    refresh: str
    expires: float  # on the monotonic clock
    ends: Grant | None = None
    revoked: bool = False


@dataclass
class Tokens:
    """All grants. `refreshes`: the number of requests to the token endpoint."""

    lifetime: float
    revoke: str
    seed: int
    static_revoked: bool = False
    refreshes: int = 0
    by_access: dict[str, Grant] = field(default_factory=dict)
    by_refresh: dict[str, Grant] = field(default_factory=dict)
    codes: set[str] = field(default_factory=set)
    _made: int = 0

    def __post_init__(self) -> None:
        self._keep(Grant("sandbox-expired-access-token", FIRST_REFRESH, 0.0))

    def admits(self, access: str) -> bool:
        """Return whether a bearer token is valid now. Its first use revokes the pair that it replaced."""
        if access in {STATIC_TOKEN, LIMITED_TOKEN}:
            return not self.static_revoked
        grant = self.by_access.get(access)
        if grant is None or grant.revoked or time.monotonic() >= grant.expires:
            return False
        if grant.ends:
            grant.ends.revoked = True
            grant.ends = None
        return True

    def code(self) -> str:
        code = self._secret("code")
        self.codes.add(code)
        return code

    def answer(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Return the status and body for `POST /oauth/token`."""
        self.refreshes += 1
        if form.get("client_id") != CLIENT_ID or form.get("client_secret") != CLIENT_SECRET:
            return 401, _error("invalid_client", "Client authentication failed")
        kind = form.get("grant_type")
        if kind == "authorization_code":
            if form.get("code") not in self.codes or not form.get("redirect_uri"):
                return 400, _error("invalid_grant", "The authorization code is invalid or expired")
            self.codes.discard(form["code"])
            return 200, self._issue(None)
        if kind == "refresh_token":
            old = self.by_refresh.get(form.get("refresh_token", ""))
            if old is None or old.revoked:
                return 400, _error("invalid_grant", "The refresh token is invalid, expired or revoked")
            return 200, self._issue(old)
        return 400, _error("unsupported_grant_type", "The grant type is not supported")

    def expire_access(self) -> None:
        for grant in self.by_access.values():
            grant.expires = 0.0

    def revoke_all(self, *, refresh_too: bool) -> None:
        self.expire_access()
        self.static_revoked = True
        for grant in self.by_refresh.values():
            grant.revoked = grant.revoked or refresh_too

    def _issue(self, old: Grant | None) -> dict[str, Any]:
        grant = Grant(self._secret("access"), self._secret("refresh"), time.monotonic() + self.lifetime)
        if old and self.revoke == "at_once":
            old.revoked = True
        elif old:
            grant.ends = old
        self._keep(grant)
        return {
            "access_token": grant.access,
            "token_type": "Bearer",
            "expires_in": int(self.lifetime) if self.lifetime >= 1 else self.lifetime,
            "refresh_token": grant.refresh,
            "scope": "read write",
            "created_at": int(time.time()),
        }

    def _keep(self, grant: Grant) -> None:
        self.by_access[grant.access] = grant
        self.by_refresh[grant.refresh] = grant

    def _secret(self, kind: str) -> str:
        self._made += 1
        return f"{kind}-" + blake2b(f"{self.seed}/{kind}/{self._made}".encode(), digest_size=16).hexdigest()


def _error(code: str, description: str) -> dict[str, str]:
    return {"error": code, "error_description": description}
