"""A server assembled from its configuration and a clock: one ASGI app.

    service = Service(config, now_ms)      opens the journal
    uvicorn serves service.app             its lifespan starts and stops the service

`run` implements `delever serve`: bind, report the URL, serve until SIGTERM, stop in order.
"""

import asyncio
import contextlib
import gc
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec
import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST

from delever.config import Config, ConfigError
from delever.core.kernels import fastest
from delever.core.messages import AdlStarted, AdlStopped, Command, Event, SetTime
from delever.demo.served_crash import SECRET as DEMO_SECRET
from delever.demo.served_crash import DemoSize, ServedCrash
from delever.journal import JournalError
from delever.server.api.app import native_app
from delever.server.engine.replica import Replica
from delever.server.engine.runner import NOW, SERVER, Committed, DuplicateIdError, Runner
from delever.server.notifications.notifier import Notifier, senders_of
from delever.server.observability.logs import RequestLog
from delever.server.observability.metrics import Metrics
from delever.server.storage.database import migrate, open_database
from delever.server.storage.projector import HistoryProjector
from delever.server.transport.api_keys import ApiKey, Keyring
from delever.server.transport.api_limits import ApiRateLimit
from delever.server.transport.asgi import (
    Asgi,
    Receive,
    Reply,
    Scope,
    Send,
    send_reply,
    with_headers,
)
from delever.server.transport.browser_protection import BrowserProtection
from delever.server.transport.http_protocol import ConnectionLimits
from delever.server.transport.router import Router, VenueApi
from delever.server.venues.binance.rest import BinanceApi
from delever.server.venues.bybit.rest import BybitApi
from delever.server.venues.fill_log import FillLog
from delever.server.venues.okx.rest import OkxApi

if TYPE_CHECKING:
    from delever.server.api.requests.dependencies import ApiServices

DATABASE_TIMEOUT_S = 10.0
"""How long the start waits for the database before the server goes on without it."""

DATABASE_RETRY_S = 5.0
"""Pause between two attempts to open the database."""

PATH_PARTS = ("v1", "schema", "metrics", "dashboard")
"""First parts of paths that metrics label, besides those of the venues."""


