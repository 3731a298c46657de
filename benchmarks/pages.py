"""Lists of the API, rendered before anybody asks: the documented envelope, realistic records, the same every time.

Source: the documented records of each list and `meta.pagination`.
"""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Order = Literal["none", "updated_asc", "updated_desc"]

ACCOUNT = "5ac1d0de-0000-4000-8000-000000000001"
_FIRST = datetime(2023, 1, 1, tzinfo=timezone.utc)
_CHANGED = datetime(2026, 6, 1, tzinfo=timezone.utc)  # later than every record
_STATES = ("active", "completed", "completed", "completed", "removed")
_RENDERED = 1_000_000
_ID = len(b'{"id":"')
_STAMP = len(b'2026-01-01T00:00:00.000Z"}')  # every record ends with its cursor


class Served:
    """One list: records as JSON, each ending with its cursor; `order` is that in which the pages list them."""

    def __init__(self, records: list[bytes], per_page: int, order: Order = "none") -> None:
        self._records = records if order == "none" else sorted(records, key=lambda record: record[-_STAMP:])
        self._per_page, self._order = per_page, order
        self._changes = 0

    def page(self, number: int) -> bytes:
        """The whole HTTP answer for a page."""
        count = len(self._records)
        pages = max(1, -(-count // self._per_page))
        begin, end = (number - 1) * self._per_page, number * self._per_page
        if self._order == "updated_desc":
            found = self._records[max(count - end, 0) : max(count - begin, 0)][::-1]
        else:
            found = self._records[begin:end]
        meta = b'{"pagination":{"count":%d,"page":%d,"items":%d,"pages":%d}}' % (count, number, self._per_page, pages)
        return answer(b'{"data":[%b],"meta":%b}' % (b",".join(found), meta))

    def change(self, count: int) -> None:
        """Update so many records, spread over the whole list: each is updated later than any other."""
        step = max(len(self._records) // max(count, 1), 1)
        for place in [n * step for n in range(count)][::-1]:  # from the end: what moves there shifts none of the rest
            self._changes += 1
            stamp = _stamp(_CHANGED + timedelta(milliseconds=self._changes)).encode()
            changed = self._records[place][:-_STAMP] + stamp + b'"}'
            if self._order == "none":
                self._records[place] = changed
            else:
                del self._records[place]
                self._records.append(changed)


def answer(body: bytes) -> bytes:
    """A whole HTTP answer, as a server behind the usual frameworks writes it."""
    return (
        b"HTTP/1.1 200 OK\r\nServer: static\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        b'Content-Type: application/json; charset=utf-8\r\nETag: W/"5ac1d0de"\r\n'
        b"Cache-Control: max-age=0, private, must-revalidate\r\nX-Request-Id: 5ac1d0de00004000\r\n"
        b"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n%b" % (len(body), body)
    )


def accounts() -> list[bytes]:
    """The list of accounts: one."""
    at = _stamp(_FIRST)
    return [json.dumps({"id": ACCOUNT, "name": "Acme", "created_at": at, "updated_at": at}).encode()]


def enrollments(rows: int) -> list[bytes]:
    """So many enrollments, in no order. Beyond a million they differ in their ids alone, which is faster to render."""
    made = [record.encode() for record in _enrollments(min(rows, _RENDERED))]
    for number in range(_RENDERED, rows):
        record = made[number % _RENDERED]
        made.append(b"%b%08x%b" % (record[:_ID], number, record[_ID + 8 :]))
    return made


def with_fields(records: list[bytes], fields: int) -> list[bytes]:
    """The records with five undocumented fields each, of so many in all."""
    for place, record in enumerate(records):
        more = "".join(f',"f{(place * 7 + n * 1013) % fields}":{place}' for n in range(5))
        records[place] = record.replace(b',"created_at"', more.encode() + b',"created_at"', 1)
    return records


def contacts(rows: int) -> list[bytes]:
    """So many contacts."""
    return [_contact(rng).encode() for rng in [random.Random(20260102)] for _ in range(rows)]


def responses(rows: int) -> list[bytes]:
    """So many responses, with all that the documentation shows."""
    return [_response(rng).encode() for rng in [random.Random(20260103)] for _ in range(rows)]


def _enrollments(rows: int) -> Iterator[str]:
    rng = random.Random(20260101)
    sequences = [_uuid(rng) for _ in range(25)]
    for _ in range(rows):
        created = _FIRST + timedelta(milliseconds=rng.randrange(3 * 365 * 86_400_000))
        updated = created + timedelta(milliseconds=rng.randrange(60 * 86_400_000))
        response = f'"{_uuid(rng)}"' if rng.random() < 0.3 else "null"
        yield (
            f'{{"id":"{_uuid(rng)}","contact_id":"{_uuid(rng)}","sequence_id":"{rng.choice(sequences)}"'
            f',"response_id":{response},"status":"{rng.choice(_STATES)}"'
            f',"created_at":"{_stamp(created)}","updated_at":"{_stamp(updated)}"}}'
        )


def _contact(rng: random.Random) -> str:
    key, created = _uuid(rng), _moment(rng)
    record = {
        "id": key,
        "first_name": f"Ada{rng.randrange(9999)}",
        "last_name": f"Miller{rng.randrange(9999)}",
        "email": f"{key[:13]}@example.com",
        "mobile_phone": f"+1555{rng.randrange(10**7):07}",
        "organization": f"Example {rng.randrange(999)}",
        "job_title": "President",
        "time_zone": "Eastern Time (US & Canada)",
        "country_code": "US",
        "location_id": _uuid(rng),
        "staff_id": _uuid(rng),
        "source": "response",
        "links": {name: f"https://demo.example.com/contacts/{key}/{name}" for name in ("detail", "edit")},
        "created_at": _stamp(created),
        "updated_at": _stamp(created + timedelta(days=1)),
    }
    return json.dumps(record, separators=(",", ":"))


def _response(rng: random.Random) -> str:
    key, created = _uuid(rng), _moment(rng)
    urls = {name: f"https://assets.example.com/{name}/{key}" for name in ("url", "unprocessed_url")}
    record = {
        "id": key,
        "status": "published",
        "thumbnail": urls | {"open_graph_url": f"https://assets.example.com/open/{key}"},
        "consent": "received",
        "display_weight": rng.randrange(5),
        **{name: _uuid(rng) for name in ("form_id", "contact_id", "location_id", "staff_id")},
        "accepted": _stamp(created + timedelta(days=1)),
        "created": _stamp(created),
        "fields": {
            "first_name": f"Ada{rng.randrange(9999)}",
            "last_name": "Miller",
            "email": f"{key[:13]}@example.com",
            "feedback": "It works well for us. " * rng.randrange(1, 12),
            "headline": "Works well",
            "sentiment": "promoters",
            "rating": rng.randrange(1, 6),
            "rating_type": "five_stars",
            "rating_max": 5,
            "video": urls,
            "photo": urls,
            "company": "Example Co",
            "job_title": None,
            "mobile_phone": None,
        },
        "additional_fields": {"my_custom_field": f"Hello {rng.randrange(999)}"},
        "tags": [{"name": f"tag-{rng.randrange(9)}"}],
        "links": {name: f"https://demo.example.com/responses/{key}/{name}" for name in ("detail", "edit", "share")},
        "updated": _stamp(created + timedelta(days=2)),
    }
    return json.dumps(record, separators=(",", ":"))


def _moment(rng: random.Random) -> datetime:
    return _FIRST + timedelta(milliseconds=rng.randrange(3 * 365 * 86_400_000))


def _uuid(rng: random.Random) -> str:
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _stamp(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='milliseconds')[:23]}Z"
