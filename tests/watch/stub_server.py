"""A stub of a venue over real HTTP and WebSockets: answers and failures set by a test.

It has no rules; the answers of a served engine are tested against the served engine.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from delever.config import Config, ListenConfig
from delever.server.app import bind
from waiting import PATIENCE_S

Answer = tuple[int, dict[str, str], Any]

PUSH_INTERVAL_S = 0.1


@dataclass
class Stub:
    """Answers by path, received requests (`METHOD path`), and their JSON bodies.

    `pushes` are the frames of a socket by its path, sent repeatedly while it is open: JSON,
    raw text, or None, which cuts the connection.
    """

    url: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    bodies: list[Any] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    sent: list[dict[str, str]] = field(default_factory=list)
    pushes: dict[str, list[Any]] = field(default_factory=dict)
    received: list[str] = field(default_factory=list)

    def set_answer(self, path: str, body: Any, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = (status, named, body)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._serve_socket(scope["path"], receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _serve_socket(self, path: str, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self.requests.append(f"SOCKET {path}")
        pushing = asyncio.ensure_future(self._push(path, send))
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                self.received.append(message.get("text") or "")
        finally:
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)

    async def _push(self, path: str, send: Any) -> None:
        while True:
            await asyncio.sleep(PUSH_INTERVAL_S)
            for frame in self.pushes.get(path, ()):
                if frame is None:
                    await send({"type": "websocket.close", "code": 1011})
                    return
                text = frame if isinstance(frame, str) else json.dumps(frame)
                await send({"type": "websocket.send", "text": text})

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        body_sent = (await receive()).get("body", b"")
        if body_sent.startswith(b"{"):
            self.raw.append(body_sent)
            self.bodies.append(json.loads(body_sent))
            self.sent.append({name.decode(): value.decode() for name, value in scope["headers"]})
        self.requests.append(f"{scope['method']} {path}")
        kind = self.bodies[-1].get("type") if body_sent.startswith(b"{") else None
        named = f"{path} {kind}"  # one path, a request's type in its body
        path = named if named in self.answers else path
        status, headers, body = self.answers.get(path, (404, {}, {"code": -5000, "msg": path}))
        text = body if isinstance(body, str) else json.dumps(body)
        sent = {"content-type": "application/json", **self.headers, **headers}
        pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": text.encode()})


@contextmanager
def stubbed() -> Iterator[Stub]:
    """Serve a stub on a free port until the block ends."""
    stub = Stub()
    config = uvicorn.Config(
        stub,
        lifespan="off",
        access_log=False,
        log_config=None,
        ws="websockets-sansio",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    with bind(Config(listen=ListenConfig(port=0))) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            thread.join(0.01)
        stub.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            yield stub
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)