log = structlog.get_logger()


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
        self.runner = _runner_of(config, now_ms)
        self.database = open_database(config)
        senders = senders_of(config.notices, now_ms)
        self.notifier = Notifier(config, self.runner, self.database, now_ms, senders)
        self.metrics = Metrics()
        self.metrics.watch(self.runner, self.notifier)
        self.fills = FillLog(self.runner)
        self.demo = self._served_crash(demo) if demo else None
        self.history = HistoryProjector(self.runner, self.database)
        self.metrics.watch_history(self.history)
        self.native = native_app(self.runner, self.keyring, config, self.history, self.notifier)
        self.on_started: Callable[[], None] = lambda: None
        self._lifespans = contextlib.AsyncExitStack()
        self.confirm_time = False
        self.read_config: Callable[[], Config] = lambda: config
        self.runner.listeners.append(self._log_adl)
        self._demo_task: asyncio.Task[None] | None = None
        self._database_task: asyncio.Task[None] | None = None
        native = cast("Asgi", self.native)
        self.dashboard = mount_dashboard(native) if mount_dashboard else None
        limited = ApiRateLimit(
            native,
            self.keyring,
            config.api.weight_per_minute,
            now_ms,
            trust_forwarded=config.listen.trust_forwarded,
        )
        self.metrics.watch_logins(self.keyring.failed_logins.counts)
        self.app = Router(config.listen, self._venues(), limited, self._mounts(), self._lifespan)
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

    def _log_adl(self, commits: Sequence[Committed]) -> None:
        """Log starts and stops of ADL."""
        for commit in commits:
            for event in commit.events:
                if isinstance(event, AdlStarted | AdlStopped):
                    log.info(
                        "ADL started" if isinstance(event, AdlStarted) else "ADL stopped",
                        sequence=commit.sequence,
                        contract=event.contract,
                        trigger=event.trigger,
                        reason=str(event.reason),
                    )

    def reload_keys(self) -> None:
        """Read the keys of the configuration again; where that fails, the keys remain."""
        try:
            self.keyring.reload(self.read_config().keys)
        except ConfigError as error:
            log.error("the keys cannot be read again", error=str(error))  # noqa: TRY400 - no bug
        else:
            log.info("the keys have been read again")

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
        for outcome in await self.runner.submit(timed, "demo"):
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
            mounts["dashboard"] = BrowserProtection(self.dashboard)
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
        with contextlib.suppress(RuntimeError, ValueError):  # signals reach the main thread alone
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload_keys)
        log.info(
            "started", version=version("delever"), sequence=self.runner.market_snapshot.sequence
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        log.info("stopped")
        await send({"type": "lifespan.shutdown.complete"})

    def end_streams(self) -> None:
        """End all open event streams."""
        cast("ApiServices", self.native.state.services).feed.close()

    async def start(self) -> None:
        """Start every part."""
        await self.runner.start()
        if self.confirm_time:
            note = "delever serve --confirm-time"
            await self.runner.submit([SetTime(time_ms=NOW, confirmed=True, note=note)], SERVER)
        started_at = self.runner.market_snapshot.sequence
        if not await self._open_database(started_at):
            self._database_task = asyncio.create_task(self._retry_database(started_at))
        await self._lifespans.enter_async_context(self.native.lifespan())
        if self.demo is not None:
            secret = DEMO_SECRET.encode()
            for key in await self.demo.open_market():
                self.keyring.add(ApiKey(key.id, key.roles, key.accounts, secret, secret))
            self._demo_task = asyncio.create_task(self.demo.run())

    async def _open_database(self, started_at: int) -> bool:
        """Migrate the database and follow the journal; return False where it cannot be used.

        Whatever is wrong with the database of reports, the engine runs: history and notices wait.
        """
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_S):
                await migrate(self.database)
                await self.history.start()
                await self.notifier.start(started_at)
        except Exception as error:  # noqa: BLE001 - drivers raise errors of their own
            log.warning("the database cannot be used; it is tried again", error=repr(error))
            return False
        return True

    async def _retry_database(self, started_at: int) -> None:
        """Try to open the database until it can be used."""
        is_open = False
        while not is_open:
            await asyncio.sleep(DATABASE_RETRY_S)
            is_open = await self._open_database(started_at)
        log.info("the database can be used")

    async def stop(self) -> None:
        """Stop every part, the engine last."""
        for task in (self._demo_task, self._database_task):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if self.dashboard is not None:
            await self.dashboard.stop()
        await self._lifespans.aclose()
        cast("ApiServices", self.native.state.services).explainer.stop()
        await self.notifier.stop()
        await self.history.stop()
        await self.runner.stop()
        await self.database.dispose()


def _runner_of(config: Config, now_ms: Callable[[], int]) -> Runner:
    """Return the engine: a replica where the configuration names a log, else the only one."""
    if not config.journal.log:
        return Runner(config, now_ms)
    try:
        from delever.replication.jetstream import JetStreamLog, parse_address  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(f"journal.log: {error.name} is missing: install delever[nats]") from None
    return Replica(config, now_ms, partial(JetStreamLog.open, parse_address(config.journal.log)))


def _served_app(service: Service) -> Asgi:
    """Return the app of a service; that of a replica adds its name and lag to every response."""
    runner = service.runner
    if not isinstance(runner, Replica):
        return service.app
    name = (b"delever-replica", runner.name.encode())
    return with_headers(service.app, lambda: [name, (b"delever-lag", b"%d" % runner.lag)])


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
    per_address = 0 if listen.trust_forwarded else listen.max_connections_per_ip
    return _Server(
        service,
        uvicorn.Config(
            _served_app(service),
            interface="asgi3",
            http=cast("Any", ConnectionLimits(per_address).protocol),
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
    """Serve until SIGTERM or until the engine fails; call `on_ready` with the URL once ready.

    Return whether the server was ready and the engine did not fail.
    """
    with bind(service.config) as listening:
        host, port = listening.getsockname()[:2]
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        service.on_started = partial(_started, on_ready, f"http://{authority}")
        server = http_server(service)
        service.runner.on_failed = partial(setattr, server, "should_exit", True)
        if service.demo is not None:
            service.demo.on_finished = partial(setattr, server, "should_exit", True)
        with contextlib.suppress(SystemExit):  # after a failed start, which is in the log
            server.run(sockets=[listening])
        gc.unfreeze()
    return bool(server.started) and service.runner.failed is None


def _started(on_ready: Callable[[str], None], url: str) -> None:
    """Report the URL; exclude all objects made so far from garbage collection."""
    gc.collect()
    gc.freeze()
    on_ready(url)
    # The first snapshot of a large book should not wait for kernels to be compiled.
    threading.Thread(target=fastest, name="kernels", daemon=True).start()
