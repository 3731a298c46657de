"""A connection pooler for Postgres, like pgbouncer. In transaction mode each transaction gets any free backend. In
session mode a client keeps its backend, which is reset (`discard all`) before the next client gets it.

Source: PostgreSQL documentation, Message Formats. It supports what psycopg2 sends: simple queries and COPY. Clients
need no password: the pooler logs in as ROLE, which the test server trusts.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading

from tests.support.postgres import ROLE

_TRUSTED = b"R" + struct.pack("!ii", 8, 0)
_SSL, _GSS = 80877103, 80877104


@contextlib.contextmanager
def pooling(database, *, backends: int, newest_first: bool, session: bool = False):
    """Yield the port of a pooler with this many backends. `newest_first`: use the last freed one next."""
    free: queue.Queue = queue.LifoQueue() if newest_first else queue.Queue()
    told = b""
    with contextlib.ExitStack() as stack:
        for _ in range(backends):
            backend = stack.enter_context(socket.create_connection(("127.0.0.1", database.port)))
            backend.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            said = b"user\0" + ROLE.encode() + b"\0database\0" + database.name.encode() + b"\0\0"
            backend.sendall(struct.pack("!ii", len(said) + 8, 196608) + said)
            told = b"".join(m for m in _until_ready(backend) if m[:1] in {b"S", b"K", b"Z"})
            free.put(backend)
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        clients: list[socket.socket] = []

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    clients.append(client)
                    threading.Thread(target=_serve, args=(client, free, told, session), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for client in clients:
                client.close()


def _serve(client, free, told, session):
    backend = None
    with contextlib.suppress(OSError, EOFError), client:
        while (code := struct.unpack("!i", _startup(client)[:4])[0]) in {_SSL, _GSS}:
            client.sendall(b"N")
        assert code == 196608
        client.sendall(_TRUSTED + told)
        while (message := _message(client))[:1] != b"X":
            backend = backend or free.get()
            backend.sendall(message)
            for answer in _until_ready(backend):
                if answer[:1] == b"Z" and answer[-1:] == b"I" and not session:  # outside of a transaction
                    free.put(backend)  # before the client can send its next query
                    backend = None
                client.sendall(answer)
                while answer[:1] == b"G" and message[:1] not in {b"c", b"f"}:  # COPY: rows follow
                    message = _message(client)
                    backend.sendall(message)
    if session and backend:
        with contextlib.suppress(OSError, EOFError):  # the test is over
            for statement in (b"rollback", b"discard all"):
                backend.sendall(b"Q" + struct.pack("!i", len(statement) + 5) + statement + b"\0")
                list(_until_ready(backend))
            free.put(backend)


def _until_ready(backend):
    while True:
        message = _message(backend)
        yield message
        if message[:1] == b"Z":
            return


def _message(sock):
    head = _exactly(sock, 5)
    return head + _exactly(sock, struct.unpack("!i", head[1:])[0] - 4)


def _startup(sock):
    return _exactly(sock, struct.unpack("!i", _exactly(sock, 4))[0] - 4)


def _exactly(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data
