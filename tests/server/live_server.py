"""A real server for tests: uvicorn on a free port, in a thread of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from delever.config import Config
from delever.dashboard.mount import dashboard_app
from delever.demo.served_crash import DemoSize
from delever.server.app import Service, bind, http_server, wall_clock_ms
from waiting import PATIENCE_S

ANONYMOUS_CONFIG = msgspec.convert(
    {"journal": {"path": ":memory:"}, "api": {"anonymous_read": True, "anonymous_accounts": True}},
    Config,
)


@dataclass
class LiveServer:
    """The URL of a server, and its service."""

    url: str
    service: Service

    @property
    def ws(self) -> str:
        return self.url.replace("http", "ws", 1)


@contextmanager
def live_server(
    config: Config = ANONYMOUS_CONFIG,
    demo: DemoSize | None = None,
    now_ms: Callable[[], int] = wall_clock_ms,
) -> Iterator[LiveServer]:
    """Serve until the block ends; the server is ready when the block begins."""
    listen = msgspec.structs.replace(config.listen, port=0, shutdown_ms=1_000)
    config = msgspec.structs.replace(config, listen=listen)
    service = Service(config, now_ms, demo, dashboard_app)
    server = http_server(service)
    with bind(config) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                thread.join(0.01)
                if not thread.is_alive():
                    raise RuntimeError("the server did not start")
            yield LiveServer(f"http://127.0.0.1:{listening.getsockname()[1]}", service)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)
