"""Messages to many subscribers: a slow one is dropped, and no other waits for it."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from delever.server.transport.websockets import MAX_BACKLOG, POLICY, Hub, Socket

SCOPE: dict[str, Any] = {"path": "/x", "query_string": b""}


class End:
    """The client of a connection; it accepts messages only while its gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.got: list[MutableMapping[str, Any]] = []

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await self.gate.wait()
        self.got.append(message)

    async def receive(self) -> MutableMapping[str, Any]:
        return {"type": "websocket.disconnect"}

    def socket(self) -> Socket:
        return Socket(SCOPE, self.receive, self.send, "127.0.0.1")

    def texts(self) -> list[str]:
        return [each["text"] for each in self.got if each["type"] == "websocket.send"]


def test_a_message_is_sent_at_once_if_the_connection_accepts_it() -> None:
    async def go() -> None:
        end = End()
        end.socket().offer("now")
        assert end.texts() == ["now"]

    asyncio.run(go())


def test_a_paused_connection_gets_all_messages_in_order_later() -> None:
    async def go() -> None:
        end, other = End(), End()
        hub = Hub()
        slow, fast = end.socket(), other.socket()
        hub.subscribe("t", slow)
        hub.subscribe("t", fast)
        end.gate.clear()
        for number in range(5):
            hub.publish("t", str(number))
        assert other.texts() == ["0", "1", "2", "3", "4"]
        assert end.texts() == []
        end.gate.set()
        await slow.drain()
        hub.publish("t", "5")
        assert end.texts() == ["0", "1", "2", "3", "4", "5"]

    asyncio.run(go())


def test_a_backlog_beyond_the_limit_closes_the_connection() -> None:
    async def go() -> None:
        end, other = End(), End()
        hub = Hub()
        slow, fast = end.socket(), other.socket()
        hub.subscribe("t", slow)
        hub.subscribe("t", fast)
        end.gate.clear()
        for number in range(MAX_BACKLOG + 10):
            hub.publish("t", str(number))
        assert slow.dropped
        assert len(other.texts()) == MAX_BACKLOG + 10
        end.gate.set()
        await slow.drain()
        assert [each.get("code") for each in end.got][-1] == POLICY
        assert end.texts() == ["0"]

    asyncio.run(go())


def test_unsubscribing_empties_the_hub() -> None:
    async def go() -> None:
        hub, socket = Hub(), End().socket()
        hub.subscribe("a", socket)
        hub.subscribe("b", socket)
        hub.unsubscribe("a", socket)
        assert set(hub.topics) == {"b"}
        hub.unsubscribe_all(socket)
        assert set(hub.topics) == set()
        assert hub.count("b") == 0

    asyncio.run(go())
