"""The API's records, as documented. Any field may be missing or null, and others may come.

Times are ISO 8601 strings in UTC with milliseconds, ids are UUID strings.
"""

from __future__ import annotations

from typing import Any, TypedDict


class Account(TypedDict, total=False):
    id: str
    name: str | None
    created_at: str | None
    updated_at: str | None


class SequenceEnrollment(TypedDict, total=False):
    """`status`: active, completed, removed, or others. The record does not carry its account id."""

    id: str
    contact_id: str | None
    sequence_id: str | None
    response_id: str | None
    status: str | None
    created_at: str | None
    updated_at: str | None


class Links(TypedDict, total=False):
    detail: str | None
    edit: str | None
    share: str | None


class Contact(TypedDict, total=False):
    id: str
    first_name: str | None
    last_name: str | None
    email: str | None
    mobile_phone: str | None
    organization: str | None
    job_title: str | None
    time_zone: str | None
    country_code: str | None
    location_id: str | None
    staff_id: str | None
    source: str | None
    created_at: str | None
    updated_at: str | None
    links: Links | None


class Form(TypedDict, total=False):
    id: str
    name: str | None
    status: str | None
    created_at: str | None
    updated_at: str | None


class Sequence(TypedDict, total=False):
    id: str
    collection_form_id: str | None
    enrollment_form_id: str | None
    name: str | None
    status: str | None
    created_at: str | None
    updated_at: str | None


class Response(TypedDict, total=False):
    """A testimonial. Its times are `created`, `updated`, `accepted`."""

    id: str
    status: str | None
    thumbnail: dict[str, Any] | None
    consent: Any
    display_weight: Any
    form_id: str | None
    contact_id: str | None
    location_id: str | None
    staff_id: str | None
    accepted: str | None
    created: str | None
    updated: str | None
    fields: dict[str, Any] | None
    additional_fields: dict[str, Any] | None
    tags: list[dict[str, Any]] | None
    links: Links | None


class WebhookSubscription(TypedDict, total=False):
    """Events exist for `response.*` and `contact.*` only."""

    id: str
    event_name: str | None
    filters: dict[str, Any] | None
    target_url: str | None
    user_id: str | None
    created_at: str | None
