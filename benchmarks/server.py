"""A server that does nothing but hand out pages of records rendered before: faster than every client it is asked by.

`python -m benchmarks.server --rows N --per-page N --latency MS` prints its port and serves until its stdin ends. A
request for `/change?page=N` updates N enrollments.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from benchmarks import pages


class _Asked(asyncio.Protocol):
    """One connection: a request at a time, kept alive; `latency` seconds pass before each answer."""

    def __init__(self, lists: dict[bytes, pages.Served], latency: float) -> None:
        self._lists = lists
        self._latency = latency
        self._waiting = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        if not self._waiting.endswith(b"\r\n\r\n"):  # a GET has no body
            return
        target = self._waiting.split(b" ", 2)[1]
        self._waiting = b""
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._answer, target)
        else:
            self._answer(target)

    def _answer(self, target: bytes) -> None:
        assert self._transport is not None
        if self._transport.is_closing():
            return
        path, _, query = target.partition(b"?")
        number = int(query[5:] or 1)
        name = path.rpartition(b"/")[2]
        if name in self._lists:
            self._transport.write(self._lists[name].page(number))
        elif path == b"/change":
            self._lists[b"sequence_enrollments"].change(number)
            self._transport.write(pages.answer(b"{}"))
        else:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


async def _serve(lists: dict[bytes, pages.Served], latency: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Asked(lists, latency), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="enrollments")
    parser.add_argument("--fields", type=int, default=0, help="undocumented ones of the enrollments, five in each")
    parser.add_argument("--contacts", type=int, default=0)
    parser.add_argument("--responses", type=int, default=0)
    parser.add_argument("--per-page", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.0, metavar="MS")
    parser.add_argument("--order", default="none", choices=["none", "updated_asc", "updated_desc"])
    given = parser.parse_args()
    records = {
        b"accounts": pages.accounts(),
        b"sequence_enrollments": pages.enrollments(given.rows),
        b"contacts": pages.contacts(given.contacts),
        b"responses": pages.responses(given.responses),
        b"forms": [],
        b"sequences": [],
    }
    if given.fields:
        records[b"sequence_enrollments"] = pages.with_fields(records[b"sequence_enrollments"], given.fields)
    lists = {name: pages.Served(made, given.per_page, given.order) for name, made in records.items()}
    asyncio.run(_serve(lists, given.latency / 1000))


if __name__ == "__main__":
    main()
