"""Turns failed requests and error answers into one of the errors, with the next step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from boast_source.api.answers import error_of
from boast_source.api.pace import Tally
from boast_source.errors import (
    ApiError,
    AuthenticationError,
    ForbiddenError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    UnreadableError,
)

if TYPE_CHECKING:
    from boast_source.api.reader import Kind, Response, TransportFailure

UNCLEAR = frozenset({408, 409, 425, 429})  # 4xx after which a write may have taken effect, or still may
PASSING = frozenset({408, 425, 429})  # 4xx after which a read is repeated
MAY_HAVE_ACTED = "Boast may have acted on it: read back before sending it again"
LOG_IN_AGAIN = "Run `boast login`, or put a valid token into sources.boast.credentials"

_WHAT: dict[Kind, str] = {
    "dns": "the host name is not known",
    "connect": "the connection was refused",
    "connect timeout": "no connection within the time",
    "tls": "no trusted TLS connection",
    "proxy": "the proxy refused or broke the connection",
    "timeout": "no whole answer within the time",
    "reset": "the connection broke before an answer came",
    "cut": "the answer was cut off",
    "too large": "the answer is too large to be one page",
}
_NEXT: dict[Kind, str] = {
    "dns": "Check the network, and the host in sources.boast.base_url",
    "connect": "Check the network, and sources.boast.base_url; a firewall may be in between",
    "connect timeout": "Check the network, and sources.boast.base_url; a firewall may be in between",
    "tls": "Check clock and certificates of this machine (SSL_CERT_FILE; docs/secure.md), and sources.boast.base_url",
    "proxy": "Check HTTPS_PROXY and NO_PROXY in the environment",
    "timeout": "Try again later; a higher sources.boast.request_timeout may help",
}
_LATER = "Try again later; if it persists, ask Boast"


@dataclass
class Call:
    """One logical request: how often it was sent, and the secrets that its errors must not show."""

    method: str
    path: str
    tally: Tally = field(default_factory=Tally)
    attempts: int = 0
    secrets: set[str] = field(default_factory=set, repr=False)

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    def sending(self) -> None:
        self.attempts += 1
        self.tally.add(requests=1, retries=int(self.attempts > 1))

    @property
    def name(self) -> str:
        times = f" ({self.attempts} attempts)" if self.attempts > 1 else ""
        return f"{self.method} {self.path}{times}"

    def facts(self, status: int | None) -> dict[str, Any]:
        """Return what every error about this request carries. `status`: of the answer, if one came."""
        return {"method": self.method, "path": self.path, "status": status, "attempts": self.attempts}


def ends(status: int) -> bool:
    """Whether a read answered with this status is not repeated."""
    return 300 <= status < 500 and status not in PASSING


def of_failure(failure: TransportFailure, call: Call) -> ApiError:
    """Return the error for an incomplete answer: UnavailableError, or UnreadableError if a 2xx answer was cut."""
    acted = call.writes and failure.sent
    hint = MAY_HAVE_ACTED if acted else _NEXT.get(failure.kind, _LATER)
    cut = failure.status is not None and 200 <= failure.status < 300
    return (UnreadableError if cut else UnavailableError)(
        f"{call.name}: {_WHAT[failure.kind]}", hint=hint, may_have_acted=acted, **call.facts(failure.status)
    )


def of_bad_answer(what: str, response: Response, call: Call) -> UnreadableError:
    """Return the error for a 2xx answer that is not what the API documents."""
    return UnreadableError(
        f"{call.name}: HTTP {response.status}, but {what}",
        hint=MAY_HAVE_ACTED if call.writes else "Check sources.boast.base_url, or try again later",
        may_have_acted=call.writes,
        **call.facts(response.status),
    )


def of_status(response: Response, call: Call) -> ApiError:
    """Return the error for an answer that is not a success; `401` only after the token could not be renewed."""
    status = response.status
    body = error_of(response.body, call.secrets)
    said = ", ".join(part for part in (body.code, body.detail) if part)
    kind, hint = _clear(status, call, given=body.given)
    acted = call.writes and kind is UnavailableError and status != 429
    return kind(
        f"{call.name}: HTTP {status}{_elsewhere(response)}{f' ({said})' if said else ''}",
        hint=MAY_HAVE_ACTED if acted and not 300 <= status < 400 else hint,
        code=body.code,
        detail=body.detail,
        may_have_acted=acted,
        **call.facts(status),
    )


def _clear(status: int, call: Call, *, given: bool) -> tuple[type[ApiError], str]:
    """Return the error's class and hint. A write's 4xx without an errors body is unclear: a proxy may have sent it."""
    if status == 401:
        return AuthenticationError, LOG_IN_AGAIN
    if 400 <= status < 500 and status not in (UNCLEAR if call.writes else PASSING) and (given or not call.writes):
        if status == 403:
            return ForbiddenError, "The token may not do this: check its scope and the account's API access"
        if status == 404:
            if call.path == "/accounts":
                return NotFoundError, "Check the path of sources.boast.base_url: the API's own ends with /v1"
            return NotFoundError, "Check the ids and sources.boast.account_ids; the record may be gone"
        return RefusedError, "The request itself is wrong: fix it before sending it again"
    if 300 <= status < 400:
        return UnavailableError, (
            "Redirects are not followed, so that the token goes nowhere else:"
            " check scheme, host and path of sources.boast.base_url"
        )
    if status == 429:
        return UnavailableError, "Try again later, or set sources.boast.max_requests_per_second"
    return UnavailableError, _LATER


def _elsewhere(response: Response) -> str:
    """Return where a redirect points, without possible secrets: scheme and host only."""
    if not 300 <= response.status < 400:
        return ""
    try:
        parts = urlsplit(response.headers.get("location", ""))
        host = parts.hostname
    except ValueError:
        host = None
    return f", a redirect to {parts.scheme}://{host}" if host else ", a redirect"


def waits_too_long(seconds: float, response: Response, call: Call) -> UnavailableError:
    return UnavailableError(
        f"{call.name}: HTTP {response.status}, the server asks to wait {seconds:.0f} s",
        hint=f"Run again in {seconds / 60:.0f} minutes, or set sources.boast.max_requests_per_second",
        may_have_acted=call.writes and response.status != 429,
        **call.facts(response.status),
    )


def not_sent(why: str, call: Call, *, status: int | None = None) -> UnavailableError:
    """Return the error for a request given up before it was sent (again). `status`: of the previous answer."""
    return UnavailableError(f"{call.name}: {why}", hint="Nothing was done; run it again", **call.facts(status))
