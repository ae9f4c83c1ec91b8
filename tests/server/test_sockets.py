"""One message to many: a slow subscriber loses its place, and nobody else waits for it."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from delever.server.transport.websockets import BACKLOG, POLICY, Hub, Socket

SCOPE: dict[str, Any] = {"path": "/x", "query_string": b""}


class End:
    """The other end of a connection; it takes messages only while its gate is open."""

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


def test_what_a_connection_takes_is_sent_in_place() -> None:
    async def go() -> None:
        end = End()
        end.socket().offer("now")
        assert end.texts() == ["now"]

    asyncio.run(go())


def test_a_stopped_connection_gets_everything_in_order_once_it_goes_on() -> None:
    async def go() -> None:
        end, other = End(), End()
        hub = Hub()
        slow, fast = end.socket(), other.socket()
        hub.join("t", slow)
        hub.join("t", fast)
        end.gate.clear()
        for number in range(5):
            hub.publish("t", str(number))
        assert other.texts() == ["0", "1", "2", "3", "4"]
        assert end.texts() == []
        end.gate.set()
        await asyncio.sleep(0.01)
        hub.publish("t", "5")
        assert end.texts() == ["0", "1", "2", "3", "4", "5"]

    asyncio.run(go())


def test_a_backlog_that_grows_too_long_closes_the_connection() -> None:
    async def go() -> None:
        end, other = End(), End()
        hub = Hub()
        slow, fast = end.socket(), other.socket()
        hub.join("t", slow)
        hub.join("t", fast)
        end.gate.clear()
        for number in range(BACKLOG + 10):
            hub.publish("t", str(number))
        assert slow.dropped
        assert len(other.texts()) == BACKLOG + 10
        end.gate.set()
        await asyncio.sleep(0.01)
        assert [each.get("code") for each in end.got][-1] == POLICY
        assert end.texts() == ["0"]

    asyncio.run(go())


def test_leaving_and_forgetting_empty_the_hub() -> None:
    async def go() -> None:
        hub, socket = Hub(), End().socket()
        hub.join("a", socket)
        hub.join("b", socket)
        hub.leave("a", socket)
        assert set(hub.topics) == {"b"}
        hub.forget(socket)
        assert set(hub.topics) == set()
        assert hub.count("b") == 0

    asyncio.run(go())
