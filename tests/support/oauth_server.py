"""A token endpoint and an API, in both modes in which servers revoke refresh tokens."""

from __future__ import annotations

import itertools
import json
import threading
import time
from contextlib import contextmanager
from urllib.parse import parse_qs

from tests.support.http_server import page, reply, serving

CLIENT = {"client_id": "the-client", "client_secret": "the-client-secret"}


class OAuthServer:
    """`at_once`: a refresh revokes the old pair at once; otherwise the first use of the new access token does.

    `lifetime`: in seconds. `on_token(form, document)` may return another reply; it is called outside the lock, once
    the new pair exists.
    """

    def __init__(self, *, at_once=False, lifetime=7200.0, on_token=None):
        self.at_once = at_once
        self.lifetime = lifetime
        self.on_token = on_token
        self.before_token = lambda _: None
        self.seeds = {"seed-refresh-token"}
        self.refresh = {"seed-refresh-token": None}  # valid refresh token -> its access token
        self.access = {}  # valid access token -> its end
        self.revokes = {}  # access token -> (access, refresh) that its first use revokes
        self.numbers = itertools.count(1)
        self.asked = []  # grants that reached the endpoint
        self.lock = threading.Lock()

    def __call__(self, request):
        if request.target == "/oauth/token":
            return self._token({name: value[0] for name, value in parse_qs(request.body.decode()).items()})
        with self.lock:
            if self.access.get(request.token, 0) < time.time():
                return reply(401, b"")
            self._revoke(self.revokes.pop(request.token, None))
        return page({"id": "1"})

    def _revoke(self, pair):
        if pair:
            self.access.pop(pair[0], None)
            self.refresh.pop(pair[1], None)

    def _token(self, form):
        self.before_token(form)
        with self.lock:
            self.asked.append(form)
            if (form.get("client_id"), form.get("client_secret")) != tuple(CLIENT.values()):
                return reply(401, {"error": "invalid_client"})
            if form["grant_type"] == "authorization_code":
                old, good = None, form.get("code") == "the-code"
            else:
                old = form["refresh_token"]
                good = old in self.refresh
            if not good:
                return reply(400, {"error": "invalid_grant", "error_description": f"bad {old}"})
            document = self._issue(old)
        answer = self.on_token(form, document) if self.on_token else None
        return answer or reply(200, document)

    def _issue(self, old=None):
        number = next(self.numbers)
        access, refresh = f"access-token-{number}", f"refresh-token-{number}"
        pair = (self.refresh.get(old), old) if old else None
        self.refresh[refresh] = access
        self.access[access] = time.time() + self.lifetime
        if self.at_once:
            self._revoke(pair)
        elif pair:
            self.revokes[access] = pair
        return {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "refresh_token": refresh,
            "scope": "read write",
            "created_at": 1,
        }

    def revoke_access(self):
        """Revoke all access tokens, as if another client of the same user had refreshed."""
        with self.lock:
            self.access.clear()


@contextmanager
def oauth_server(**how):
    oauth = OAuthServer(**how)
    with serving(oauth) as server:
        oauth.url = server.url
        oauth.server = server
        yield oauth


def settings(oauth, store, seed="seed-refresh-token"):
    return {**CLIENT, "refresh_token": seed, "token_url": f"{oauth.url}/oauth/token", "token_store": str(store)}


def as_json(oauth, store, **more):
    """Return the settings that `forker` passes to its children."""
    return json.dumps({"url": oauth.url, "credentials": settings(oauth, store), **more})
