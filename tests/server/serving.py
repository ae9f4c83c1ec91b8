"""A really served server in the tests: uvicorn on a free port, in a thread of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from delever.config import Config
from delever.server.app import Service, bind, server_of, wall_clock_ms
from delever.server.demo import Scale

MEMORY = msgspec.convert(
    {"journal": {"path": ":memory:"}, "api": {"anonymous_read": True, "anonymous_accounts": True}},
    Config,
)
SMALL = Scale(seed=10, accounts=300, contracts=4)


@dataclass
class Served:
    """Where a server answers, and the server itself."""

    url: str
    service: Service

    @property
    def ws(self) -> str:
        return self.url.replace("http", "ws", 1)


@contextmanager
def served(
    config: Config = MEMORY, demo: Scale | None = None, now_ms: Callable[[], int] = wall_clock_ms
) -> Iterator[Served]:
    """Serve until the block ends; everything is up when it begins."""
    listen = msgspec.structs.replace(config.listen, port=0, shutdown_ms=1_000)
    config = msgspec.structs.replace(config, listen=listen)
    service = Service(config, now_ms, demo)
    server = server_of(service)
    with bind(config) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                thread.join(0.01)
                if not thread.is_alive():
                    raise RuntimeError("the server did not start")
            yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", service)
        finally:
            server.should_exit = True
            thread.join(20)
