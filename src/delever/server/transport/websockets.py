"""Subscribers of streams: one message to many, and a slow one never holds up the others.

A message is offered to each subscriber and sent at once where its connection takes it: the sending
coroutine is begun in place, and only one that has to wait becomes a task. What comes while a
connection is busy waits in its backlog; a backlog that grows too long closes it (1008).
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine, Generator, Iterable
from typing import Any

from delever.server.transport.asgi import Message, Receive, Scope, Send

BACKLOG = 256
"""Messages that may wait for one slow subscriber."""

GOING_AWAY, POLICY, RESTART = 1001, 1008, 1012

DROPPED = "delever.dropped"
"""Stands in the ASGI scope of a connection that was closed because it was too slow."""


class ClosedError(Exception):
    """The other end has gone."""


class Socket:
    """One WebSocket connection. `address` is the client's, `path` what it asked for."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, address: str) -> None:
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.address = address
        self.dropped = False
        self._scope = scope
        self.topics: set[str] = set()
        self._receive = receive
        self._send = send
        self._backlog: deque[Message] = deque()
        self._busy: asyncio.Task[None] | None = None
        self._closed = False

    async def accept(self) -> None:
        """Accept the connection; ClosedError where it has gone."""
        message = await self._receive()
        if message["type"] != "websocket.connect":
            raise ClosedError
        await self._send({"type": "websocket.accept"})

    async def receive(self) -> str:
        """Return the next text (or bytes, as text); ClosedError at the end."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            self._closed = True
            raise ClosedError
        text = message.get("text")
        if text is not None:
            return str(text)
        return str((message.get("bytes") or b"").decode(errors="replace"))

    def offer(self, text: str) -> None:
        """Send a text now, or when the connection takes it; never waits."""
        self.pass_on(_message(text))

    async def drain(self) -> None:
        """Wait until all that was offered is with the connection."""
        if self._busy is not None:
            await asyncio.shield(self._busy)

    def close(self, code: int = GOING_AWAY, reason: str = "") -> None:
        """Close the connection, after what was offered before."""
        self.pass_on({"type": "websocket.close", "code": code, "reason": reason})
        self._closed = True

    def pass_on(self, message: Message) -> None:
        """Offer a message that others get, too; nobody changes it."""
        if self._closed:
            return
        if self._busy is not None:
            self._backlog.append(message)
            if len(self._backlog) > BACKLOG:
                self._drop()
            return
        sending = self._send(message)
        waits_for = _begin(sending)
        if waits_for is not None:
            self._busy = asyncio.create_task(self._go_on(sending, waits_for))

    async def _go_on(self, sending: Any, waits_for: Any) -> None:
        """Finish a sending that has to wait, then the backlog."""
        with contextlib.suppress(Exception):  # a connection that breaks is found by `receive`
            await _Begun(sending, waits_for)
            while self._backlog:
                await self._send(self._backlog.popleft())
        self._busy = None

    def _drop(self) -> None:
        """Close a connection that does not keep up; its backlog is lost."""
        self.dropped = self._closed = self._scope[DROPPED] = True
        self._backlog.clear()
        self._backlog.append(
            {"type": "websocket.close", "code": POLICY, "reason": "too slow: backlog is full"}
        )


def _message(text: str) -> Message:
    return {"type": "websocket.send", "text": text}


def _begin(sending: Any) -> Any:
    """Run a coroutine until it ends (return None) or has to wait (return what for)."""
    try:
        return sending.send(None)
    except StopIteration:
        return None
    except Exception:  # noqa: BLE001 - a broken connection is found by `receive`
        return None


class _Begun:
    """Awaits a coroutine that has been begun already and now waits for something."""

    def __init__(self, sending: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._sending = sending
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        while True:
            got = yield waits_for
            try:
                waits_for = self._sending.send(got)
            except StopIteration:
                return


class Hub:
    """Topics and who listens to them."""

    def __init__(self) -> None:
        self._listening: dict[str, set[Socket]] = {}

    @property
    def topics(self) -> Iterable[str]:
        """The topics that somebody listens to."""
        return tuple(self._listening)

    def count(self, topic: str) -> int:
        """Return how many listen to a topic."""
        return len(self._listening.get(topic, ()))

    def join(self, topic: str, socket: Socket) -> None:
        """Let a socket hear a topic."""
        self._listening.setdefault(topic, set()).add(socket)
        socket.topics.add(topic)

    def leave(self, topic: str, socket: Socket) -> None:
        """Let a socket hear a topic no more."""
        socket.topics.discard(topic)
        listening = self._listening.get(topic)
        if listening is not None:
            listening.discard(socket)
            if not listening:
                del self._listening[topic]

    def forget(self, socket: Socket) -> None:
        """Let a socket hear nothing any more."""
        for topic in tuple(socket.topics):
            self.leave(topic, socket)

    def publish(self, topic: str, text: str) -> None:
        """Offer a text to all who listen to a topic."""
        message = _message(text)
        for socket in tuple(self._listening.get(topic, ())):
            socket.pass_on(message)
