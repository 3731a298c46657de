"""The one gate: nothing else sends a POST or a DELETE of an enrollment. Each call sends at most one request."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boast_source.errors import ApiError, AuthenticationError, ForbiddenError, NotFoundError

if TYPE_CHECKING:
    from boast_source.api import BoastClient

log = logging.getLogger("boast_source.push")


@dataclass(frozen=True)
class Outcome:
    """`state`: enrolled, removed, refused, unknown or deferred. `record`: what the API answered with.

    `stop` says why nothing more should be sent: the token is not accepted, or the API cannot be reached.
    """

    state: str
    enrollment_id: str | None = None
    record: dict[str, Any] | None = None
    http_status: int | None = None
    code: str | None = None
    detail: str | None = None
    stop: str | None = None


def enroll(client: BoastClient, account_id: str, contact_id: str, sequence_id: str, *, within: float) -> Outcome:
    """POST. `within`: seconds after which it is not sent any more."""
    try:
        record = client.create_sequence_enrollment(
            account_id, contact_id=contact_id, sequence_id=sequence_id, within=within
        )
    except ApiError as error:
        return _failed(error)
    except Exception as error:  # noqa: BLE001 -- whatever it was, the request may be out
        return _broken(error)
    return Outcome("enrolled", str(record["id"]).lower(), dict(record))


def remove(client: BoastClient, account_id: str, enrollment_id: str, *, listed: bool, within: float) -> Outcome:
    """DELETE. A refusal is checked by reading back: an earlier attempt may have worked, and one that was `listed`
    may be gone.
    """
    try:
        record = client.remove_sequence_enrollment(account_id, enrollment_id, within=within)
    except ApiError as error:
        failed = _failed(error)
        if failed.state != "refused":
            return failed
        return removed_already(client, account_id, enrollment_id, listed=listed) or failed
    except Exception as error:  # noqa: BLE001 -- whatever it was, the request may be out
        return _broken(error)
    return _removed(dict(record))


def removed_already(client: BoastClient, account_id: str, enrollment_id: str, *, listed: bool) -> Outcome | None:
    """What reading back shows: `removed`, also of a `listed` one that the API has no more; None when it does not."""
    try:
        record = dict(client.sequence_enrollment(account_id, enrollment_id))
    except NotFoundError as error:
        gone = Outcome("removed", enrollment_id, None, error.status, "gone", "the API no longer has it")
        return gone if listed and error.code else None
    except ApiError:
        return None
    return _removed(record) if record.get("status") == "removed" else None


def _removed(record: dict[str, Any]) -> Outcome:
    enrollment_id = str(record["id"]).lower()
    if record.get("status") == "removed":
        return Outcome("removed", enrollment_id, record)
    detail = f"the API left it {record.get('status')}"
    return Outcome("refused", enrollment_id, record, None, "not_removed", detail)


def _failed(error: ApiError) -> Outcome:
    about: dict[str, Any] = {"http_status": error.status, "code": error.code, "detail": error.detail or error.message}
    if error.may_have_acted:
        return Outcome("unknown", **about)
    if isinstance(error, AuthenticationError):
        return Outcome("deferred", **about, stop=str(error))
    if isinstance(error, ForbiddenError):
        return Outcome("refused", **about, stop=str(error))
    if error.status is not None and 400 <= error.status < 500 and error.status != 429:
        return Outcome("refused", **about)
    return Outcome("deferred", **about, stop=str(error))


def _broken(error: Exception) -> Outcome:
    log.error("sending failed in an unforeseen way: %s", type(error).__name__)
    return Outcome("unknown", code="unforeseen", detail=type(error).__name__)
