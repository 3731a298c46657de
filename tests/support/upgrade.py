"""The fixture of make_upgrade_fixture.py: what version 0.1.0 left behind, and the API at that time."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tarfile
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURE = Path(__file__).parent / "upgrade"
LISTS = ("contacts", "forms", "responses", "sequences", "sequence_enrollments")
VERSIONS = "select version_key, id, version, content_hash from boast_data.sequence_enrollments_history order by 1"
STATES = {
    "enrolled": "enrolled",
    "refused": "refused",
    "dropped": "dropped",
    "invalid": "invalid",
    "active": "skipped_active",
    "ambiguous": "held",
    "removed": "removed",
    "repeat": "held",
    "unclear-1": "unknown",
    "unclear-2": "unknown",
}
FOLDER = "/folder"  # placeholder for the folder in which the old version ran
PAGE = 20

Lists = dict[str, list[dict[str, Any]]]


def unpacked(name: str) -> bytes:
    return gzip.decompress((FIXTURE / name).read_bytes())


def lay_working_folder(kind: str, folder: Path) -> None:
    """Unpack the old version's dlt working folder into `folder`/state."""
    with tarfile.open(fileobj=io.BytesIO(unpacked(f"{kind}.state.tar.gz"))) as tar:
        for member in tar:
            path, file = folder / "state" / member.name, tar.extractfile(member)
            if file is None:
                path.mkdir(parents=True)
            else:
                path.write_bytes(file.read().replace(FOLDER.encode(), str(folder).encode()))


class KeptApi:
    """An API with the lists of the fixture (records by path below `/accounts/`). Writes change them."""

    def __init__(self, lists: Lists) -> None:
        self.lists, self.posts = lists, 0

    def answer(self, method: str, path: str, number: int, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        found = path.removeprefix("/v1/accounts").strip("/")
        account, _, key = found.partition("/sequence_enrollments/")
        if method == "POST":
            self.posts += 1
            made = body | {"id": str(uuid.uuid4()), "response_id": None, "status": "active"}
            made |= dict.fromkeys(("created_at", "updated_at"), "2026-06-02T00:00:00.000Z")
            self.lists[found].append(made)
            return 201, {"data": made}
        if key:
            record = next((r for r in self.lists[f"{account}/sequence_enrollments"] if r["id"] == key), None)
            return (200, {"data": record}) if record else (404, _error("not_found"))
        rows = self.lists.get(found)
        if rows is None:
            return 404, _error("not_found")
        pages = max(1, -(-len(rows) // PAGE))
        meta = {"pagination": {"count": len(rows), "page": number, "items": PAGE, "pages": pages}}
        return 200, {"data": rows[(number - 1) * PAGE : number * PAGE], "meta": meta}


def _error(code: str) -> dict[str, Any]:
    return {"errors": [{"code": code, "detail": code}]}


@contextlib.contextmanager
def serving(api: KeptApi) -> Iterator[dict[str, str]]:
    """Serve the API; yield the environment of a client."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            asked = urlsplit(self.path)
            number = int(parse_qs(asked.query).get("page", ["1"])[0])
            status, said = api.answer(self.command, asked.path, number, body)
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            base = f"http://127.0.0.1:{server.server_port}/v1"
            yield {"SOURCES__BOAST__BASE_URL": base, "SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN": "any"}
        finally:
            server.shutdown()
            thread.join()
