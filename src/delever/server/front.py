"""The first ASGI layer: venue paths are answered here, everything else goes on to the native app.

A path's first part says whose it is. A venue answers at once where it can (`answer_now`: hot public
endpoints, out of bytes encoded once a refresh), else with the request read whole.
"""

from collections.abc import Mapping
from typing import Protocol

import structlog

from delever.config import Listen
from delever.server.http import (
    Asgi,
    Receive,
    Reply,
    Request,
    Scope,
    Send,
    TooLarge,
    address_of,
    read_body,
    send_reply,
)
from delever.server.sockets import POLICY, Closed, Socket

SMALL_BODY = 64 * 1024
"""Venue APIs take small bodies only."""

log = structlog.get_logger()


class Venue(Protocol):
    """One venue's API behind the front."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The first parts of the paths that belong to it."""

    def answer_now(self, path: str, query: bytes, address: str) -> Reply | None:
        """Return the answer to a GET out of what is encoded already, limits included, or None."""

    async def answer(self, request: Request) -> Reply:
        """Return the answer to any request."""

    async def converse(self, socket: Socket) -> None:
        """Serve a WebSocket until it ends (raise Closed, or return)."""


class Front:
    """The server's ASGI app. `mounts` are other apps by the first part of their paths."""

    def __init__(
        self, listen: Listen, venues: tuple[Venue, ...], native: Asgi, mounts: Mapping[str, Asgi]
    ) -> None:
        self._listen = listen
        self._venues = {part: venue for venue in venues for part in venue.parts}
        self._native = native
        self._mounts = mounts
        self._sockets: dict[str, int] = {}
        self.open_sockets: set[Socket] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._native(scope, receive, send)
            return
        path: str = scope["path"]
        part = path.split("/", 2)[1] if path.startswith("/") else ""
        venue = self._venues.get(part)
        if venue is None:
            await self._mounts.get(part, self._native)(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._converse(venue, scope, receive, send)
        else:
            await self._answer(venue, scope, receive, send)

    async def _answer(self, venue: Venue, scope: Scope, receive: Receive, send: Send) -> None:
        address = address_of(scope, trust_forwarded=self._listen.trust_forwarded)
        reply = None
        if scope["method"] == "GET":
            reply = venue.answer_now(scope["path"], scope["query_string"], address)
        if reply is None:
            try:
                body = await read_body(receive, SMALL_BODY)
            except TooLarge as error:
                await send_reply(send, Reply(b'{"msg":"%s"}' % str(error).encode(), 413))
                return
            reply = await venue.answer(Request(scope, address, body))
        await send_reply(send, reply)

    async def _converse(self, venue: Venue, scope: Scope, receive: Receive, send: Send) -> None:
        address = address_of(scope, trust_forwarded=self._listen.trust_forwarded)
        socket = Socket(scope, receive, send, address)
        held = self._sockets.get(address, 0)
        try:
            await socket.accept()
            if held >= self._listen.max_connections_per_ip:
                socket.close(POLICY, "too many connections from this address")
                return
            self._sockets[address] = held + 1
            self.open_sockets.add(socket)
            await venue.converse(socket)
        except Closed:
            pass
        finally:
            if socket in self.open_sockets:
                self.open_sockets.discard(socket)
                self._sockets[address] -= 1
                if not self._sockets[address]:
                    del self._sockets[address]
