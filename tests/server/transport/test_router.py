"""The router: which venue serves a path, responses to errors, sockets per address."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from delever.config import ListenConfig
from delever.server.engine.runner import BusyError
from delever.server.transport.asgi import Receive, Reply, Request, Scope, Send
from delever.server.transport.router import MAX_VENUE_BODY, Router
from delever.server.transport.websockets import POLICY, Socket
from waiting import until

Sent = list[MutableMapping[str, Any]]


class Echo:
    """A venue that returns the request."""

    parts = ("echo",)

    def __init__(self, *parts: str) -> None:
        self.parts = parts or self.parts

    def cached_reply(self, path: str, query: bytes, address: str) -> Reply | None:
        return Reply(b"hot " + query + address.encode()) if path == "/echo/hot" else None

    async def answer(self, request: Request) -> Reply:
        match request.path:
            case "/echo/broken":
                raise KeyError("secret")
            case "/echo/busy":
                raise BusyError
        params = ",".join(f"{name}={value}" for name, value in request.params.items())
        return Reply(f"{request.method} {params}".encode(), 201, [(b"x-a", b"b")])

    async def serve_socket(self, socket: Socket) -> None:
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
    """Return what the router sends for one request."""
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
    router = Router(ListenConfig(trust_forwarded=True), venues, native, {}, native)
    asyncio.run(router(scope, receive, send))
    return sent


def test_venue_paths_go_to_venues_and_others_to_the_native_api() -> None:
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


def test_behind_a_trusted_proxy_the_address_is_the_last_forwarded_one() -> None:
    headers = ((b"x-forwarded-for", b"6.6.6.6, 1.2.3.4"),)
    assert ask("/echo/hot", headers=headers)[1]["body"] == b"hot 1.2.3.4"


def test_errors_have_a_status_and_no_details() -> None:
    start, body = ask("/echo/broken")
    assert start["status"] == 500
    assert b"secret" not in body["body"]
    assert ask("/echo/busy")[0]["status"] == 503
    assert ask("/echo/it", "POST", b"x" * (MAX_VENUE_BODY + 1))[0]["status"] == 413


def test_on_reply_is_called_with_the_status_of_venue_replies_only() -> None:
    replies = []
    router = Router(ListenConfig(), (Echo(),), native, {}, native)
    router.on_reply = lambda scope, status: replies.append((scope["path"], status))
    live_server, others = router.other_app, []

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        others.append(scope["path"])
        await live_server(scope, receive, send)

    router.other_app = wrapped

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: MutableMapping[str, Any]) -> None:
        pass

    for path in ("/echo/hot", "/echo/busy", "/v1/x"):
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
        asyncio.run(router(scope, receive, send))
    assert replies == [("/echo/hot", 200), ("/echo/busy", 503)]
    assert others == ["/v1/x"]


def test_sockets_per_address_are_limited_and_released() -> None:
    router = Router(ListenConfig(max_connections_per_ip=1), (Echo(),), native, {}, native)

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
        await router(scope, texts.get, send)
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
        assert not router.open_sockets
        second.put_nowait({"type": "websocket.connect"})
        second.put_nowait({"type": "websocket.disconnect"})
        assert [each["type"] for each in await connect(second)] == ["websocket.accept"]

    asyncio.run(go())


def test_concurrent_sockets_of_one_address_are_all_counted() -> None:
    router = Router(ListenConfig(max_connections_per_ip=2), (Echo(),), native, {}, native)
    scope = {"type": "websocket", "path": "/echo/ws", "query_string": b"", "headers": []}

    async def connect(sent: Sent, over: asyncio.Event) -> None:
        texts = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect"}])

        async def receive() -> MutableMapping[str, Any]:
            message = next(texts)
            if message["type"] == "websocket.disconnect":
                await over.wait()
            return message

        async def send(message: MutableMapping[str, Any]) -> None:
            await asyncio.sleep(0.001)  # so that the others get on
            sent.append(message)

        await router({**scope, "client": ("10.0.0.1", 1)}, receive, send)

    async def go() -> list[Sent]:
        sent_to: list[Sent] = [[], [], []]
        over = asyncio.Event()
        sockets = [asyncio.create_task(connect(sent, over)) for sent in sent_to]
        await until(lambda: [len(sent) for sent in sent_to] == [1, 1, 2], "all answered")
        over.set()
        await asyncio.gather(*sockets)
        return sent_to

    messages = asyncio.run(go())
    assert [sent[-1].get("code") for sent in messages] == [None, None, POLICY]
    assert not router.open_sockets
