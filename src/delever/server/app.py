"""A server assembled from its configuration and a clock: one ASGI app.

    service = Service(config, now_ms)      opens the journal
    uvicorn serves service.app             its lifespan starts and stops the service

`run` implements `delever serve`: bind, report the URL, serve until SIGTERM, stop in order.
"""

import asyncio
import contextlib
import gc
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

import msgspec
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST

from delever.config import Config
from delever.core.kernels import fastest
from delever.core.messages import Command, Event
from delever.demo.served_crash import SECRET as DEMO_SECRET
from delever.demo.served_crash import DemoSize, ServedCrash
from delever.journal import JournalError
from delever.server.api.app import native_app
from delever.server.engine.runner import NOW, DuplicateIdError, Runner
from delever.server.notifications.notifier import Notifier
from delever.server.observability.logs import RequestLog
from delever.server.observability.metrics import Metrics
from delever.server.storage.database import migrate, open_database
from delever.server.storage.projector import HistoryProjector
from delever.server.transport.api_keys import ApiKey, Keyring
from delever.server.transport.asgi import Asgi, Receive, Reply, Scope, Send, send_reply
from delever.server.transport.router import Router, VenueApi
from delever.server.venues.binance.rest import BinanceApi
from delever.server.venues.bybit.rest import BybitApi
from delever.server.venues.fill_log import FillLog
from delever.server.venues.okx.rest import OkxApi

if TYPE_CHECKING:
    from delever.server.api.requests.dependencies import ApiServices

PATH_PARTS = ("v1", "schema", "metrics", "dashboard")
"""First parts of paths that metrics label, besides those of the venues."""


def wall_clock_ms() -> int:
    """Return the time of day in milliseconds: the only clock of a server process."""
    return time.time_ns() // 1_000_000


class MountedDashboard(Protocol):
    """The ASGI app at /dashboard."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""

    async def stop(self) -> None:
        """Close the dashboard."""


class Service:
    """The parts of one server, in the order in which they start; they stop in reverse order.

    `mount_dashboard` returns the dashboard of the native API. It is an argument because the
    dashboard is above the server in the order of imports.
    """

    def __init__(
        self,
        config: Config,
        now_ms: Callable[[], int] = wall_clock_ms,
        demo: DemoSize | None = None,
        mount_dashboard: Callable[[Asgi], MountedDashboard] | None = None,
    ) -> None:
        self.config = config
        self.keyring = Keyring(config.keys)
        self.runner = Runner(config, now_ms)
        self.database = open_database(config)
        self.notifier = Notifier(config, self.runner, self.database, now_ms)
        self.metrics = Metrics()
        self.metrics.watch(self.runner, self.notifier)
        self.fills = FillLog(self.runner)
        self.demo = self._served_crash(demo) if demo else None
        self.history = HistoryProjector(self.runner, self.database)
        self.native = native_app(self.runner, self.keyring, config, self.history, self.notifier)
        self.on_started: Callable[[], None] = lambda: None
        self._lifespans = contextlib.AsyncExitStack()
        self._demo_task: asyncio.Task[None] | None = None
        native = cast("Asgi", self.native)
        self.dashboard = mount_dashboard(native) if mount_dashboard else None
        self.app = Router(config.listen, self._venues(), native, self._mounts(), self._lifespan)
        self._observe()

    def _observe(self) -> None:
        """Count and log all requests and sockets."""
        parts = (*PATH_PARTS, *self.app.parts)
        counted = self.metrics.counted(self.app.other_app, parts)
        log = RequestLog(counted, trust_forwarded=self.config.listen.trust_forwarded)
        count = self.metrics.request_counter(parts)

        def on_reply(scope: Scope, status: int) -> None:
            count(scope, status)
            log.log(scope, status)

        self.app.other_app, self.app.on_reply = log, on_reply

    def _served_crash(self, size: DemoSize) -> ServedCrash:
        """Return the demo of a size; raises JournalError for a journal with records."""
        demo = ServedCrash(size, self._submit_demo, self.runner.read)
        if self.runner.market_snapshot.sequence:
            where = self.runner.journal_path
            raise JournalError(f"{where}: the demo needs a journal of its own")
        return demo

    async def _submit_demo(self, commands: Sequence[Command]) -> list[Sequence[Event]]:
        """Submit commands of the demo with the time of the server."""
        timed = [msgspec.structs.replace(command, time_ms=NOW) for command in commands]
        events: list[Sequence[Event]] = []
        for outcome in await self.runner.submit(timed):
            if isinstance(outcome, DuplicateIdError):
                raise outcome
            events.append(outcome.committed.events)
        return events

    def _venues(self) -> tuple[VenueApi, ...]:
        return (
            BinanceApi(self.config, self.runner, self.keyring, self.fills),
            BybitApi(self.runner, self.keyring, self.fills),
            OkxApi(self.runner, self.keyring, self.fills),
        )

    def _mounts(self) -> Mapping[str, Asgi]:
        mounts: dict[str, Asgi] = {"metrics": self._metrics}
        if self.dashboard is not None:
            mounts["dashboard"] = self.dashboard
        return mounts

    async def _metrics(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        kind = (b"content-type", CONTENT_TYPE_LATEST.encode())
        await send_reply(send, Reply(self.metrics.render(), headers=[kind]))

    async def _lifespan(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Start on startup, stop on shutdown; report a failed start to uvicorn."""
        await receive()
        try:
            await self.start()
        except Exception as error:  # noqa: BLE001 - the server prints it and leaves
            await send({"type": "lifespan.startup.failed", "message": repr(error)})
            await self.stop()
            return
        self.on_started()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def end_streams(self) -> None:
        """End all open event streams."""
        cast("ApiServices", self.native.state.services).feed.close()

    async def start(self) -> None:
        """Start every part."""
        await self.runner.start()
        await migrate(self.database)
        await self.history.start()
        await self.notifier.start()
        await self._lifespans.enter_async_context(self.native.lifespan())
        if self.demo is not None:
            secret = DEMO_SECRET.encode()
            for key in await self.demo.open_market():
                self.keyring.add(ApiKey(key.id, key.roles, key.accounts, secret, secret))
            self._demo_task = asyncio.create_task(self.demo.run())

    async def stop(self) -> None:
        """Stop every part, the engine last."""
        if self._demo_task is not None:
            self._demo_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._demo_task
        if self.dashboard is not None:
            await self.dashboard.stop()
        await self._lifespans.aclose()
        await self.notifier.stop()
        await self.history.stop()
        await self.runner.stop()
        await self.database.dispose()


