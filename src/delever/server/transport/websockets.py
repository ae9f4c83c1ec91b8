"""WebSockets and the subscribers of topics; a slow subscriber never delays the others.

A message is sent to each subscriber at once where its connection accepts it: the sending coroutine
is started in place, and only one that has to wait becomes a task. Messages for a busy connection
are queued in its backlog; a backlog beyond its limit closes the connection (1008).
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Generator, Iterable
from typing import Any

import structlog

from delever.server.transport.asgi import Message, Receive, Scope, Send

log = structlog.get_logger()

MAX_BACKLOG = 256
"""Messages that may be queued for one slow subscriber."""

GOING_AWAY, POLICY, RESTART = 1001, 1008, 1012

DROPPED = "delever.dropped"
"""Key in the ASGI scope of a connection that was closed because it was too slow."""


class ClosedError(Exception):
    """The client has closed the connection."""


class Socket:
    """One WebSocket connection, with the client's address and the requested path."""

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
        """Accept the connection; raise ClosedError where the client has gone."""
        message = await self._receive()
        if message["type"] != "websocket.connect":
            raise ClosedError
        await self._send({"type": "websocket.accept"})

    async def receive(self) -> str:
        """Return the next message as text; raise ClosedError at the end."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            self._closed = True
            raise ClosedError
        text = message.get("text")
        if text is not None:
            return str(text)
        return str((message.get("bytes") or b"").decode(errors="replace"))

    def offer(self, text: str) -> None:
        """Send a text now, or once the connection accepts it; never wait."""
        self.enqueue(_message(text))

    async def drain(self) -> None:
        """Wait until everything offered has been sent."""
        if self._busy is not None:
            await asyncio.shield(self._busy)

    def close(self, code: int = GOING_AWAY, reason: str = "") -> None:
        """Close the connection, after the messages offered before."""
        self.enqueue({"type": "websocket.close", "code": code, "reason": reason})
        self._closed = True

    def enqueue(self, message: Message) -> None:
        """Send a message, shared with other sockets, now or once the connection accepts it."""
        if self._closed:
            return
        if self._busy is not None:
            self._backlog.append(message)
            if len(self._backlog) > MAX_BACKLOG:
                self._drop()
            return
        sending = self._send(message)
        awaited = _start(sending)
        if awaited is not None:
            self._busy = asyncio.create_task(self._finish(sending, awaited))

    async def _finish(self, sending: Any, awaited: Any) -> None:
        """Finish a message that has to wait, then send the backlog."""
        try:
            await _Started(sending, awaited)
            while self._backlog:
                await self._send(self._backlog.popleft())
        except (OSError, ClosedError):
            self._closed = True  # `receive` reports a broken connection
        except Exception:
            self._closed = True
            log.exception("a message could not be sent")
        finally:
            self._busy = None

    def _drop(self) -> None:
        """Close a connection that does not keep up, without its backlog."""
        self.dropped = self._closed = self._scope[DROPPED] = True
        self._backlog.clear()
        self._backlog.append(
            {"type": "websocket.close", "code": POLICY, "reason": "too slow: backlog is full"}
        )


def _message(text: str) -> Message:
    return {"type": "websocket.send", "text": text}


def _start(sending: Any) -> Any:
    """Run a coroutine until it ends (return None) or waits (return the awaited object)."""
    try:
        return sending.send(None)
    except StopIteration:
        return None
    except Exception:  # noqa: BLE001 - `receive` reports a broken connection
        return None


class _Started:
    """Awaits the rest of a coroutine that has been started already."""

    def __init__(self, sending: Coroutine[Any, Any, None], awaited: Any) -> None:
        self._sending = sending
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, None]:
        awaited = self._awaited
        while True:
            got = yield awaited
            try:
                awaited = self._sending.send(got)
            except StopIteration:
                return


class Hub:
    """Topics with their subscribers."""

    def __init__(self) -> None:
        self._subscribers: dict[str, set[Socket]] = {}

    @property
    def topics(self) -> Iterable[str]:
        """The topics with a subscriber."""
        return tuple(self._subscribers)

    def count(self, topic: str) -> int:
        """Return the number of subscribers of a topic."""
        return len(self._subscribers.get(topic, ()))

    def subscribe(self, topic: str, socket: Socket) -> None:
        """Subscribe a socket to a topic."""
        self._subscribers.setdefault(topic, set()).add(socket)
        socket.topics.add(topic)

    def unsubscribe(self, topic: str, socket: Socket) -> None:
        """End a socket's subscription of a topic."""
        socket.topics.discard(topic)
        subscribers = self._subscribers.get(topic)
        if subscribers is not None:
            subscribers.discard(socket)
            if not subscribers:
                del self._subscribers[topic]

    def unsubscribe_all(self, socket: Socket) -> None:
        """End all subscriptions of a socket."""
        for topic in tuple(socket.topics):
            self.unsubscribe(topic, socket)

    def publish(self, topic: str, text: str) -> None:
        """Send a text to all subscribers of a topic."""
        message = _message(text)
        for socket in tuple(self._subscribers.get(topic, ())):
            socket.enqueue(message)
