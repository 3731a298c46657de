"""The only module that sends a POST or DELETE of an enrollment. Each call sends at most one of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boast_source.errors import ApiError, AuthenticationError, ConfigurationError, ForbiddenError, NotFoundError
from boast_source.push.decide import LIMITED
from boast_source.push.model import State, Verdict

if TYPE_CHECKING:
    from boast_source.api import BoastClient

FORBIDDEN = 403
log = logging.getLogger("boast_source.push")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a send: enrolled, removed, refused, unknown or deferred. `record`: the enrollment in the answer.

    `stop`: why to send nothing more (the token is not accepted, or the API cannot be reached). `blocks`: why to send
    nothing more to this account.
    """

    verdict: Verdict
    record: dict[str, Any] | None = None
    stop: str | None = None
    blocks: str | None = None


STOPPED = Outcome(Verdict(State.DEFERRED, "stopped", "the sending was stopped before it"))


def enroll(client: BoastClient, account_id: str, contact_id: str, sequence_id: str, *, within: float) -> Outcome:
    """Send a POST, unless more than `within` seconds pass first."""
    try:
        record = client.create_sequence_enrollment(
            account_id, contact_id=contact_id, sequence_id=sequence_id, within=within
        )
    except Exception as error:  # noqa: BLE001 -- whatever it was, the request may be out
        return _failed(error)
    made = str(record["id"]).lower()
    if record.get("status") == "removed":
        detail = "the API answered with an enrollment that is removed"
        return Outcome(Verdict(State.REFUSED, "not_enrolled", detail, made), dict(record))
    return Outcome(Verdict(State.ENROLLED, enrollment_id=made), dict(record))


def remove(
    client: BoastClient, account_id: str, enrollment_id: str, *, listed: bool, ours: bool, within: float
) -> Outcome:
    """Send a DELETE, unless more than `within` seconds pass first. If it is refused or changes nothing, read back: an
    earlier attempt may have worked. A 404 proves that a `listed` enrollment is gone, but not one that is `ours`.
    """
    try:
        record = client.remove_sequence_enrollment(account_id, enrollment_id, within=within)
    except Exception as error:  # noqa: BLE001 -- whatever it was, the request may be out
        answered = _failed(error)
        unsure = isinstance(error, ApiError) and answered.verdict.state == State.REFUSED
    else:
        answered = _removed(dict(record))
        unsure = answered.verdict.state == State.UNKNOWN
    read_back = _removed_already(client, account_id, enrollment_id, listed=listed, ours=ours) if unsure else None
    return read_back or answered


def _removed_already(
    client: BoastClient, account_id: str, enrollment_id: str, *, listed: bool, ours: bool
) -> Outcome | None:
    """Return what reading back proves; None: nothing. A `listed` enrollment that the API no longer has is removed."""
    try:
        record = dict(client.sequence_enrollment(account_id, enrollment_id))
    except NotFoundError as error:
        if not error.code or not (listed or ours):
            return None
        if ours:
            detail = "the API says that it is not there, though it made it"
            return Outcome(Verdict(State.UNKNOWN, "gone", detail, enrollment_id, error.status))
        return Outcome(Verdict(State.REMOVED, "gone", "the API no longer has it", enrollment_id, error.status))
    except ApiError:
        return None
    return _removed(record) if record.get("status") == "removed" else None


def _removed(record: dict[str, Any]) -> Outcome:
    enrollment_id = str(record["id"]).lower()
    if record.get("status") == "removed":
        return Outcome(Verdict(State.REMOVED, enrollment_id=enrollment_id), record)
    detail = f"the API left it {record.get('status')}"
    state = State.UNKNOWN if record.get("status") == "active" else State.REFUSED  # the answer may be a stale one
    return Outcome(Verdict(state, "not_removed", detail, enrollment_id), record)


def _failed(error: Exception) -> Outcome:
    if isinstance(error, ConfigurationError):  # an id that does not fit in a URL: nothing was or will be sent
        return Outcome(Verdict(State.REFUSED, "no_id", error.message))
    if not isinstance(error, ApiError):
        log.error("sending failed in an unforeseen way: %s", type(error).__name__)
        return Outcome(Verdict(State.UNKNOWN, "unforeseen", type(error).__name__))

    def outcome(state: State, stop: str | None = None) -> Outcome:
        verdict = Verdict(state, error.code, error.detail or error.message, http_status=error.status)
        return Outcome(verdict, stop=stop, blocks=str(error) if error.status == FORBIDDEN else None)

    if error.may_have_acted:
        return outcome(State.UNKNOWN)
    if isinstance(error, AuthenticationError):
        return outcome(State.DEFERRED, str(error))
    if isinstance(error, ForbiddenError) or error.status == LIMITED:
        return outcome(State.DEFERRED)
    if error.status is not None and 400 <= error.status < 500:
        return outcome(State.REFUSED)
    return outcome(State.DEFERRED, str(error))