def bind(config: Config) -> socket.socket:
    """Return the listening socket; raise OSError where the address is in use."""
    family = socket.AF_INET6 if ":" in config.listen.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((config.listen.host, config.listen.port))
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    return listening


class _Server(uvicorn.Server):
    """Ends the event streams at shutdown first, as they would never end by themselves."""

    def __init__(self, service: Service, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.end_streams()
        await super().shutdown(sockets)


def http_server(service: Service) -> uvicorn.Server:
    """Return the configured HTTP server of a service.

    WebSocket messages are not compressed: thousands receive the same text, and compressing it for
    each of them would cost more than sending it.
    """
    listen = service.config.listen
    return _Server(
        service,
        uvicorn.Config(
            service.app,
            interface="asgi3",
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_max_size=64 * 1024,
            backlog=2048,
            limit_concurrency=listen.max_connections,
            timeout_graceful_shutdown=max(1, round(listen.shutdown_ms / 1000)),
            server_header=False,
            access_log=False,
            log_config=None,
            lifespan="on",
            proxy_headers=False,
        ),
    )


def run(service: Service, on_ready: Callable[[str], None]) -> bool:
    """Serve until SIGTERM; call `on_ready` with the URL once ready. Return whether it was ready."""
    with bind(service.config) as listening:
        host, port = listening.getsockname()[:2]
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        service.on_started = partial(_started, on_ready, f"http://{authority}")
        # The first snapshot of a large book should not wait for kernels to be compiled.
        threading.Thread(target=fastest, name="kernels", daemon=True).start()
        server = http_server(service)
        if service.demo is not None:
            service.demo.on_finished = partial(setattr, server, "should_exit", True)
        with contextlib.suppress(SystemExit):  # after a failed start, which is in the log
            server.run(sockets=[listening])
        gc.unfreeze()
    return bool(server.started)


def _started(on_ready: Callable[[str], None], url: str) -> None:
    """Report the URL; exclude all objects made so far from garbage collection."""
    gc.collect()
    gc.freeze()
    on_ready(url)
