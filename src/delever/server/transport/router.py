"""The first ASGI layer: it routes paths to the venue APIs, the mounted apps or the native API.

The longest prefix of a path decides which venue serves it. A venue replies at once where it can
(`cached_reply`: public endpoints whose bodies are encoded once per refresh), else to the request
with its whole body.
"""

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from delever.config import ListenConfig
from delever.server.engine.runner import BusyError, StoppedError
from delever.server.transport.asgi import (
    Asgi,
    Receive,
    Reply,
    Request,
    Scope,
    Send,
    TooLargeError,
    address_of,
    first_part,
    read_body,
    send_reply,
)
from delever.server.transport.websockets import POLICY, ClosedError, Socket

INTERNAL_ERROR = b'{"error":{"reason":"internal_error","message":"the error has been logged"}}'
UNAVAILABLE = b'{"error":{"reason":"engine_unavailable","message":"try again later"}}'
BODY_TOO_LARGE = b'{"error":{"reason":"body_too_large","message":"%s"}}'

PATH_CACHE_SIZE = 4_096
"""Paths whose venue is cached."""

MAX_VENUE_BODY = 64 * 1024
"""Largest body of a request to a venue API, in bytes."""

log = structlog.get_logger()


class VenueApi(Protocol):
    """One venue-compatible API."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The prefixes of the venue's paths: one part, or several as in "ws/v5"."""

    def cached_reply(self, path: str, query: bytes, address: str) -> Reply | None:
        """Return the reply to a GET from bodies encoded already, limits applied, or None."""

    async def answer(self, request: Request) -> Reply:
        """Return the reply to any request."""

    async def serve_socket(self, socket: Socket) -> None:
        """Serve a WebSocket until it ends: return, or raise ClosedError."""


class Router:
    """The server's ASGI app; `lifespan` starts and stops the server.

    `mounts` are other apps by the first part of their paths. `on_reply` is called with each request
    that a venue has replied to, and its status: a wrapper around the app would cost as much again.
    `other_app` serves everything else, and may be wrapped. `open_sockets` counts the venue sockets
    of each address.
    """

    def __init__(
        self,
        listen: ListenConfig,
        venues: tuple[VenueApi, ...],
        native: Asgi,
        mounts: Mapping[str, Asgi],
        lifespan: Asgi,
    ) -> None:
        self._listen = listen
        self._venues = {part: venue for venue in venues for part in venue.parts}
        self._depth = max((part.count("/") + 1 for part in self._venues), default=1)
        self._native = native
        self._mounts = mounts
        self._lifespan = lifespan
        self._venue_of = functools.lru_cache(PATH_CACHE_SIZE)(self._find_venue)
        self.on_reply: Callable[[Scope, int], None] = _ignore_reply
        self.other_app: Asgi = self._serve_other
        self.open_sockets: Counter[str] = Counter()

    @property
    def parts(self) -> tuple[str, ...]:
        """The first parts of all paths that belong to venues."""
        return tuple({prefix.partition("/")[0] for prefix in self._venues})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            venue = self._venue_of(scope["path"])
            if venue is not None:
                await self._handle(venue, scope, receive, send)
                return
        await self.other_app(scope, receive, send)

    async def _serve_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve sockets, requests of other apps, and the lifespan of the server."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        venue = self._venue_of(scope["path"])
        if venue is None:
            app = self._mounts.get(first_part(scope["path"]), self._native)
            await app(scope, receive, send)
        else:
            await self._handle_socket(venue, scope, receive, send)

    def _find_venue(self, path: str) -> VenueApi | None:
        """Return the venue with the longest prefix of a path, or None."""
        parts = path.split("/", self._depth + 1)[1 : self._depth + 1]
        for length in range(len(parts), 0, -1):
            venue = self._venues.get("/".join(parts[:length]))
            if venue is not None:
                return venue
        return None

    async def _handle(self, venue: VenueApi, scope: Scope, receive: Receive, send: Send) -> None:
        address = address_of(scope, trust_forwarded=self._listen.trust_forwarded)
        try:
            reply = await _reply(venue, scope, receive, address)
        except TooLargeError as error:
            reply = Reply(BODY_TOO_LARGE % str(error).encode(), 413)
        except (BusyError, StoppedError):
            reply = Reply(UNAVAILABLE, 503)
        except Exception:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            reply = Reply(INTERNAL_ERROR, 500)
        await send_reply(send, reply)
        self.on_reply(scope, reply.status)

    async def _handle_socket(
        self, venue: VenueApi, scope: Scope, receive: Receive, send: Send
    ) -> None:
        address = address_of(scope, trust_forwarded=self._listen.trust_forwarded)
        socket = Socket(scope, receive, send, address)
        with contextlib.suppress(ClosedError):
            await socket.accept()
            if self.open_sockets[address] >= self._listen.max_connections_per_ip:
                socket.close(POLICY, "too many connections from this address")
                return
            self.open_sockets[address] += 1
            try:
                await venue.serve_socket(socket)
            finally:
                self.open_sockets[address] -= 1
                if not self.open_sockets[address]:
                    del self.open_sockets[address]


def _ignore_reply(_scope: Scope, _status: int) -> None:
    """Do nothing."""


async def _reply(venue: VenueApi, scope: Scope, receive: Receive, address: str) -> Reply:
    """Return a venue's reply, from bodies encoded already where possible."""
    if scope["method"] == "GET":
        reply = venue.cached_reply(scope["path"], scope["query_string"], address)
        if reply is not None:
            return reply
    body = await read_body(receive, MAX_VENUE_BODY)
    return await venue.answer(Request(scope, address, body))
