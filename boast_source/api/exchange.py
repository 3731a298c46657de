"""The only path to the API: sends, repeats and paces requests, for any number of threads.

Reads are repeated until they succeed, within bounds. A write is sent once; it is repeated only when it is known
that the server did not act on it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import orjson

from boast_source.api import failures
from boast_source.api.address import checked_url
from boast_source.api.answers import BadAnswerError, record_of
from boast_source.api.failures import Call
from boast_source.api.oauth import auth_of
from boast_source.api.pace import (
    LONGEST_PAUSE,
    AgainError,
    ClosedError,
    LateError,
    Pace,
    RetryPolicy,
    Tally,
    persist,
    retry_after,
)
from boast_source.api.reader import Response, TransportFailure
from boast_source.api.transport import Transport
from boast_source.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from boast_source.api.credentials import BoastCredentials

T = TypeVar("T")

MAX_RENEWALS = 10  # 401s of one request: other processes may keep replacing our token
log = logging.getLogger("boast_source.api")


class Exchange:
    """Requests and their answers. Parameters and errors are those of `BoastClient`."""

    def __init__(
        self,
        credentials: BoastCredentials | str,
        *,
        base_url: str,
        max_concurrency: int,
        max_requests_per_second: float | None,
        request_timeout: float,
        retries: RetryPolicy,
    ) -> None:
        _check(max_concurrency, max_requests_per_second, request_timeout)
        self.base_url = checked_url(base_url, "sources.boast.base_url")
        self._retries = retries
        self._auth = auth_of(credentials, request_timeout=request_timeout, first_wait=retries.first_wait)
        self._transport = Transport(self.base_url, timeout=request_timeout, connections=max_concurrency)
        self.pace = Pace(
            max_concurrency,
            max_requests_per_second,
            first_wait=retries.first_wait,
            longest_wait=retries.longest_wait,
        )

    def close(self) -> None:
        """Close connections; requests that wait for their turn end with UnavailableError."""
        self.pace.close()
        self._transport.close()
        self._auth.close()

    def read(
        self, path: str, query: str, parse: Callable[[Response], tuple[T, bool]], tally: Tally | None, *, lane: str
    ) -> T:
        """Return what `parse` finds in the answer; it also tells whether the answer was compared with the request.

        Requests of one `lane` share kept connections. Raises ApiError.
        """
        path = quote("/" + path.strip("/"), safe="/%")
        call = Call("GET", path, tally or Tally())
        bad_answers = 0

        def attempt() -> T:
            found: list[T] = []
            # after two bad answers a fresh connection: past the end every kept one may repeat the last page
            line = lane if bad_answers < 2 else None

            def compare(response: Response) -> bool:
                if not 200 <= response.status < 300:
                    return False
                try:
                    value, compared = parse(response)
                except BadAnswerError as bad:
                    nonlocal bad_answers
                    bad_answers += 1
                    raise AgainError(failures.of_bad_answer(str(bad), response, call)) from None
                found.append(value)
                return compared

            try:
                response, began = self._exchange(call, query=query, lane=line, compare=compare)
            except TransportFailure as failure:
                raise AgainError(failures.of_failure(failure, call)) from None
            if found:
                return found[0]
            status = response.status
            paused = self._paused(response, began, call)
            error = failures.of_status(response, call)
            if status in failures.PASSING or status >= 500:
                log.info("%s: HTTP %s, trying again", call.name, status)
                raise AgainError(error, pause=paused)
            raise error

        try:
            return persist(attempt, self._retries, self.pace)
        except ClosedError:
            raise failures.not_sent("the client was closed", call) from None

    def write(
        self,
        method: str,
        path: str,
        payload: dict[str, str] | None,
        *,
        expected: dict[str, str],
        within: float | None,
    ) -> dict[str, Any]:
        """Send a write; return the answer's record, which must have the `expected` values. It is sent once, and again
        only if the server provably did not act: no connection, 401 followed by another token, 429. The only path for
        writes. Raises ApiError.
        """
        call = Call(method, path)
        until = time.monotonic() + within if within is not None else None
        body = orjson.dumps(payload) if payload is not None else None
        limited: int | None = None

        def attempt() -> Response:
            nonlocal limited
            try:
                response, began = self._exchange(call, body=body, until=until)
            except TransportFailure as failure:
                error = failures.of_failure(failure, call)
                if failure.sent:
                    raise error from None
                raise AgainError(error) from None
            if response.status == 429:
                limited = response.status
                raise self._limited(response, began, call)
            if response.status == 503:  # the server may have acted, but other requests must wait
                self.pace.slow_down(began, min(retry_after(response.headers) or 0.0, LONGEST_PAUSE))
            return response

        try:
            response = persist(attempt, self._retries, self.pace)
        except ClosedError:
            raise failures.not_sent("the client was closed", call) from None
        except LateError:
            raise failures.not_sent("too late to send it, the API asked to wait", call, status=limited) from None
        if not 200 <= response.status < 300:
            raise failures.of_status(response, call)
        try:
            return record_of(response.body, expected)
        except BadAnswerError as bad:
            raise failures.of_bad_answer(str(bad), response, call) from None

    def _exchange(
        self,
        call: Call,
        *,
        query: str = "",
        body: bytes | None = None,
        until: float | None = None,
        lane: str | None = None,
        compare: Callable[[Response], bool] | None = None,
    ) -> tuple[Response, float]:
        """Send one request, and again while the answer is 401 and there is another token.

        An answer that ends a read, but cannot be compared with its request, counts only if it is the first on its
        connection. Returns the answer and the moment the request began. Raises TransportFailure, AuthenticationError.
        """
        token, fresh = self._auth.token(), False
        for _ in range(MAX_RENEWALS + 1):
            call.secrets.add(token)
            with self.pace.slot(until) as began:
                call.sending()
                log.debug("%s: sending", call.name)
                headers = {
                    "Authorization": f"Bearer {token}",
                    "Content-Type": "application/json",
                    "User-Agent": "boast-source",
                }
                url = self.base_url + call.path + query
                response = self._transport.send(
                    call.method, url, headers=headers, body=body, lane=lane, compare=compare
                )
            log.debug("%s: HTTP %s", call.name, response.status)
            if not response.fresh and failures.ends(response.status):
                lane = None
                continue
            if response.status != 401:
                if response.status not in {429, 503}:
                    self.pace.went_well()
                return response, began
            renewal = self._auth.renew(token, fresh=fresh)
            if renewal is None:
                break
            token, fresh = renewal.token, renewal.fresh
        raise failures.of_status(response, call)

    def _limited(self, response: Response, began: float, call: Call) -> Exception:
        """Return what to raise for a write answered 429: it is repeated, unless the API has asked to slow down more
        often in a row than a request may be tried.
        """
        paused, error = self._paused(response, began, call), failures.of_status(response, call)
        return error if self.pace.streak > self._retries.attempts else AgainError(error, pause=paused)

    def _paused(self, response: Response, began: float, call: Call) -> bool:
        """Slow all requests down if the answer asks for it. Raises UnavailableError if it asks for too long a wait."""
        wait = retry_after(response.headers)
        if response.status != 429 and (response.status != 503 or wait is None):
            return False
        if wait is not None and wait > min(LONGEST_PAUSE, self._retries.total):
            raise failures.waits_too_long(wait, response, call)
        self.pace.slow_down(began, wait)
        return True


def _check(max_concurrency: int, max_requests_per_second: float | None, request_timeout: float) -> None:
    for key, value, least in (
        ("max_concurrency", max_concurrency, 1),
        ("max_requests_per_second", max_requests_per_second, 0.001),
        ("request_timeout", request_timeout, 0.001),
    ):
        if value is not None and not least <= value < 1e6:
            raise ConfigurationError(f"sources.boast.{key} is {value}", hint=f"Set it to a number of at least {least}")
