"""How many pages a second the server hands out to a client that reads bytes and nothing else."""

from __future__ import annotations

import socket
import sys
import time

from benchmarks.pages import ACCOUNT

CONNECTIONS = 4


def rate(port: int, pages: int, seconds: float = 1.5) -> float:
    """Pages a second over four connections with one request each under way; prebuilt requests, unparsed answers."""
    lines = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
    asked = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        for line in lines:
            path = f"/v1/accounts/{ACCOUNT}/sequence_enrollments?page={asked % pages + 1}"
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            asked += 1
        for line in lines:
            _read(line)
    took = time.perf_counter() - began
    for line in lines:
        line.close()
    return asked / took


def _read(line: socket.socket) -> None:
    data = line.recv(1 << 20)
    head = data.index(b"\r\n\r\n")
    at = data.index(b"Content-Length: ") + 16
    left = int(data[at : data.index(b"\r\n", at)]) + head + 4 - len(data)
    while left:
        left -= len(line.recv(left))


if __name__ == "__main__":
    print(f"{rate(int(sys.argv[1]), int(sys.argv[2])):.0f}")
