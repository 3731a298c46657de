"""The client of the Boast API: every documented call, for any number of threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from boast_source.api.address import path_of
from boast_source.api.answers import Page, all_records, page_of, record_of
from boast_source.api.credentials import BoastCredentials, resolve_credentials
from boast_source.api.exchange import Exchange
from boast_source.api.pace import RetryPolicy, Tally
from boast_source.config import DEFAULT_BASE_URL, Settings, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from boast_source.api import records
    from boast_source.api.reader import Response


class BoastClient:
    """A session with the API. `credentials`: as resolved by dlt, or an access token as a string.

    `request_timeout`: seconds per request. Use the client in a `with` statement, or call `close()`.
    Raises ConfigurationError for invalid settings; every call may raise ApiError.
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
        self._exchange = Exchange(
            credentials,
            base_url=base_url,
            max_concurrency=max_concurrency,
            max_requests_per_second=max_requests_per_second,
            request_timeout=request_timeout,
            retries=retries or RetryPolicy(),
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
        return f"BoastClient({self._exchange.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections; requests that wait for their turn end with UnavailableError."""
        self._exchange.close()

    # Reads: all others build on `page` and `record`.

    def page(self, path: str, number: int = 1, tally: Tally | None = None) -> Page:
        """Return page `number` (from 1) of the list at `path`, for example `/accounts/{id}/forms`."""
        query = f"?page={number}" if number > 1 else ""

        def compared(response: Response) -> tuple[Page, bool]:
            page = page_of(response.body, number, fresh=response.fresh)
            return page, page.compared

        page = self._exchange.read(path, query, compared, tally, lane=path)
        if tally:
            tally.add(pages=1)
        return page

    def record(self, path: str, tally: Tally | None = None) -> dict[str, Any]:
        """Return the record at `path`, whose last part is its id."""
        lane, _, key = path.rstrip("/").rpartition("/")
        wanted = {"id": unquote(key)}
        return self._exchange.read(
            path, "", lambda response: (record_of(response.body, wanted), True), tally, lane=lane
        )

    def accounts(self) -> Iterator[records.Account]:
        """Yield the accounts with API access that the token can see."""
        return cast("Iterator[records.Account]", self._all("/accounts"))

    def account(self, account_id: str) -> records.Account:
        return cast("records.Account", self.record(path_of("accounts", account_id)))

    def sequence_enrollments(self, account_id: str) -> Iterator[records.SequenceEnrollment]:
        """Yield the enrollments page by page; `sweep` reads them consistently and concurrently."""
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
        """Enroll an existing contact. A real person gets messages, and gets them twice if this is called twice.

        `within`: seconds after which the request is no longer sent. Raises ApiError; its `may_have_acted` tells
        whether the contact may be enrolled nevertheless.
        """
        wanted = {"contact_id": contact_id, "sequence_id": sequence_id}
        path_of(contact_id, sequence_id)  # neither is empty
        path = path_of("accounts", account_id, "sequence_enrollments")
        return _enrollment(self._exchange.write("POST", path, wanted, expected=wanted, within=within))

    def remove_sequence_enrollment(
        self, account_id: str, enrollment_id: str, *, within: float | None = None
    ) -> records.SequenceEnrollment:
        """Unenroll a contact that has an active enrollment. `within` and errors: see `create_sequence_enrollment`."""
        path = path_of("accounts", account_id, "sequence_enrollments", enrollment_id)
        return _enrollment(self._exchange.write("DELETE", path, None, expected={"id": enrollment_id}, within=within))

    def _all(self, path: str) -> Iterator[dict[str, Any]]:
        return all_records(lambda number: self.page(path, number), path)

    def _list(self, account_id: str, noun: str) -> Iterator[dict[str, Any]]:
        return self._all(path_of("accounts", account_id, noun))


def _enrollment(record: dict[str, Any]) -> records.SequenceEnrollment:
    return cast("records.SequenceEnrollment", record)
