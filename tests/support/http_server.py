"""A real HTTP server on loopback. A test scripts its answers byte by byte; it records the requests."""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass(frozen=True)
class Request:
    """One complete request. `connection`: its connection's number, from 1."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    at: float = field(default_factory=time.monotonic)

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass(frozen=True)
class Reply:
    """After `delay` seconds, send raw pieces, `gap` seconds apart; then keep, close or reset the connection."""

    pieces: tuple[bytes, ...] = ()
    close: bool = False
    reset: bool = False
    gap: float = 0.0
    delay: float = 0.0


DROP = Reply(close=True)
RESET = Reply(reset=True)


def reply(status=200, body=b"", headers=None, **how) -> Reply:
    if not isinstance(body, bytes):
        body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    fields = {"Content-Length": str(len(body)), **(headers or {})}
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    return Reply((head.encode() + b"\r\n" + body,), **how)


def page(*records, **pagination) -> Reply:
    envelope = {"data": list(records)}
    if pagination:
        envelope["meta"] = {"pagination": pagination}
    return reply(200, envelope)


def errors(status, code="bad_request", detail="no", **more) -> Reply:
    return reply(status, {"errors": [{"code": code, "detail": detail}]}, **more)


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    timeout = 20

    def handle(self):
        with self.server.lock:
            self.server.connections += 1
            number = self.server.connections
        while (request := self._request(number)) is not None:
            with self.server.lock:
                self.server.requests.append(request)
                turn = len(self.server.requests) - 1
            answers = self.server.answers
            answer = answers(request) if callable(answers) else answers[min(turn, len(answers) - 1)]
            if callable(answer):
                answer = answer(request)
            if not self._send(answer):
                return

    def _request(self, number):
        with suppress(OSError, ValueError):
            line = self.rfile.readline().decode()
            method, target, _ = line.split()
            headers = {}
            while (field_line := self.rfile.readline().decode().strip()) != "":
                name, _, value = field_line.partition(":")
                headers[name.lower()] = value.strip()
            body = self.rfile.read(int(headers.get("content-length", 0)))
            return Request(method, target, headers, body, number)
        return None

    def _send(self, answer):
        self.server.ending.wait(answer.delay)
        with suppress(OSError):
            for piece in answer.pieces:
                self.connection.sendall(piece)
                self.server.ending.wait(answer.gap)
        if answer.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return not (answer.close or answer.reset)


class Server(socketserver.ThreadingTCPServer):
    """`answers`: replies in order (the last one repeats), or a function of the request."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answers):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.requests: list[Request] = []
        self.connections = 0
        self.lock = threading.Lock()
        self.ending = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def shutdown_request(self, request):
        with suppress(OSError):
            request.close()  # sends no FIN first if the handler asked for a reset

    def handle_error(self, request, client_address):
        """Print nothing on stderr."""


@contextmanager
def serving(*answers):
    server = Server(answers[0] if len(answers) == 1 and not isinstance(answers[0], Reply) else answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ending.set()
        server.shutdown()
        server.server_close()
        thread.join()
