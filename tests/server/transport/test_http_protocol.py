"""Connections are bounded by address, headers by size, and half-sent requests by time."""

import contextlib
import socket
from collections.abc import Iterator

import pytest
from live_server import ANONYMOUS_CONFIG, LiveServer, live_server
from msgspec.structs import replace

from delever.server.transport import http_protocol
from delever.server.transport.http_protocol import MAX_HEADER_BYTES
from stream_clients import connect
from waiting import PATIENCE_S, wait_until

FEW = 5
GET = b"GET /v1/health HTTP/1.1\r\nhost: x\r\n"


@pytest.fixture
def server() -> Iterator[LiveServer]:
    listen = replace(ANONYMOUS_CONFIG.listen, max_connections_per_ip=FEW)
    with live_server(replace(ANONYMOUS_CONFIG, listen=listen)) as serving:
        yield serving


def opened(server: LiveServer) -> socket.socket:
    port = int(server.url.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def answer(connection: socket.socket, sent: bytes) -> bytes:
    """Send bytes; return the first line of the response, or b"" where the connection ends."""
    try:
        connection.sendall(sent)
        return connection.recv(65_536).partition(b"\r\n")[0]
    except ConnectionError:
        return b""


def test_headers_without_end_are_refused(server: LiveServer) -> None:
    with opened(server) as connection:
        assert answer(connection, GET + b"\r\n") == b"HTTP/1.1 200 OK"
        many = b"".join(b"x-%d: %s\r\n" % (n, b"y" * 1_000) for n in range(30))
        assert answer(connection, GET + many + b"\r\n") == b"HTTP/1.1 200 OK"
    with opened(server) as connection:
        endless = b"x: " + b"y" * 4 * MAX_HEADER_BYTES
        assert answer(connection, GET + endless) in {
            b"HTTP/1.1 431 Request Header Fields Too Large", b"",
        }  # fmt: skip


def served(server: LiveServer) -> bool:
    """Return whether one more connection is served."""
    with opened(server) as one_more:
        return answer(one_more, GET + b"\r\n") == b"HTTP/1.1 200 OK"


def test_one_address_has_a_bounded_number_of_connections(server: LiveServer) -> None:
    with contextlib.ExitStack() as connections:
        first = opened(server)
        for _ in range(FEW - 1):
            connection = connections.enter_context(opened(server))
            assert answer(connection, GET + b"\r\n") == b"HTTP/1.1 200 OK"
        assert answer(first, GET + b"\r\n") == b"HTTP/1.1 200 OK"
        with opened(server) as one_more:
            assert answer(one_more, b"") == b"HTTP/1.1 429 Too Many Requests"
        first.close()
        for _ in range(FEW):  # a WebSocket is no HTTP connection any more, and counted on its own
            wait_until(lambda: served(server))
            with connect(f"{server.ws}/v5/public/linear") as stream:
                stream.ping().wait(PATIENCE_S)


@pytest.mark.parametrize(
    "sent", [b"", GET, b"POST /v1/commands HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"]
)
def test_an_idle_or_half_sent_request_is_closed(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(http_protocol, "HEADERS_TIMEOUT_S", 0.2)
    monkeypatch.setattr(http_protocol, "BODY_TIMEOUT_S", 0.2)
    with live_server() as serving, opened(serving) as connection:
        connection.sendall(sent)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert not received.startswith(b"HTTP/1.1 2")
