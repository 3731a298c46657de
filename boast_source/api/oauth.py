"""The token that a client sends: a fixed one, or an OAuth token, renewed for any number of threads and processes.

OAuth tokens are refreshed one at a time, under the store's lock, after reading the store again; the new pair is durable
before its first use. Each refresh spends the old refresh token, at once or when the new access token is first used.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from boast_source.api.credentials import AccessTokenCredentials, BoastCredentials, OAuthCredentials, usable
from boast_source.api.failures import LOG_IN_AGAIN
from boast_source.api.pace import ClosedError
from boast_source.api.token_endpoint import InvalidGrantError, TokenEndpoint
from boast_source.api.token_store import Tokens, TokenStore, fingerprint
from boast_source.errors import AuthenticationError, ConfigurationError, UnavailableError

log = logging.getLogger("boast_source.api")

ATTEMPTS = 4  # for one refresh whose answer is lost: servers that spend the token on first use answer again
_TURNS = 4  # refresh tokens tried in one renewal: the stored one, what others stored meanwhile, the seed
_QUIET = 10.0  # seconds between a failed early renewal and the next try


def auth_of(credentials: BoastCredentials | str, *, request_timeout: float, first_wait: float) -> StaticToken | OAuth:
    """Return the way to log in with these credentials; a string is an access token. Raises ConfigurationError."""
    if isinstance(credentials, OAuthCredentials):
        return OAuth(credentials, request_timeout=request_timeout, first_wait=first_wait)
    if isinstance(credentials, AccessTokenCredentials):
        credentials = credentials.access_token or ""
    if not isinstance(credentials, str):
        raise ConfigurationError(
            "These are no credentials", hint="Pass an access token, AccessTokenCredentials or OAuthCredentials"
        )
    return StaticToken(credentials)


@dataclass(frozen=True, repr=False)
class Renewal:
    """A new token; `fresh`: this call fetched it, not another thread or process."""

    token: str
    fresh: bool


class StaticToken:
    """A fixed bearer token, which cannot be renewed."""

    def __init__(self, token: str) -> None:
        self._token = usable(token, "sources.boast.credentials.access_token")

    def token(self) -> str:
        return self._token

    def renew(self, failed: str, *, fresh: bool = False) -> None:
        """Return None: there is no other token."""

    def close(self) -> None:
        """Do nothing: no connection is held."""


class OAuth:
    """The current access token of one OAuth client. `first_wait`: seconds before a lost refresh is repeated.

    Thread-safe. `token` and `renew` raise AuthenticationError, UnavailableError, ConfigurationError.
    """

    def __init__(
        self, credentials: OAuthCredentials, *, request_timeout: float = 60.0, first_wait: float = 0.5
    ) -> None:
        self._endpoint = TokenEndpoint(credentials, timeout=request_timeout)
        self._store = TokenStore(credentials.token_store, self._endpoint.client)
        self._seed = credentials.refresh_token
        self._first_wait = first_wait
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._tokens: Tokens | None = None
        self._dead: set[str] = set()  # fingerprints of refresh tokens that were not accepted
        self._quiet_until = 0.0

    def token(self) -> str:
        """Return the access token, renewed shortly before it expires."""
        tokens = self._tokens
        if tokens and tokens.lives(with_margin=True):
            return tokens.access_token
        if tokens and tokens.lives() and time.monotonic() < self._quiet_until:
            return tokens.access_token
        try:
            renewal = self._renewed(None)
        except UnavailableError:
            tokens = self._tokens
            if tokens and tokens.lives():
                self._quiet_until = time.monotonic() + _QUIET
                return tokens.access_token
            raise
        assert renewal
        return renewal.token

    def renew(self, failed: str, *, fresh: bool = False) -> Renewal | None:
        """Return another token than `failed`, which was answered 401; None if there is no other.

        `fresh`: the failed token had just been fetched, so that fetching once more would not help.
        """
        return self._renewed(failed, fresh=fresh)

    def close(self) -> None:
        self._closed.set()
        self._endpoint.close()

    def _renewed(self, failed: str | None, *, fresh: bool = False) -> Renewal | None:
        with self._lock:
            if self._tokens and self._good(self._tokens, failed):
                return Renewal(self._tokens.access_token, fresh=False)  # another thread was first
            stored = self._read()
            if stored and self._good(stored, failed):
                return Renewal(stored.access_token, fresh=False)  # needs no lock: documents are replaced atomically
            with self._store.lock():
                stored = self._read()
                if stored and self._good(stored, failed):
                    return Renewal(stored.access_token, fresh=False)  # another process was first
                if fresh and stored and stored.access_token == failed and stored.lives():
                    return None
                return self._refreshed(stored, failed)

    @staticmethod
    def _good(tokens: Tokens, failed: str | None) -> bool:
        return tokens.access_token != failed and tokens.lives(with_margin=failed is None)

    def _read(self) -> Tokens | None:
        """Make the stored tokens the current ones and return them; if the store was removed, this process's tokens.

        Raises ConfigurationError.
        """
        stored = self._store.read()
        if stored and stored.client != self._endpoint.client:
            raise ConfigurationError(
                f"The token store {self._store.where} belongs to another OAuth client",
                hint="Run `boast login` to replace it, or set another sources.boast.credentials.token_store",
            )
        self._tokens = stored or self._tokens
        return self._tokens

    def _refreshed(self, stored: Tokens | None, failed: str | None) -> Renewal:
        """Spend a refresh token. Call it with both locks held."""
        self._store.probe()
        lost = False
        for _ in range(_TURNS):
            candidate = self._candidate(stored)
            if candidate is None:
                break
            log.info("refreshing the access token")
            try:
                tokens = self._endpoint.ask(
                    {"grant_type": "refresh_token", "refresh_token": candidate},
                    attempts=ATTEMPTS,
                    wait=self._wait,
                    first_wait=self._first_wait,
                )
            except InvalidGrantError as refused:
                lost = lost or refused.lost
                self._dead.add(fingerprint(candidate))
                stored = self._read()  # a machine that does not share our lock may have been faster
                if stored and self._good(stored, failed):
                    return Renewal(stored.access_token, fresh=False)
                continue
            self._store.write(tokens)
            self._tokens = tokens
            return Renewal(tokens.access_token, fresh=True)
        raise self._locked_out(lost=lost)

    def _candidate(self, stored: Tokens | None) -> str | None:
        """Return the stored refresh token, or else a configured one that the stored one does not stem from."""
        candidates = [stored.refresh_token] if stored else []
        if self._seed and (stored is None or stored.seed != self._endpoint.seed):
            candidates.append(self._seed)
        if not any(candidates):
            raise ConfigurationError(
                "There is no refresh token yet", hint="Run `boast login`, or configure a refresh_token"
            )
        return next((each for each in candidates if each and fingerprint(each) not in self._dead), None)

    def _locked_out(self, *, lost: bool) -> AuthenticationError:
        why = "; the answer to an earlier refresh was lost, and its new token with it" if lost else ""
        return AuthenticationError(
            f"The refresh token is not accepted any more (invalid_grant){why}",
            hint=LOG_IN_AGAIN,
            method="POST",
            path="/oauth/token",
            status=400,
            code="invalid_grant",
        )

    def _wait(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise ClosedError
