"""The OAuth token endpoint: form in, tokens out.

Source: "OAuth 2, authorization code grant" of the API. Its errors are `{"error", "error_description"}`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import orjson

from boast_source.api.address import checked_url
from boast_source.api.answers import masked
from boast_source.api.credentials import OAuthCredentials, usable
from boast_source.api.failures import LOG_IN_AGAIN, Call, of_failure
from boast_source.api.pace import retry_after
from boast_source.api.reader import Response, TransportFailure
from boast_source.api.token_store import Tokens, fingerprint
from boast_source.api.transport import Transport
from boast_source.errors import ApiError, AuthenticationError, ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable


LEAST_TIMEOUT = 60.0  # seconds: a refresh given up early may have rotated the token anyway
LONGEST_WAIT = 60.0  # seconds between two attempts, whatever the server asks for
_LARGEST = 1024 * 1024  # bytes of an answer that are parsed


class InvalidGrantError(Exception):
    """The refresh token or the code is not accepted. `lost`: an earlier answer to it never arrived."""

    def __init__(self, *, lost: bool) -> None:
        super().__init__("invalid_grant")
        self.lost = lost


class TokenEndpoint:
    """The `token_url` of one OAuth client. `seed`: fingerprint of the configured refresh token, if any.

    Raises ConfigurationError for unusable credentials.
    """

    def __init__(self, credentials: OAuthCredentials, *, timeout: float = LEAST_TIMEOUT) -> None:
        for key in ("client_id", "client_secret"):
            if not getattr(credentials, key):
                raise ConfigurationError(
                    f"sources.boast.credentials.{key} is missing", hint="Put it into .dlt/secrets.toml"
                )
        self.url = checked_url(credentials.token_url, "sources.boast.credentials.token_url")
        self.client = fingerprint(credentials.client_id, self.url)
        self.seed = fingerprint(credentials.refresh_token) if credentials.refresh_token else None
        self.client_id = credentials.client_id
        self._client_secret = credentials.client_secret
        self._transport = Transport(self.url, timeout=max(timeout, LEAST_TIMEOUT), connections=1)

    def close(self) -> None:
        self._transport.close()

    def ask(self, form: dict[str, str], *, attempts: int, wait: Callable[[float], None], first_wait: float) -> Tokens:
        """Request one grant. `attempts`: how often to send it if no clear answer comes, with `wait(seconds)` between.

        A request that was certainly not sent is repeated in any case. Raises InvalidGrantError,
        AuthenticationError, UnavailableError.
        """
        form = {**form, "client_id": self.client_id, "client_secret": self._client_secret}
        call = Call("POST", urlsplit(self.url).path or "/", secrets={v for k, v in form.items() if k != "client_id"})
        headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "boast-source"}
        body = urlencode(form).encode()
        lost = False
        for attempt in range(1, max(attempts, 4) + 1):
            call.sending()
            before = time.time()
            asked: float | None = None
            unsent = False
            error: ApiError
            try:
                response = self._transport.send("POST", self.url, headers=headers, body=body)
            except TransportFailure as failure:
                error, unsent = of_failure(failure, call), not failure.sent
            else:
                tokens = self._tokens(response, form.get("refresh_token"), before)
                if tokens:
                    return tokens
                error = _error(response, call, lost=lost)
                if not isinstance(error, UnavailableError) or 300 <= response.status < 400:
                    raise error
                asked = retry_after(response.headers)
            lost = lost or not unsent
            if attempt >= attempts and not unsent:
                break
            if attempt < max(attempts, 4):
                wait(min(LONGEST_WAIT, asked or first_wait * 2.0 ** (attempt - 1)))
        raise error

    def _tokens(self, response: Response, old: str | None, before: float) -> Tokens | None:
        """Return the pair in a good answer; None for any other. `before`: when it was requested, on our clock."""
        document = _json(response.body)
        access, refresh = document.get("access_token"), document.get("refresh_token")
        if not 200 <= response.status < 300 or not isinstance(access, str):
            return None
        try:
            access = usable(access, "access_token")
        except ConfigurationError:
            return None
        lifetime = _seconds(document.get("expires_in"))
        return Tokens(
            access_token=access,
            refresh_token=refresh if isinstance(refresh, str) and refresh else old,
            expires_at=before + lifetime if lifetime is not None else None,
            expires_in=lifetime,
            seed=self.seed,
            client=self.client,
        )


def _error(response: Response, call: Call, *, lost: bool) -> ApiError:
    """Return the error; UnavailableError if asking again may help. Raises InvalidGrantError."""
    code = _json(response.body).get("error")
    status = response.status
    if code == "invalid_grant" and 400 <= status < 500:
        raise InvalidGrantError(lost=lost)
    if isinstance(code, str) and 400 <= status < 500 and status not in {408, 425, 429}:
        code = masked(code, call.secrets, longest=60)
        wrong_client = code in {"invalid_client", "unauthorized_client"}
        return AuthenticationError(
            f"{call.name}: HTTP {status} ({code})",
            hint="Check sources.boast.credentials.client_id and client_secret" if wrong_client else LOG_IN_AGAIN,
            code=code,
            **call.facts(status),
        )
    what = "no tokens in the answer" if 200 <= status < 300 else f"HTTP {status}"
    hint = "Try again later, and check sources.boast.credentials.token_url"
    return UnavailableError(f"{call.name}: {what}", hint=hint, may_have_acted=True, **call.facts(status))


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body[:_LARGEST])
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < 1e10 else None
