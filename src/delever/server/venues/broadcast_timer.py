"""A push every second while a hub has subscribers; the server neither starts nor stops it."""

import asyncio
from collections.abc import Callable

import structlog

from delever.server.transport.websockets import Hub

PERIOD_S = 1.0

log = structlog.get_logger()


class BroadcastTimer:
    """Call `push` once a second from a hub's first subscription to its last."""

    def __init__(self, hub: Hub, push: Callable[[], None]) -> None:
        self._hub = hub
        self._push = push
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the timer unless it is running; call this after each subscription."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._hub.topics:
                await asyncio.sleep(PERIOD_S)
                try:
                    self._push()
                except Exception:
                    log.exception("push failed")
        finally:
            self._task = None
