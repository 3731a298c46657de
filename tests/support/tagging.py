"""A hostile server that tags each answer with its request. It sends noise, cut and late answers, and unsolicited ones.

The answer for a page names its list, page number and a serial number; that for a record, its id. Serial numbers grow
with each request, so a test can also detect an answer that is older than its request.
"""

from __future__ import annotations

import json
import random
import re
import socket
import socketserver
import threading
from collections import Counter
from contextlib import contextmanager, suppress

from tests.support.tls import running

FAULTS = (
    "extra",
    "late extra",
    "foreign extra",
    "noise",
    "noise after",
    "cut",
    "cut and close",
    "close",
    "slow",
    "error",
)
_LIST = re.compile(r"/accounts/(\w+)/forms(?:\?page=(\d+))?")
_RECORD = re.compile(r"/accounts/(\w+)/sequence_enrollments/([\w-]+)")


class _Tagging(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    timeout = 20

    def handle(self):
        world = self.server
        dice = random.Random(world.seed + world.number(None))
        last = b""
        with suppress(OSError, ValueError):
            if dice.random() < world.faulty / 4:
                self.wfile.write(world.answer("/accounts/early/forms?page=99", b""))  # before any request
            while request := self._request():
                answer = world.answer(*request)
                fault = dice.choice(FAULTS) if dice.random() < world.faulty else ""
                if not self._send(fault, answer, last or answer, dice):
                    return
                last = answer

    def _request(self):
        method, target, _ = self.rfile.readline().decode().split()
        length = 0
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            length = int(value) if name.lower() == "content-length" else length
        body = self.rfile.read(length)
        return target if method == "GET" else method + target, body

    def _send(self, fault, answer, last, dice):
        """Send an answer with a fault; return whether to keep the connection."""
        noise = dice.randbytes(dice.randrange(1, 3000))
        at = dice.randrange(len(answer))
        pieces = {
            "extra": [answer + answer],
            "late extra": [answer, answer],
            "foreign extra": [answer, last],
            "noise": [noise],
            "noise after": [answer, noise],
            "cut": [answer[:at]],
            "cut and close": [answer[:at]],
            "close": [],
            "slow": [answer[:at], answer[at:]],
            "error": [world_error(dice)],
        }.get(fault, [answer])
        for number, piece in enumerate(pieces):
            if number:
                self.server.ending.wait(dice.random() * 0.004)
            self.connection.sendall(piece)
        if fault == "cut":
            self.server.ending.wait(0.02)
        return fault not in {"noise", "cut", "cut and close", "close"}


def world_error(dice):
    """Return an error answer, of a proxy or of the API, that keeps the connection open."""
    status = dice.choice((500, 502, 503))
    body = dice.choice((b"", b"<html>busy</html>", b'{"errors": [{"code": "busy"}]}'))
    return b"HTTP/1.1 %d Busy\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


class Tagging(socketserver.ThreadingTCPServer):
    """`faulty`: the share of answers with a fault. Ids that begin with `gone` are answered 404."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, seed, faulty):
        super().__init__(("127.0.0.1", 0), _Tagging)
        self.seed, self.faulty = seed, faulty
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.serial = 0
        self.exchanges = 0
        self.asked: Counter[str] = Counter()  # writes, by contact

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def number(self, contact):
        with self.lock:
            self.serial += 1
            if contact:
                self.asked[contact] += 1
            return self.serial

    def answer(self, target, body):
        target = target.replace("/v1", "")
        written = target.startswith("POST") and json.loads(body)
        serial = self.number(written and written["contact_id"])
        status = 200
        if written:
            answer = {"data": {"id": f"new-{written['contact_id']}", **written}}
        elif found := _LIST.fullmatch(target):
            number = int(found[2] or 1)
            pagination = {"count": 9, "page": number, "items": 1, "pages": 9}
            answer = {"data": [{"id": f"{found[1]}-{number}", "serial": serial}], "meta": {"pagination": pagination}}
        else:
            found = _RECORD.fullmatch(target)
            answer = {"data": {"id": found[2], "account": found[1], "serial": serial}}
            if found[2].startswith("gone"):
                status, answer = 404, {"errors": [{"code": "not_found"}]}
        packed = json.dumps(answer).encode()
        return b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%s" % (status, len(packed), packed)

    def shutdown_request(self, request):
        with suppress(OSError):
            request.shutdown(socket.SHUT_WR)
        request.close()

    def handle_error(self, request, client_address):
        """Print nothing on stderr."""


@contextmanager
def tagging(seed, faulty=0.3):
    server = Tagging(seed, faulty)
    with running(server):
        try:
            yield server
        finally:
            server.ending.set()
