"""Real receivers of notices: an SMTP server and a web server on free ports, and a notifier."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from manual_clock import ManualClock
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from delever.config import Config, parse
from delever.core.messages import Command
from delever.lab.runs.scenario import read_scenario
from delever.server.engine.runner import Runner
from delever.server.notifications.notifier import Notifier, senders_of
from delever.server.storage.database import migrate
from waiting import PATIENCE_S

EXAMPLE = Path(__file__).parents[2] / "examples" / "crash.ndjson"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRET_ENV = "DELEVER_TEST_WEBHOOK"


class MailServer:
    """An SMTP server that stores its mails; `refuse` is a reply to recipients, if any."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.connections = 0
        self.refuse = ""
        self.port = 0

    async def handle_EHLO(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, replies: list[str]
    ) -> list[str]:
        del server
        self.connections += 1
        session.host_name = hostname
        return replies

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: object
    ) -> str:
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        mail = message_from_bytes(envelope.content, EmailMessage, policy=policy.default)
        self.mails.append(mail)
        return "250 OK"

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if mail["To"] == address]


class FreePort(Controller):
    """A controller that reports which port it has got, where any free one will do."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_server(port: int = 0) -> Iterator[MailServer]:
    """Serve SMTP on a port (0: a free one) until the block ends."""
    sink = MailServer()
    controller = FreePort(sink, hostname="127.0.0.1", port=port)
    controller.start()
    sink.port = controller.port
    try:
        yield sink
    finally:
        controller.stop()


@dataclass
class WebhookServer:
    """A web server that stores requests; `answers` are the next statuses, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    on_post: Callable[[], object] = lambda: None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.posts.append((headers, body))
        await asyncio.to_thread(self.on_post)
        status = self.answers.pop(0) if self.answers else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"said the receiver"})

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.posts]


@contextmanager
def webhook_server(*answers: int) -> Iterator[WebhookServer]:
    """Serve the receiver on a free port until the block ends."""
    sink = WebhookServer(answers=list(answers))
    server = uvicorn.Server(
        uvicorn.Config(sink, host="127.0.0.1", port=0, log_config=None, lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    sink.url = f"http://127.0.0.1:{port}/hook/path-token-5d41402a"
    try:
        yield sink
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)


def free_port() -> int:
    """Return a free port."""
    import socket  # noqa: PLC0415

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def notices_config(
    folder: Path, recipients: list[dict[str, str]], *, mail_port: int = 0, **notices: Any
) -> Config:
    """Return a configuration with a journal in a folder and these recipients."""
    os.environ[SECRET_ENV] = SECRET
    complete = [
        {**each, "webhook_secret_env": SECRET_ENV} if "webhook" in each else each
        for each in recipients
    ]
    mail = {"host": "127.0.0.1", "port": mail_port, "start_tls": False, "sender": "adl@venue.test"}
    raw = {
        "journal": {"path": str(folder / "j.db")},
        "notices": {"recipients": complete, **({"mail": mail} if mail_port else {}), **notices},
    }
    return parse(raw)


@asynccontextmanager
async def database(folder: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'history.db'}")
    try:
        await migrate(engine)
        yield engine
    finally:
        await engine.dispose()


def crash_commands() -> list[Command]:
    """Return the documented crash: its last command but one deleverages cyd, bob and dan."""
    return list(read_scenario(EXAMPLE))


@dataclass
class RunningNotifier:
    """A runner with its notifier, which fills and delivers when the test calls it."""

    runner: Runner
    notifier: Notifier


@asynccontextmanager
async def running_notifier(
    settings: Config, clock: Callable[[], int], folder: Path, *, working: bool = False
) -> AsyncIterator[RunningNotifier]:
    """Open journal and outbox; `working` lets the notifier work by itself.

    The runner has a clock of its own, at which the documented crash_commands may happen.
    """
    runner = Runner(settings, ManualClock(1_000))
    await runner.start(auto_tick=False)
    async with database(folder) as engine:
        notifier = Notifier(settings, runner, engine, clock, senders_of(settings.notices, clock))
        try:
            await (notifier.start() if working else notifier.open())
            yield RunningNotifier(runner, notifier)
        finally:
            await notifier.stop()
            await runner.stop()


def webhook_data(body: bytes) -> dict[str, Any]:
    """Return the `data` of a webhook."""
    return dict(msgspec.json.decode(body)["data"])
