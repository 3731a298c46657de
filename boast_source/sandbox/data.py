"""Seeded, deterministic data: ids, people, sequences and the course of each enrollment.

An enrollment is a number `n`. Its id encodes the number, so a million of them need no index. Everything that is not
stored in a column is derived from the seed when a record is requested.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

Place = Callable[[int], int]  # the number of an account's n-th record among those of all accounts

ACTIVE, COMPLETED, REMOVED = 0, 1, 2
STATUSES = ("active", "completed", "removed")
DAY = 86_400_000_000  # microseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_SEQUENCES = [
    f"{kind} {moment}"
    for moment in ("after purchase", "after onboarding", "at renewal", "after support", "on anniversary", "after event")
    for kind in ("Video testimonial", "Star rating", "Case study", "Short quote")
]
_FIRST = ["Ada", "Ben", "Chloe", "Dev", "Elif", "Femi", "Grace", "Hugo", "Ines", "Jan"]
_FIRST += ["Kofi", "Lena", "Mei", "Nils", "Olga", "Priya", "Quinn", "Rosa", "Sam", "Tariq"]
_LAST = ["Abbott", "Baker", "Costa", "Diaz", "Evans", "Fischer", "Garcia", "Haas"]
_LAST += ["Ito", "Jensen", "Khan", "Lopez", "Meyer", "Novak", "Okafor"]
_ORGANIZATIONS = ["Acorn", "Bluebird", "Cobalt", "Dune", "Ember", "Fable", "Grove", "Harbor", "Indigo", "Juniper"]
_TITLES = ["Owner", "Head of Marketing", "Engineer", "Office Manager", "Designer", None]
_ZONES = ["America/New_York", "America/Chicago", "Europe/Berlin", "Asia/Singapore", "Australia/Sydney"]
_WORDS = ["Made our week easier", "Would recommend to anyone", "Simple and quick", "The team listens", "Not for us yet"]


def identify(seed: int, kind: str, n: int) -> str:
    """Return the UUID-shaped id of record `n` of a kind; `number_of` is the inverse."""
    head = hashlib.blake2b(f"{seed}/{kind}/{n}".encode(), digest_size=12).hexdigest()
    tail = f"{n ^ int(head[:8], 16):08x}"
    return f"{head[:8]}-{head[8:12]}-4{head[13:16]}-a{head[17:20]}-{head[20:24]}{tail}"


def number_of(seed: int, kind: str, identifier: str) -> int | None:
    """Return the number in an id; None: it is not an id of this sandbox."""
    try:
        n = int(identifier[-8:], 16) ^ int(identifier[:8], 16)
    except ValueError:
        return None
    return n if identify(seed, kind, n) == identifier else None


def performance(seed: int, sequence: int) -> tuple[float, float, float, float]:
    """Return a sequence's share completed, share of these that responded, share removed, median days to complete."""
    rng = random.Random(f"{seed}/performance/{sequence}")
    return rng.uniform(0.55, 0.9), rng.uniform(0.05, 0.6), rng.uniform(0.02, 0.15), rng.uniform(3, 30)


def sequences_count() -> int:
    return len(_SEQUENCES)


