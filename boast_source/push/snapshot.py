"""The known enrollments of the contacts that requests are about, as of this run's listing."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from boast_source.warehouse.dialect import moment_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from boast_source.listing.scratch import Scratch
    from boast_source.push.requests import Request

COLUMNS = ("id", "account_id", "contact_id", "sequence_id", "status", "created_at", "missing_since")
OVER = frozenset({"completed", "removed"})  # statuses after which, as documented, no more messages are sent


@dataclass(frozen=True, slots=True)
class Enrollment:
    """One enrollment; ids in lower case. `gone`: the API no longer has it. `created_at`: the API's clock."""

    id: str
    account_id: str | None
    contact_id: str | None
    sequence_id: str | None
    status: str | None
    gone: bool = False
    created_at: datetime | None = None

    @property
    def active(self) -> bool:
        return self.status == "active" and not self.gone

    @property
    def over(self) -> bool:
        return self.status in OVER or self.gone


class Known:
    """Enrollments by contact, updated with the answers of this run.

    `whole`: the accounts whose listing is complete, since two passes agreed.
    """

    def __init__(self, enrollments: Iterable[Enrollment], whole: Collection[str] = ()) -> None:
        self.whole = frozenset(whole)
        self._by_contact: dict[str | None, dict[str, Enrollment]] = {}
        self._by_id: dict[str, Enrollment] = {}
        for enrollment in enrollments:
            self.learn(enrollment)

    def learn(self, enrollment: Enrollment) -> None:
        """Add or replace an enrollment; keep its known `created_at` if the new one has none."""
        before = self._by_id.get(enrollment.id)
        if before and enrollment.created_at is None:
            enrollment = replace(enrollment, created_at=before.created_at)
        self._by_id[enrollment.id] = enrollment
        self._by_contact.setdefault(enrollment.contact_id, {})[enrollment.id] = enrollment

    def copy(self) -> Known:
        return Known(self._by_id.values(), self.whole)

    def pair(self, request: Request) -> tuple[str | None, ...]:
        """Return a request's account, contact and sequence; for a known enrollment id, those of the enrollment."""
        if target := self.get(request.enrollment_id):
            return target.account_id, target.contact_id, target.sequence_id
        return request.account_id, request.contact_id, request.sequence_id or request.enrollment_id

    @property
    def every(self) -> Collection[Enrollment]:
        return self._by_id.values()

    def get(self, enrollment_id: str | None) -> Enrollment | None:
        return self._by_id.get(enrollment_id or "")

    def of(self, one: Request | Enrollment) -> list[Enrollment]:
        """Return all enrollments of its contact in its sequence and account, by id."""
        return self.of_ids(one.account_id, one.contact_id, one.sequence_id)

    def of_ids(self, account: str | None, contact: str | None, sequence: str | None) -> list[Enrollment]:
        """Return all enrollments of a contact in a sequence and account, by id."""
        mine = self._by_contact.get(contact, {}).values()
        there = (e for e in mine if (e.account_id, e.sequence_id) == (account, sequence))
        return sorted(there, key=lambda e: e.id)


def enrollment_of(account_id: str, record: Mapping[str, object]) -> Enrollment:
    """Return the enrollment of an API record."""
    return Enrollment(
        _lower(record.get("id")) or "",
        _lower(account_id),
        _lower(record.get("contact_id")),
        _lower(record.get("sequence_id")),
        None if record.get("status") is None else str(record["status"]),
        created_at=_moment(record.get("created_at")),
    )


def known(
    scratch: Scratch, requests: Sequence[Request], enrollments: Iterable[pa.Table], whole: Collection[str]
) -> Known:
    """Return the enrollments that the requests may be about. `enrollments`: batches of COLUMNS; `whole`: see Known."""
    contacts = {r.contact_id for r in requests} | {r.latest.contact_id for r in requests if r.latest}
    ids = {r.enrollment_id for r in requests} | {r.latest.enrollment_id for r in requests if r.latest}
    scratch.execute("create or replace table wanted (id varchar)")
    scratch.append("wanted", pa.table({"id": pa.array(sorted(key for key in contacts | ids if key), pa.string())}))
    scratch.execute(
        "create or replace table known (id varchar, account_id varchar, contact_id varchar, sequence_id varchar,"
        " status varchar, gone boolean, created_at timestamptz)"
    )
    scratch.stream(
        "known",
        enrollments,
        "select lower(id) as id, lower(account_id) as account_id, lower(contact_id) as contact_id,"
        " lower(sequence_id) as sequence_id, status, missing_since is not null as gone,"
        " try_cast(created_at as timestamptz) as created_at from incoming"
        " where lower(contact_id) in (select id from wanted) or lower(id) in (select id from wanted)",
    )
    return Known((Enrollment(*row) for row in scratch.rows("select * from known")), whole)


def _moment(value: object) -> datetime | None:
    with contextlib.suppress(ValueError):
        return moment_of(str(value))
    return None


def _lower(value: object) -> str | None:
    return value.strip().lower() if isinstance(value, str) and value.strip() else None
