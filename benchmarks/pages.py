"""Pages of the API, rendered before anybody asks: the documented envelope, realistic enrollments, the same every time.

Source: the documented record of `sequence_enrollments` and `meta.pagination`.
"""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT = "5ac1d0de-0000-4000-8000-000000000001"
_FIRST = datetime(2023, 1, 1, tzinfo=timezone.utc)
_STATES = ("active", "completed", "completed", "completed", "removed")


def answer(body: bytes) -> bytes:
    """A whole HTTP answer, as a server behind the usual frameworks writes it."""
    return (
        b"HTTP/1.1 200 OK\r\nServer: static\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        b'Content-Type: application/json; charset=utf-8\r\nETag: W/"5ac1d0de"\r\n'
        b"Cache-Control: max-age=0, private, must-revalidate\r\nX-Request-Id: 5ac1d0de00004000\r\n"
        b"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n%b" % (len(body), body)
    )


def accounts() -> bytes:
    """The list of accounts: one."""
    at = _stamp(_FIRST)
    record = {"id": ACCOUNT, "name": "Acme", "created_at": at, "updated_at": at}
    pagination = {"count": 1, "page": 1, "items": 100, "pages": 1}
    return answer(json.dumps({"data": [record], "meta": {"pagination": pagination}}).encode())


def enrollments(rows: int, per_page: int) -> list[bytes]:
    """Every page of the list of `rows` enrollments, page 1 first."""
    records = _records(rows)
    pages = max(1, -(-rows // per_page))
    made = []
    for page in range(1, pages + 1):
        data = ",".join(record for _, record in zip(range(per_page), records, strict=False))
        meta = f'{{"pagination":{{"count":{rows},"page":{page},"items":{per_page},"pages":{pages}}}}}'
        made.append(answer(f'{{"data":[{data}],"meta":{meta}}}'.encode()))
    return made


def _records(rows: int) -> Iterator[str]:
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


def _uuid(rng: random.Random) -> str:
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
