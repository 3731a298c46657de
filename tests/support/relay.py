"""A relay in front of a server that goes away for good: after that, the kernel refuses connections."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit


@contextlib.contextmanager
def cut_off_after(server, *, writes: int):
    """Yield the base URL of a relay that forwards `writes` POSTs, then drops all connections and stops listening."""
    target = urlsplit(server.base_url)
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()
    lock = threading.Lock()
    opened: list[socket.socket] = []
    seen = 0

    def end():
        ended.set()
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for one in opened:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def pump(source, sink, *, counted):
        nonlocal seen
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with lock:
                    seen += counted and data.startswith(b"POST ")
                    if seen > writes and not ended.is_set():
                        end()
                if ended.is_set():
                    break
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def carry(client):
        with client, socket.create_connection((target.hostname, target.port)) as upstream:
            opened.extend((client, upstream))
            back = threading.Thread(target=pump, args=(upstream, client), kwargs={"counted": False}, daemon=True)
            back.start()
            pump(client, upstream, counted=True)
            back.join()

    def accept():
        with contextlib.suppress(OSError):
            while not ended.is_set():
                client, _ = listening.accept()
                threading.Thread(target=carry, args=(client,), daemon=True).start()

    address = f"http://127.0.0.1:{listening.getsockname()[1]}{target.path}"
    threading.Thread(target=accept, daemon=True).start()
    try:
        yield address
    finally:
        if not ended.is_set():
            end()
