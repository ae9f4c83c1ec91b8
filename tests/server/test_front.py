"""The first layer: whose path it is, what becomes of failures, and what one address may hold."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from delever.config import ListenConfig
from delever.server.engine.service import BusyError
from delever.server.transport.asgi import Receive, Reply, Request, Scope, Send
from delever.server.transport.router import SMALL_BODY, Front
from delever.server.transport.websockets import POLICY, Socket

Sent = list[MutableMapping[str, Any]]


class Echo:
    """A venue that says what it was asked."""

    parts = ("echo",)

    def __init__(self, *parts: str) -> None:
        self.parts = parts or self.parts

    def answer_now(self, path: str, query: bytes, address: str) -> Reply | None:
        return Reply(b"hot " + query + address.encode()) if path == "/echo/hot" else None

    async def answer(self, request: Request) -> Reply:
        match request.path:
            case "/echo/broken":
                raise KeyError("secret")
            case "/echo/busy":
                raise BusyError
        params = ",".join(f"{name}={value}" for name, value in request.params.items())
        return Reply(f"{request.method} {params}".encode(), 201, [(b"x-a", b"b")])

    async def converse(self, socket: Socket) -> None:
        while True:
            socket.offer(await socket.receive())


async def native(scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "native", "path": scope["path"]})


def ask(
    path: str,
    method: str = "GET",
    body: bytes = b"",
    headers: tuple[tuple[bytes, bytes], ...] = (),
    venues: tuple[Echo, ...] = (Echo(),),
) -> Sent:
    """Return what the front sends for one request."""
    sent: Sent = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": list(headers),
        "client": ("10.0.0.1", 1),
    }
    front = Front(ListenConfig(trust_forwarded=True), venues, native, {}, native)
    asyncio.run(front(scope, receive, send))
    return sent


def test_venue_paths_are_answered_and_others_go_on() -> None:
    assert ask("/v1/x") == [{"type": "native", "path": "/v1/x"}]
    start, body = ask("/echo/it?a=1&b=%20")
    assert (start["status"], body["body"]) == (201, b"GET a=1,b= ")
    assert (b"x-a", b"b") in start["headers"]
    assert ask("/echo/it", "POST", b"c=3")[1]["body"] == b"POST c=3"
    assert ask("/echo/hot")[1]["body"] == b"hot 10.0.0.1"


def test_the_longest_prefix_decides_between_venues() -> None:
    class Other(Echo):
        async def answer(self, request: Request) -> Reply:  # noqa: ARG002
            return Reply(b"other", headers=[(b"content-type", b"text/plain")])

    venues = (Echo("echo"), Other("echo/v5", "a/b/c"))
    asked = ("/echo/v5/x", "/echo/v5", "/echo/v55", "/echo/x/v5", "/a/b/c/d")
    bodies = [ask(path, venues=venues)[1]["body"] for path in asked]
    assert bodies == [b"other", b"other", b"GET ", b"GET ", b"other"]
    for path in ("/a/b", "/", ""):
        assert ask(path, venues=venues) == [{"type": "native", "path": path}]
    headers = ask("/echo/v5", venues=venues)[0]["headers"]
    assert [value for name, value in headers if b"type" in name] == [b"text/plain"]


def test_the_address_is_the_one_forwarded_last_where_a_proxy_is_trusted() -> None:
    headers = ((b"x-forwarded-for", b"6.6.6.6, 1.2.3.4"),)
    assert ask("/echo/hot", headers=headers)[1]["body"] == b"hot 1.2.3.4"


def test_failures_are_answered_without_telling_what_broke() -> None:
    start, body = ask("/echo/broken")
    assert start["status"] == 500
    assert b"secret" not in body["body"]
    assert ask("/echo/busy")[0]["status"] == 503
    assert ask("/echo/it", "POST", b"x" * (SMALL_BODY + 1))[0]["status"] == 413


def test_what_a_venue_has_answered_is_told_with_its_status() -> None:
    told = []
    front = Front(ListenConfig(), (Echo(),), native, {}, native)
    front.answered = lambda scope, status: told.append((scope["path"], status))
    served, others = front.others, []

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        others.append(scope["path"])
        await served(scope, receive, send)

    front.others = wrapped

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: MutableMapping[str, Any]) -> None:
        pass

    for path in ("/echo/hot", "/echo/busy", "/v1/x"):
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
        asyncio.run(front(scope, receive, send))
    assert told == [("/echo/hot", 200), ("/echo/busy", 503)]
    assert others == ["/v1/x"]


def test_one_address_holds_only_so_many_sockets_and_gives_them_back() -> None:
    front = Front(ListenConfig(max_connections_per_ip=1), (Echo(),), native, {}, native)

    async def connect(texts: asyncio.Queue[MutableMapping[str, Any]]) -> Sent:
        sent: Sent = []

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "websocket",
            "path": "/echo/ws",
            "query_string": b"",
            "headers": [],
            "client": ("10.0.0.1", 1),
        }
        await front(scope, texts.get, send)
        return sent

    async def go() -> None:
        first: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        second: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        for queue in (first, second):
            queue.put_nowait({"type": "websocket.connect"})
        held = asyncio.create_task(connect(first))
        await asyncio.sleep(0)
        rejected = await connect(second)
        assert [each.get("code") for each in rejected] == [None, POLICY]
        first.put_nowait({"type": "websocket.receive", "text": "hello"})
        first.put_nowait({"type": "websocket.disconnect"})
        assert [each.get("text") for each in await held] == [None, "hello"]
        assert not front.held
        second.put_nowait({"type": "websocket.connect"})
        second.put_nowait({"type": "websocket.disconnect"})
        assert [each["type"] for each in await connect(second)] == ["websocket.accept"]

    asyncio.run(go())


def test_sockets_of_one_address_that_come_together_are_all_counted() -> None:
    front = Front(ListenConfig(max_connections_per_ip=2), (Echo(),), native, {}, native)
    scope = {"type": "websocket", "path": "/echo/ws", "query_string": b"", "headers": []}

    async def connect() -> Sent:
        sent: Sent = []
        texts = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect"}])

        async def receive() -> MutableMapping[str, Any]:
            await asyncio.sleep(0.01)
            return next(texts)

        async def send(message: MutableMapping[str, Any]) -> None:
            await asyncio.sleep(0.01)
            sent.append(message)

        await front({**scope, "client": ("10.0.0.1", 1)}, receive, send)
        await asyncio.sleep(0.05)  # what was offered goes out
        return sent

    async def go() -> list[Sent]:
        return await asyncio.gather(*(connect() for _ in range(3)))

    told = asyncio.run(go())
    assert [sent[-1].get("code") for sent in told] == [None, None, POLICY]
    assert not front.held
