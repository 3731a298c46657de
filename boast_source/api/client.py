"""The client of the Boast API: every documented call, for any number of threads.

Reads are repeated until they succeed, within bounds. A write is sent once; it is repeated only when it is known
that the server did not act on it. All writes go through `BoastClient._write`.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote, unquote

import orjson

from boast_source.api import failures
from boast_source.api.address import checked_url, path_of
from boast_source.api.answers import BadAnswerError, Page, all_records, page_of, record_of
from boast_source.api.credentials import BoastCredentials, resolve_credentials
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
from boast_source.config import DEFAULT_BASE_URL, settings
from boast_source.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from boast_source.api import records
    from boast_source.config import Settings

T = TypeVar("T")

MAX_RENEWALS = 10  # 401s of one request: other processes may refresh our token away again and again
log = logging.getLogger("boast_source.api")


class BoastClient:
    """A session with the API. `credentials`: what dlt resolved, or an access token as a string.

    `request_timeout`: seconds for one request. Use it in a `with` statement, or call `close()`.
    Raises ConfigurationError for settings that cannot work; every call raises ApiError.
    """

    def __init__(
        self,
        credentials: BoastCredentials | str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        max_concurrency: int = 8,
        max_requests_per_second: float | None = None,
        request_timeout: float = 60.0,
        retries: RetryPolicy | None = None,
    ) -> None:
        _check(max_concurrency, max_requests_per_second, request_timeout)
        self.base_url = checked_url(base_url, "sources.boast.base_url")
        self._retries = retries or RetryPolicy()
        self._auth = auth_of(credentials, request_timeout=request_timeout, first_wait=self._retries.first_wait)
        self._transport = Transport(self.base_url, timeout=request_timeout, connections=max_concurrency)
        self._pace = Pace(
            max_concurrency,
            max_requests_per_second,
            first_wait=self._retries.first_wait,
            longest_wait=self._retries.longest_wait,
        )

    @classmethod
    def from_config(cls, found: Settings | None = None) -> Self:
        """Make a client from dlt's configuration, `sources.boast.*`. Raises ConfigurationError."""
        found = found or settings()
        return cls(
            resolve_credentials(),
            base_url=found.base_url,
            max_concurrency=found.max_concurrency,
            max_requests_per_second=found.max_requests_per_second,
            request_timeout=found.request_timeout,
        )

    def __repr__(self) -> str:
        return f"BoastClient({self.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections; requests that wait for their turn end with UnavailableError."""
        self._pace.close()
        self._transport.close()
        self._auth.close()

    # Reads: `page` and `record` are what all others are made of.

    def page(self, path: str, number: int = 1, tally: Tally | None = None) -> Page:
        """Page `number` (from 1) of the list at `path`, for example `/accounts/{id}/forms`."""
        query = f"?page={number}" if number > 1 else ""

        def compared(response: Response) -> tuple[Page, bool]:
            page = page_of(response.body, number, fresh=response.fresh)
            return page, page.compared

        page = self._read(path, query, compared, tally, lane=path)
        if tally:
            tally.add(pages=1)
        return page

    def record(self, path: str, tally: Tally | None = None) -> dict[str, Any]:
        """The one record at `path`, whose last part is its id."""
        lane, _, key = path.rstrip("/").rpartition("/")
        wanted = {"id": unquote(key)}
        return self._read(path, "", lambda response: (record_of(response.body, wanted), True), tally, lane=lane)

    def accounts(self) -> Iterator[records.Account]:
        """The accounts with API access that the token can see."""
        return cast("Iterator[records.Account]", self._all("/accounts"))

    def account(self, account_id: str) -> records.Account:
        return cast("records.Account", self.record(path_of("accounts", account_id)))

    def sequence_enrollments(self, account_id: str) -> Iterator[records.SequenceEnrollment]:
        """Page after page; `sweep` is the consistent and concurrent way."""
        return cast("Iterator[records.SequenceEnrollment]", self._list(account_id, "sequence_enrollments"))

    def sequence_enrollment(self, account_id: str, enrollment_id: str) -> records.SequenceEnrollment:
        path = path_of("accounts", account_id, "sequence_enrollments", enrollment_id)
        return cast("records.SequenceEnrollment", self.record(path))

    def contacts(self, account_id: str) -> Iterator[records.Contact]:
        return cast("Iterator[records.Contact]", self._list(account_id, "contacts"))

    def forms(self, account_id: str) -> Iterator[records.Form]:
        return cast("Iterator[records.Form]", self._list(account_id, "forms"))

    def sequences(self, account_id: str) -> Iterator[records.Sequence]:
        return cast("Iterator[records.Sequence]", self._list(account_id, "sequences"))

    def responses(self, account_id: str) -> Iterator[records.Response]:
        return cast("Iterator[records.Response]", self._list(account_id, "responses"))

    def webhook_subscriptions(self, account_id: str) -> Iterator[records.WebhookSubscription]:
        return cast("Iterator[records.WebhookSubscription]", self._list(account_id, "webhook_subscriptions"))

    # Writes.

    def create_sequence_enrollment(
        self, account_id: str, *, contact_id: str, sequence_id: str, within: float | None = None
    ) -> records.SequenceEnrollment:
        """Enroll an existing contact: a real person gets messages, and twice if this is called twice.

        `within`: seconds after which it is not sent any more. Raises ApiError; its `may_have_acted` tells
        whether the contact may be enrolled all the same.
        """
        wanted = {"contact_id": contact_id, "sequence_id": sequence_id}
        path_of(contact_id, sequence_id)  # neither is empty
        path = path_of("accounts", account_id, "sequence_enrollments")
        return self._write("POST", path, wanted, expected=wanted, within=within)

    def remove_sequence_enrollment(
        self, account_id: str, enrollment_id: str, *, within: float | None = None
    ) -> records.SequenceEnrollment:
        """Unenroll a contact that has an active enrollment. `within` and errors as above."""
        path = path_of("accounts", account_id, "sequence_enrollments", enrollment_id)
        return self._write("DELETE", path, None, expected={"id": enrollment_id}, within=within)

    def _all(self, path: str) -> Iterator[dict[str, Any]]:
        return all_records(lambda number: self.page(path, number), path)

    def _list(self, account_id: str, noun: str) -> Iterator[dict[str, Any]]:
        return self._all(path_of("accounts", account_id, noun))

    def _read(
        self, path: str, query: str, parse: Callable[[Response], tuple[T, bool]], tally: Tally | None, *, lane: str
    ) -> T:
        """`parse`: returns what an answer says, and whether it was compared with the question."""
        path = quote("/" + path.strip("/"), safe="/%")
        call = Call("GET", path, tally or Tally())
        bad_answers = 0

        def attempt() -> T:
            found: list[T] = []
            # after two a fresh connection: past the end every kept one may answer with the last page again
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
            return persist(attempt, self._retries, self._pace)
        except ClosedError:
            raise failures.not_sent("the client was closed", call) from None

    def _write(
        self,
        method: str,
        path: str,
        payload: dict[str, str] | None,
        *,
        expected: dict[str, str],
        within: float | None,
    ) -> records.SequenceEnrollment:
        """The one way out for writes: sent once, and again only after an answer (or none) that proves that
        the server did not act: no connection, 401 with another token since, 429.
        """
        call = Call(method, path)
        until = time.monotonic() + within if within is not None else None
        body = orjson.dumps(payload) if payload is not None else None

        def attempt() -> Response:
            try:
                response, began = self._exchange(call, body=body, until=until)
            except TransportFailure as failure:
                error = failures.of_failure(failure, call)
                if failure.sent:
                    raise error from None
                raise AgainError(error) from None
            if response.status == 429:
                paused = self._paused(response, began, call)
                raise AgainError(failures.of_status(response, call), pause=paused)
            if response.status == 503:  # the server may have acted, but everybody else is to wait
                self._pace.slow_down(began, min(retry_after(response.headers) or 0.0, LONGEST_PAUSE))
            return response

        try:
            response = persist(attempt, self._retries, self._pace)
        except ClosedError:
            raise failures.not_sent("the client was closed", call) from None
        except LateError:
            raise failures.not_sent("too late to send it, the API asked to wait", call) from None
        if not 200 <= response.status < 300:
            raise failures.of_status(response, call)
        try:
            return cast("records.SequenceEnrollment", record_of(response.body, expected))
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
        """Send one request, and again while it is answered 401 and there is another token.

        An answer that ends a read, but cannot be compared with its question, counts only where it is the first of its
        connection. Returns the answer and the moment the request began. Raises TransportFailure, AuthenticationError.
        """
        token, fresh = self._auth.token(), False
        for _ in range(MAX_RENEWALS + 1):
            call.secrets.add(token)
            with self._pace.slot(until) as began:
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
                    self._pace.went_well()
                return response, began
            renewal = self._auth.renew(token, fresh=fresh)
            if renewal is None:
                break
            token, fresh = renewal.token, renewal.fresh
        raise failures.of_status(response, call)

    def _paused(self, response: Response, began: float, call: Call) -> bool:
        """Slow everybody down if the answer asks for it. Raises UnavailableError when it asks for too long."""
        wait = retry_after(response.headers)
        if response.status != 429 and (response.status != 503 or wait is None):
            return False
        if wait is not None and wait > min(LONGEST_PAUSE, self._retries.total):
            raise failures.waits_too_long(wait, response, call)
        self._pace.slow_down(began, wait)
        return True


def _check(max_concurrency: int, max_requests_per_second: float | None, request_timeout: float) -> None:
    for key, value, least in (
        ("max_concurrency", max_concurrency, 1),
        ("max_requests_per_second", max_requests_per_second, 0.001),
        ("request_timeout", request_timeout, 0.001),
    ):
        if value is not None and not least <= value < 1e6:
            raise ConfigurationError(f"sources.boast.{key} is {value}", hint=f"Set it to a number of at least {least}")
