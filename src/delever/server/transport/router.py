"""The first ASGI layer: venue paths are answered here, everything else goes on to the native app.

A path's first parts say whose it is; where two venues fit, the longer prefix decides. A venue
answers at once where it can (`answer_now`: hot public endpoints, out of bytes encoded once a
refresh), else with the request read whole.
"""

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from delever.config import ListenConfig
from delever.server.engine.service import BusyError, StoppedError
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

BROKEN = b'{"error":{"reason":"internal_error","message":"the server has logged what went wrong"}}'
AWAY = b'{"error":{"reason":"engine_is_not_available","message":"try again later"}}'
LARGE = b'{"error":{"reason":"body_is_too_large","message":"%s"}}'

PATHS = 4_096
"""Paths whose venue is remembered."""

SMALL_BODY = 64 * 1024
"""Venue APIs take small bodies only."""

log = structlog.get_logger()


class Venue(Protocol):
    """One venue's API behind the front."""

    @property
    def parts(self) -> tuple[str, ...]:
        """What the paths that belong to it begin with: one part, or several as in "ws/v5"."""

    def answer_now(self, path: str, query: bytes, address: str) -> Reply | None:
        """Return the answer to a GET out of what is encoded already, limits included, or None."""

    async def answer(self, request: Request) -> Reply:
        """Return the answer to any request."""

    async def converse(self, socket: Socket) -> None:
        """Serve a WebSocket until it ends (raise ClosedError, or return)."""


class Front:
    """The server's ASGI app; `lifespan` starts and stops everything.

    `mounts` are other apps by the first part of their paths. `answered` is told of each request
    that a venue has answered, with its status: a wrapper around the app would cost as much again.
    `others` serves what is no such request, and may be wrapped. `held` counts the sockets of each
    address.
    """

    def __init__(
        self,
        listen: ListenConfig,
        venues: tuple[Venue, ...],
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
        self._venue_of = functools.lru_cache(PATHS)(self._find_venue)
        self.answered: Callable[[Scope, int], None] = _nobody_is_told
        self.others: Asgi = self._serve_other
        self.held: Counter[str] = Counter()

    @property
    def parts(self) -> tuple[str, ...]:
        """The first parts of all paths that belong to venues."""
        return tuple({prefix.partition("/")[0] for prefix in self._venues})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            venue = self._venue_of(scope["path"])
            if venue is not None:
                await self._answer(venue, scope, receive, send)
                return
        await self.others(scope, receive, send)

    async def _serve_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve sockets, other apps' requests, and start and end of the server."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        venue = self._venue_of(scope["path"])
        if venue is None:
            app = self._mounts.get(first_part(scope["path"]), self._native)
            await app(scope, receive, send)
        else:
            await self._converse(venue, scope, receive, send)

    def _find_venue(self, path: str) -> Venue | None:
        """Return the venue with the longest prefix that a path begins with."""
        parts = path.split("/", self._depth + 1)[1 : self._depth + 1]
        for length in range(len(parts), 0, -1):
            venue = self._venues.get("/".join(parts[:length]))
            if venue is not None:
                return venue
        return None

    async def _answer(self, venue: Venue, scope: Scope, receive: Receive, send: Send) -> None:
        address = address_of(scope, trust_forwarded=self._listen.trust_forwarded)
        try:
            reply = await _reply(venue, scope, receive, address)
        except TooLargeError as error:
            reply = Reply(LARGE % str(error).encode(), 413)
        except (BusyError, StoppedError):
            reply = Reply(AWAY, 503)
        except Exception:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            reply = Reply(BROKEN, 500)
        await send_reply(send, reply)
        self.answered(scope, reply.status)

    async def _converse(self, venue: Venue, scope: Scope, receive: Receive, send: Send) -> None:
        address = address_of(scope, trust_forwarded=self._listen.trust_forwarded)
        socket = Socket(scope, receive, send, address)
        with contextlib.suppress(ClosedError):
            await socket.accept()
            if self.held[address] >= self._listen.max_connections_per_ip:
                socket.close(POLICY, "too many connections from this address")
                return
            self.held[address] += 1
            try:
                await venue.converse(socket)
            finally:
                self.held[address] -= 1
                if not self.held[address]:
                    del self.held[address]


def _nobody_is_told(_scope: Scope, _status: int) -> None:
    """Tell nobody."""


async def _reply(venue: Venue, scope: Scope, receive: Receive, address: str) -> Reply:
    """Return a venue's answer, out of what is encoded already where that is enough."""
    if scope["method"] == "GET":
        reply = venue.answer_now(scope["path"], scope["query_string"], address)
        if reply is not None:
            return reply
    body = await read_body(receive, SMALL_BODY)
    return await venue.answer(Request(scope, address, body))
