"""All of a server put together, from its configuration and a clock to one ASGI app.

    service = Service(config, now_ms)      opens the journal
    uvicorn serves service.front           lifespan starts and stops everything

`run` is what `delever serve` does: bind, say where, serve until SIGTERM, close in order.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Mapping

import structlog
import uvicorn

from delever.config import Config
from delever.server.demo import Demo, Scale
from delever.server.front import Front, Venue
from delever.server.http import Asgi, Receive, Scope, Send
from delever.server.keys import Keyring
from delever.server.native.app import native_app
from delever.server.runner import Runner

log = structlog.get_logger()


def wall_clock_ms() -> int:
    """Return the time of day in milliseconds: the one clock of a served process."""
    return time.time_ns() // 1_000_000


class Service:
    """One server's parts, in the order in which they start; they stop in the reverse order."""

    def __init__(
        self, config: Config, now_ms: Callable[[], int] = wall_clock_ms, demo: Scale | None = None
    ) -> None:
        self.config = config
        self.keyring = Keyring(config.keys)
        self.runner = Runner(config, now_ms)
        self.demo = Demo(self.runner, self.keyring, demo) if demo else None
        self.native: Asgi = native_app(self.runner, self.keyring, config)  # type: ignore[assignment]
        self._playing: asyncio.Task[None] | None = None
        self.front = Front(config.listen, self._venues(), self._lifespan, self._mounts())

    def _venues(self) -> tuple[Venue, ...]:
        return ()

    def _mounts(self) -> Mapping[str, Asgi]:
        return {}

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start on startup, stop on shutdown; a failed start is told to the server."""
        if scope["type"] != "lifespan":
            await self.native(scope, receive, send)
            return
        await receive()
        try:
            await self.start()
        except Exception as error:  # noqa: BLE001 - the server prints it and leaves
            await send({"type": "lifespan.startup.failed", "message": repr(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def start(self) -> None:
        """Start every part."""
        await self.runner.start()
        if self.demo is not None:
            await self.demo.prepare()
            self._playing = asyncio.create_task(self.demo.play())

    async def stop(self) -> None:
        """Stop every part, the engine last."""
        if self._playing is not None:
            self._playing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._playing
        await self.runner.stop()


def bind(config: Config) -> socket.socket:
    """Return the listening socket; OSError where the address is taken."""
    family = socket.AF_INET6 if ":" in config.listen.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((config.listen.host, config.listen.port))
    except OSError:
        listening.close()
        raise
    return listening


def server_of(service: Service) -> uvicorn.Server:
    """Return the HTTP server of a service, set up as it should be.

    Messages are not compressed: a stream's text is the same for thousands, and compressing it for
    each would cost more than sending it.
    """
    listen = service.config.listen
    return uvicorn.Server(
        uvicorn.Config(
            service.front,
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_max_size=64 * 1024,
            limit_concurrency=listen.max_connections,
            timeout_graceful_shutdown=max(1, round(listen.shutdown_ms / 1000)),
            server_header=False,
            access_log=False,
            log_config=None,
            lifespan="on",
            proxy_headers=False,
        )
    )


def run(service: Service, say: Callable[[str], None]) -> bool:
    """Serve until told to stop; `say` is told where. Return whether it started at all."""
    with bind(service.config) as listening:
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        say(f"http://{shown}:{port}")
        server = server_of(service)
        server.run(sockets=[listening])
    return bool(server.started)
