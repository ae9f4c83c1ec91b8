"""A venue that says what a test tells it to, over real HTTP: documented answers and faults.

It knows no rules. What a served engine answers is tested against the served engine.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from delever.config import Config, Listen
from delever.server.app import bind

Answer = tuple[int, dict[str, str], Any]


@dataclass
class Stub:
    """What is answered by path, what has been asked (`METHOD path`), and the JSON sent to it."""

    url: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    bodies: list[Any] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    sent: list[dict[str, str]] = field(default_factory=list)

    def say(self, path: str, body: Any, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = (status, named, body)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        body_sent = (await receive()).get("body", b"")
        if body_sent.startswith(b"{"):
            self.raw.append(body_sent)
            self.bodies.append(json.loads(body_sent))
            self.sent.append({name.decode(): value.decode() for name, value in scope["headers"]})
        self.asked.append(f"{scope['method']} {path}")
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
    config = uvicorn.Config(stub, lifespan="off", access_log=False, log_config=None)
    server = uvicorn.Server(config)
    with bind(Config(listen=Listen(port=0))) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            thread.join(0.01)
        stub.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            yield stub
        finally:
            server.should_exit = True
            thread.join(10)
