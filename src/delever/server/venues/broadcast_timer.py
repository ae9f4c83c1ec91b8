"""A push every second while anybody listens: nothing to start or stop with the server."""

import asyncio
from collections.abc import Callable

import structlog

from delever.server.transport.websockets import Hub

PERIOD_S = 1.0

log = structlog.get_logger()


class Pulse:
    """Calls `push` once a second from the first subscriber of a hub to the last."""

    def __init__(self, hub: Hub, push: Callable[[], None]) -> None:
        self._hub = hub
        self._push = push
        self._beating: asyncio.Task[None] | None = None

    def beat(self) -> None:
        """Begin, unless it goes on already; called when somebody has joined."""
        if self._beating is None:
            self._beating = asyncio.create_task(self._go_on())

    async def _go_on(self) -> None:
        try:
            while self._hub.topics:
                await asyncio.sleep(PERIOD_S)
                try:
                    self._push()
                except Exception:
                    log.exception("push failed")
        finally:
            self._beating = None
