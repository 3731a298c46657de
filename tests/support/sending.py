"""Send one request through the transport, as a client does; check a request that must fail."""

import pytest

from boast_source.api.reader import TransportFailure
from boast_source.api.transport import Transport

LONG = 3600.0  # seconds; a test that waits this long fails by its own timeout


def send(url, method="GET", timeout=5.0, body=None, path="/v1/x"):
    transport = Transport(url, timeout=timeout)
    try:
        return transport.send(method, url + path, headers={"Authorization": "Bearer secret-token"}, body=body)
    finally:
        transport.close()


def exchange(transport, server, target, method="GET"):
    """Send on a kept connection if there is one; `compare` accepts every answer."""
    return transport.send(method, server.url + target, headers={}, lane="list", compare=bool)


def fails(url, **how):
    with pytest.raises(TransportFailure) as caught:
        send(url, **how)
    assert "secret-token" not in repr(caught.value) + str(caught.value)
    return caught.value
