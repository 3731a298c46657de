"""Connections are kept for reads only, shared by threads, left alone by forks, and closed with what is under way."""

import gc
import os
import socket
import threading
import time
import warnings
from contextlib import suppress

import pytest

from boast_source.api import BoastClient
from boast_source.api.reader import TransportFailure
from boast_source.api.transport import Route, Transport, _Line
from boast_source.errors import UnavailableError
from tests.support.http_server import DROP, Reply, page, reply, serving
from tests.support.sending import LONG, exchange
from tests.support.waiting import until


def test_reads_share_a_kept_connection_and_survive_that_the_server_closes_it():
    with serving(page(), page(), Reply(page().pieces, close=True), page()) as server:
        transport = Transport(server.url, timeout=5)
        for at in range(4):
            exchange(transport, server, f"/{at}")
            time.sleep(0.02)
        transport.close()
        assert [request.connection for request in server.requests] == [1, 1, 1, 2]


def test_a_connection_serves_one_list_no_page_of_it_twice_and_only_after_compared_answers():
    lists = ["a", "a", "b", "a", "a", "a", None, None]
    targets = ["/1", "/2", "/3", "/1", "/7", "/4", "/5", "/6"]
    compared = [True, True, True, True, False, True, True, True]
    with serving(page()) as server:
        transport = Transport(server.url, timeout=5)
        fresh = [
            transport.send("GET", server.url + target, headers={}, lane=lane, compare=lambda _, it=it: it).fresh
            for lane, target, it in zip(lists, targets, compared, strict=True)
        ]
        transport.close()
        assert fresh == [True, False, True, True, False, False, True, True]
        assert [request.connection for request in server.requests] == [1, 1, 2, 3, 3, 1, 4, 5]


def test_a_write_never_uses_a_kept_connection():
    with serving(page()) as server:
        transport = Transport(server.url, timeout=5)
        for at, method in enumerate(("GET", "POST", "GET", "DELETE", "POST")):
            exchange(transport, server, f"/{at}", method)
        transport.close()
        assert [request.connection for request in server.requests] == [1, 2, 1, 3, 4]
        assert server.requests[1].headers["connection"] == "close"


def test_a_kept_connection_that_dies_under_a_request_does_not_repeat_it():
    """Nothing below the client may resend by itself: the server counts."""
    with serving(page(), DROP, page()) as server:
        transport = Transport(server.url, timeout=5)
        exchange(transport, server, "/1")
        with pytest.raises(TransportFailure):
            exchange(transport, server, "/2")
        assert [request.target for request in server.requests] == ["/1", "/2"]
        transport.close()


def test_a_connection_that_says_more_than_it_was_asked_is_not_used_again():
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
    with serving(Reply((smuggled + b"a" + smuggled + b"b",)), reply(200, b"c")) as server:
        transport = Transport(server.url, timeout=5)
        bodies = [exchange(transport, server, f"/{at}").body for at in range(2)]
        transport.close()
        assert bodies == [b"a", b"c"]
        assert [request.connection for request in server.requests] == [1, 2]


def test_an_answer_before_the_question_closes_the_connection_and_nothing_is_sent_on_it():
    created = reply(201, {"data": {"id": "e1"}}).pieces[0]
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = []

        def answer_unasked():
            connection, _ = server.accept()
            connection.sendall(created)
            connection.settimeout(5)
            with suppress(ConnectionResetError):  # it is closed with our bytes unread
                taken.append(connection.recv(1000))
            connection.close()

        thread = threading.Thread(target=answer_unasked)
        thread.start()
        line = _Line(None)
        line.open(Route(f"http://127.0.0.1:{server.getsockname()[1]}"), 5)
        until(lambda: not line.is_silent())
        with pytest.raises(TransportFailure) as caught:
            line.send(b"POST / HTTP/1.1\r\n\r\n", time.monotonic() + 5)
        line.close()
        thread.join()
    assert (caught.value.sent, b"".join(taken)) == (False, b"")


def test_closing_ends_a_read_that_is_under_way_at_once_and_leaves_a_write_alone():
    with serving(lambda request: Reply(page().pieces, delay=LONG if request.method == "GET" else 0.5)) as server:
        transport = Transport(server.url, timeout=LONG)
        ended = {}

        def work(method):
            try:
                ended[method] = transport.send(method, server.url + "/", headers={}).status
            except TransportFailure as failure:
                ended[method] = failure.kind

        threads = [threading.Thread(target=work, args=(method,)) for method in ("GET", "POST")]
        for thread in threads:
            thread.start()
        until(lambda: len(server.requests) == 2)
        began = time.monotonic()
        transport.close()
        threads[0].join()
        assert time.monotonic() - began < 0.5
        threads[1].join()
        assert ended == {"GET": "reset", "POST": 200}


def test_a_closed_client_says_so_to_a_read_that_was_under_way():
    with serving(Reply(delay=LONG)) as server:
        client = BoastClient("secret-token", base_url=server.url, request_timeout=LONG)
        closing = threading.Thread(target=lambda: until(lambda: server.requests) and client.close())
        closing.start()
        with pytest.raises(UnavailableError, match="closed"):
            client.page("/accounts")
        closing.join()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python says that forking with threads is risky
def test_a_forked_child_leaves_its_parents_connections_alone():
    with serving(page()) as server:
        transport = Transport(server.url, timeout=5)
        exchange(transport, server, "/1")
        child = os.fork()
        if child == 0:
            status = exchange(transport, server, "/child").status
            os._exit(0 if status == 200 else 1)
        assert os.waitpid(child, 0)[1] == 0
        exchange(transport, server, "/2")
        transport.close()
        assert [(r.target, r.connection) for r in server.requests] == [("/1", 1), ("/child", 2), ("/2", 1)]


def test_a_transport_that_nobody_closes_leaves_no_open_socket_behind():
    with serving(page()) as server:
        transport = Transport(server.url, timeout=5)
        exchange(transport, server, "/")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            gc.collect()
            caught.clear()  # what others left behind
            del transport
            gc.collect()
        assert [str(warning.message) for warning in caught] == []


def test_many_threads_share_one_transport():
    with serving(page({"id": "1"})) as server:
        transport = Transport(server.url, timeout=5, connections=4)
        done = []

        def work():
            done.extend(exchange(transport, server, f"/{at}").status for at in range(20))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        transport.close()
        assert done == [200] * 160
        assert len(server.requests) == 160
