"""TLS on loopback for tests: a scripted server with a certificate of a test authority, and a tunnelling proxy."""

import select
import socket
import socketserver
import ssl
import threading
from contextlib import contextmanager, suppress

import trustme

from tests.support.http_server import Server


class _TlsServer(Server):
    context: ssl.SSLContext

    def finish_request(self, request, client_address):
        with suppress(OSError):
            request.settimeout(20)
            wrapped = self.context.wrap_socket(request, server_side=True)
            try:
                super().finish_request(wrapped, client_address)
            finally:
                wrapped.close()


@contextmanager
def running(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serving_tls(folder, *answers, name="localhost"):
    """Yield a server at https://localhost:port. `folder / "ca.pem"`: the authority that signed its certificate."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server = _TlsServer(answers)
    server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(server.context)
    with running(server):
        server.address = f"https://localhost:{server.server_address[1]}"
        try:
            yield server
        finally:
            server.ending.set()


class _Tunnel(socketserver.StreamRequestHandler):
    def handle(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.request.recv(1)
        self.server.heads.append(head.decode())
        with socket.create_connection(self.server.target) as other, suppress(OSError):
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
            ends = {self.request: other, other: self.request}
            while True:
                for ready in select.select(list(ends), [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    self.server.seen += data
                    ends[ready].sendall(data)


@contextmanager
def tunnelling_to(port):
    """Yield a proxy that connects every CONNECT to this local port. `heads`, `seen`: request heads and bytes it saw."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Tunnel)
    server.daemon_threads = True
    server.target, server.heads, server.seen = ("127.0.0.1", port), [], b""
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    with running(server):
        yield server