def stamp(microseconds: int) -> str:
    """Return a time as ISO 8601 with milliseconds and Z. Microseconds are cut off, as by the API."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def account(seed: int, n: int, born: int) -> dict[str, Any]:
    name = f"{_ORGANIZATIONS[n % len(_ORGANIZATIONS)]} {n + 1}"
    return {"id": identify(seed, "account", n), "name": name, "created_at": stamp(born), "updated_at": stamp(born)}


def contact(seed: int, n: int, born: int) -> dict[str, Any]:
    rng = random.Random(f"{seed}/contact/{n}")
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    key, at = identify(seed, "contact", n), born + rng.randrange(DAY)
    return {
        "id": key,
        "first_name": first,
        "last_name": last,
        "email": f"{first}.{last}.{n}@example.com".lower(),
        "mobile_phone": f"+1555{rng.randrange(10**7):07}" if rng.random() < 0.6 else None,
        "organization": rng.choice(_ORGANIZATIONS),
        "job_title": rng.choice(_TITLES),
        "time_zone": rng.choice(_ZONES),
        "country_code": rng.choice(["US", "DE", "SG", "AU"]),
        "location_id": None,
        "staff_id": None,
        "source": rng.choice(["import", "api", "form"]),
        "created_at": stamp(at),
        "updated_at": stamp(at + rng.randrange(DAY)),
        "links": {
            "detail": f"https://app.example.com/contacts/{key}",
            "edit": f"https://app.example.com/contacts/{key}/edit",
        },
    }


def form(seed: int, place: Place, n: int, born: int) -> dict[str, Any]:
    name = ("Testimonial", "Rating", "Referral", "Interview")[n % 4] + f" form {n + 1}"
    return {"id": identify(seed, "form", place(n)), "name": name, "status": "published", **_times(born + n * DAY)}


def sequence(seed: int, place: Place, n: int, born: int) -> dict[str, Any]:
    return {
        "id": identify(seed, "sequence", place(n)),
        "collection_form_id": identify(seed, "form", place(n % 4)),
        "enrollment_form_id": identify(seed, "form", place((n + 1) % 4)),
        "name": _SEQUENCES[n % len(_SEQUENCES)],
        "status": "active" if n % 7 else "paused",
        **_times(born + n * DAY),
    }


def webhook(seed: int, place: Place, n: int, born: int) -> dict[str, Any]:
    return {
        "id": identify(seed, "webhook", place(n)),
        "event_name": ("response.created", "contact.updated")[n % 2],
        "filters": {"form_id": None, "to_status": None},
        "target_url": "https://hooks.example.com/boast",
        "user_id": identify(seed, "user", place(n)),
        "created_at": stamp(born),
    }


def response(seed: int, place: Place, n: int, contact_n: int, at: int) -> dict[str, Any]:
    """Return the response to enrollment `n`."""
    rng = random.Random(f"{seed}/response/{n}")
    key, person, video = identify(seed, "response", n), contact(seed, contact_n, at), rng.random() < 0.3
    rating = rng.choices([5, 4, 3, 2, 1], [50, 25, 12, 8, 5])[0]
    media = f"https://media.example.com/{key}"
    return {
        "id": key,
        "status": rng.choice(["published", "pending", "archived"]),
        "thumbnail": {"url": f"{media}.jpg", "open_graph_url": f"{media}-og.jpg", "unprocessed_url": None},
        "consent": rng.random() < 0.9,
        "display_weight": rng.randrange(10),
        "form_id": identify(seed, "form", place(n % 4)),
        "contact_id": person["id"],
        "location_id": None,
        "staff_id": None,
        "accepted": stamp(at + DAY) if rng.random() < 0.7 else None,
        "created": stamp(at),
        "updated": stamp(at + rng.randrange(DAY)),
        "fields": {
            "first_name": person["first_name"],
            "last_name": person["last_name"],
            "email": person["email"],
            "feedback": rng.choice(_WORDS),
            "headline": rng.choice(_WORDS),
            "sentiment": "positive" if rating > 3 else "negative",
            "rating": rating,
            "rating_type": "star",
            "rating_max": 5,
            "video": {"url": f"{media}.mp4", "unprocessed_url": f"{media}-raw.mov"} if video else None,
            "photo": None if video else {"url": f"{media}-photo.jpg"},
            "company": person["organization"],
            "job_title": person["job_title"],
            "mobile_phone": person["mobile_phone"],
        },
        "additional_fields": {"How did you hear of us?": rng.choice(["A friend", "Search", "Event"])},
        "tags": [{"name": name} for name in rng.sample(["video", "homepage", "b2b", "case-study"], rng.randrange(3))],
        "links": {"detail": f"https://app.example.com/r/{key}", "edit": None, "share": f"https://example.com/{key}"},
    }


def _times(at: int) -> dict[str, str]:
    return {"created_at": stamp(at), "updated_at": stamp(at + DAY)}
