"""One life of a server process: the real runner, history, notifier and API on simulated edges."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from simulated_loop import SimulatedLoop
from simulated_venue import RECEIVER, NoticeReceiver
from sqlalchemy.pool import QueuePool

from delever.config import Config, Role
from delever.core.messages import Command
from delever.server.api.app import native_app
from delever.server.engine.runner import NOW, Committed, Outcome, Runner
from delever.server.notifications.notifier import Notifier
from delever.server.notifications.outbox import NoticeChannel, backlog_of
from delever.server.storage.database import _configure
from delever.server.storage.projector import HistoryProjector
from delever.server.transport.api_keys import ApiKey, Keyring

SECRET = "simulated-secret"


def config_of(path: Path) -> Config:
    """Return the configuration: few records between snapshots, and everybody has notices."""
    recipients = [{"account": name, "mail": RECEIVER} for name in ("", "*")]
    return msgspec.convert(
        {
            "journal": {"path": str(path), "snapshot_every": 40},
            "publication": {"ratings_interval_ms": 600_000, "indicators_interval_ms": 120_000},
            "notices": {
                "mail": {"host": "mail.test", "sender": "adl@venue.test"},
                "recipients": recipients,
                "retry_max_ms": 4_000,
            },
        },
        Config,
    )


class InlineConnection:
    """A connection whose statements run on this thread, each in a turn of the loop."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    async def run_sync(self, work: Callable[..., Any], *arguments: Any) -> Any:
        await asyncio.sleep(0)
        return work(self._connection, *arguments)

    async def execute(self, *arguments: Any) -> Any:
        return await self.run_sync(lambda connection: connection.execute(*arguments))

    async def scalar(self, *arguments: Any) -> Any:
        return await self.run_sync(lambda connection: connection.scalar(*arguments))


class InlineDatabase:
    """SQLAlchemy's engine on `sqlite3`, with the methods of an AsyncEngine and no thread."""

    def __init__(self, path: str) -> None:
        self.engine = sa.create_engine(f"sqlite:///{path}", poolclass=QueuePool)
        sa.event.listen(self.engine, "connect", _configure)
        self._one_at_a_time = asyncio.Lock()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[InlineConnection]:
        async with self._one_at_a_time:
            with self.engine.begin() as connection:
                yield InlineConnection(connection)
                await asyncio.sleep(0)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[InlineConnection]:
        async with self._one_at_a_time:
            with self.engine.connect() as connection:
                yield InlineConnection(connection)


class ServerProcess:
    """A server from its start to its end. Opening raises JournalError as the real one does.

    `listened` are the commits that its listeners were called with.
    """

    def __init__(
        self,
        config: Config,
        now_ms: Callable[[], int],
        receiver: NoticeReceiver,
        loop: SimulatedLoop,
    ) -> None:
        self.config = config
        self.loop = loop
        self.listened: list[Committed] = []
        self.runner = Runner(config, now_ms)
        self.database = InlineDatabase(f"{config.journal.path}.history")
        self.notifier = Notifier(
            config, self.runner, self.database, now_ms, {NoticeChannel.MAIL: receiver}
        )
        self.history = HistoryProjector(self.runner, self.database)
        self.runner.replay_to(self.listened.extend)
        self._api: Any = None
        self.starting = self.run(self._start())

    def run(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Begin to run a coroutine on the process's loop."""
        return self.loop.create_task(work)

    async def _start(self) -> None:
        await self.runner.start()
        await self.history.start()
        await self.notifier.start(self.runner.market_snapshot.sequence)

    @property
    def start_failed(self) -> bool:
        return self.starting.done() and self.starting.exception() is not None

    @property
    def waiting(self) -> dict[str, int]:
        """How many records each part has to process, and how many notices wait."""
        head = self.runner._writer.recorder.head.sequence
        return {
            "history": head - self.history.sequence,
            "outbox": len(self.notifier._queue),
            "notices": self._undelivered(),
        }

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do; records without notices need no place in the outbox."""
        is_filled = not self.notifier._queue and self.notifier._filled >= self.notifier._unread
        return self.starting.done() and is_filled and not any(self.waiting.values())

    def _undelivered(self) -> int:
        with self.database.engine.connect() as connection:
            return backlog_of(connection, 0).waiting

    async def stop(self) -> None:
        """Stop every part, in the order of the real server."""
        await self.notifier.stop()
        await self.history.stop()
        await self.runner.stop()
        self.database.engine.dispose()

    def abandon(self) -> None:
        """End the process without any cleaning up."""
        self.loop.abandon()
        self.runner._writer._lock.close()
        self.runner._writer.recorder.journal.close()
        self.database.engine.dispose()

    # --- clients ---

    async def submit(self, commands: Sequence[Command]) -> dict[str, Outcome | None]:
        """Submit commands as the routes do; return the outcome of each id, None for a duplicate."""
        outcomes = await self.runner.submit(commands, "venue")
        names = [command.id for command in commands]
        return {
            name: outcome if isinstance(outcome, Outcome) else None
            for name, outcome in zip(names, outcomes, strict=True)
        }

    async def post(self, commands: Sequence[Command]) -> tuple[int, dict[str, Any]]:
        """Submit commands over the API, one or as lines; return status and body."""
        if self._api is None:
            keyring = Keyring(())
            roles = frozenset([Role.INGEST, Role.OPERATE])
            keyring.add(ApiKey("venue", roles, (), SECRET.encode()))
            self._api = native_app(self.runner, keyring, self.config, self.history, self.notifier)
        lines = [_untimed(command) for command in commands]
        path = "/v1/commands" if len(lines) == 1 else "/v1/commands/bulk"
        return await _request(self._api, path, b"\n".join(lines))


def _untimed(command: Command) -> bytes:
    fields = msgspec.to_builtins(command)
    if command.time_ms == NOW:
        del fields["time_ms"]
    return msgspec.json.encode(fields)


async def _request(app: Any, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Send one request to an ASGI app; return status and decoded body."""
    kind = b"application/json" if path.endswith("commands") else b"application/x-ndjson"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"venue.test"),
            (b"authorization", f"Bearer venue.{SECRET}".encode()),
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
        ],
        "client": ("127.0.0.1", 5),
        "server": ("venue.test", 80),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], msgspec.json.decode(content)
