"""A webhook on loopback that keeps the notifications it gets, and can fail on demand."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "T00000/B00000/XXXsecretXXX"


@dataclass
class Webhook:
    """`url`: contains a secret, like the URLs of chats; `told`: the texts received; `status`: the status it answers."""

    url: str = ""
    told: list[str] = field(default_factory=list)
    status: int = 200

    def news(self) -> list[str]:
        """Return the texts received since the last call."""
        came, self.told[:] = list(self.told), []
        return came


@contextlib.contextmanager
def webhook():
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == f"/services/{SECRET}?v=2"
            assert self.headers["Content-Type"] == "application/json"
            if hook.status == 200:
                assert list(body) == ["text"]
                hook.told.append(body["text"])
            self.send_response(hook.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_port}/services/{SECRET}?v=2"
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
