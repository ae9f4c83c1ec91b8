"""HTTP connections with bounds: of one address, of headers, and of the time until they are sent.

uvicorn bounds the connections of the whole server; one address could take them all, hold them open
half-sent, or send headers without end.
"""

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 64 * 1024
"""Bytes of a request's first line and headers; beyond them the connection is closed."""

HEADERS_TIMEOUT_S = 20.0
"""A connection that has not sent whole headers after this time is closed."""

BODY_TIMEOUT_S = 60.0
"""A connection whose body has not gone on for this time is closed."""

_CLOSING = b"connection: close\r\ncontent-length: 0\r\nretry-after: 5\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + _CLOSING
TOO_MANY = b"HTTP/1.1 429 Too Many Requests\r\n" + _CLOSING


class ConnectionLimits:
    """The open HTTP connections of each address; 0 as `per_address` stands for no limit.

    Behind a proxy all connections come from its address: the proxy limits its clients.
    """

    def __init__(self, per_address: int) -> None:
        self.per_address = per_address
        self.open: Counter[str] = Counter()

    def protocol(self, *arguments: Any, **named: Any) -> "BoundedHttpProtocol":
        """Return the protocol of a new connection, as uvicorn makes it."""
        return BoundedHttpProtocol(self, *arguments, **named)


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with the bounds of this module."""

    def __init__(self, limits: ConnectionLimits, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits = limits
        self._address = ""
        self._awaits_headers = True
        self._header_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and wait for its headers; refuse one too many of an address."""
        super().connection_made(transport)
        address, limit = self.client[0] if self.client else "", self._limits.per_address
        if limit and self._limits.open[address] >= limit:
            transport.write(TOO_MANY)
            transport.close()
            return
        self._address = address
        self._limits.open[address] += 1
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Subtract the connection."""
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse data; close a connection whose headers go on beyond the bound."""
        super().data_received(data)
        if self._awaits_headers:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
                self.transport.write(TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._await_headers()

    def on_headers_complete(self) -> None:
        """Serve a request, and wait for its body."""
        self._awaits_headers = False
        self._wait(BODY_TIMEOUT_S)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body; the time for the next one begins again."""
        self._wait(BODY_TIMEOUT_S)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._stop_timer()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to the WebSocket protocol."""
        self._leave()
        super().handle_websocket_upgrade()

    def _await_headers(self) -> None:
        self._awaits_headers, self._header_bytes = True, 0
        self._wait(HEADERS_TIMEOUT_S)

    def _wait(self, seconds: float) -> None:
        """Close the connection after some seconds without the next step."""
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self._time_out)

    def _time_out(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _leave(self) -> None:
        """Subtract the connection from those of its address, once."""
        self._stop_timer()
        if self._address:
            self._limits.open[self._address] -= 1
            if not self._limits.open[self._address]:
                del self._limits.open[self._address]
            self._address = ""
