"""All of the dashboard as one ASGI app, beside the server under /dashboard or apart from it.

NiceGUI keeps its pages and clients for a whole process: there is one dashboard a process.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import uvicorn
from fastapi import FastAPI
from nicegui import run, ui

from delever.dashboard.data.api_client import Source
from delever.dashboard.mount import Asgi, Receive, Scope, Send
from delever.dashboard.pages import account, contract, events, lab, overview, pools, replay

PATH = "/dashboard"
"""Where the pages are, beside the server as well as apart from it."""

Show = Callable[..., Awaitable[None]]

_PAGES: dict[str, Show] = {
    "/": overview.show,
    "/contracts/{contract:path}": contract.show,
    "/pools": pools.show_all,
    "/pools/{pool:path}": pools.show,
    "/events": events.show_all,
    "/events/{episode}": events.show,
    "/accounts": account.find,
    "/accounts/{account:path}": account.show,
    "/lab": lab.show,
    "/replay": replay.show,
}


class Dashboard:
    """The ASGI app; starts itself with the first request where nobody has called `start`."""

    def __init__(self, server: str | Asgi, key: str = "") -> None:
        self._source = Source(server, key)
        run.process_pool_start_method = "spawn"  # a fork would copy the engine's threads half
        self._app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        for path, show in _PAGES.items():
            ui.page(path)(_page(show, self._source))
        ui.run_with(
            self._app,
            mount_path=PATH,
            title="delever",
            dark=None,
            favicon=_FAVICON,
            tailwind=False,
            show_welcome_message=False,
            binding_refresh_interval=None,
        )
        self._running = AsyncExitStack()
        self._starting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start what pages need; on the event loop that serves them."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        await self._running.enter_async_context(self._source)
        await self._running.enter_async_context(self._app.router.lifespan_context(self._app))

    async def stop(self) -> None:
        """Close what was started."""
        await self._running.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the lifespan where the dashboard is served by itself."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        await self.start()
        await self._app(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})


def serve(server: str, key: str, host: str, port: int, say: Callable[[str], None]) -> bool:
    """Serve the dashboard of another process until told to stop; return whether it started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
        bound, port = listening.getsockname()[:2]
        shown = f"[{bound}]" if ":" in bound else bound
        config = uvicorn.Config(
            Dashboard(server, key),
            ws="websockets-sansio",
            timeout_graceful_shutdown=1,
            server_header=False,
            access_log=False,
            log_config=None,
            lifespan="on",
        )
        say(f"http://{shown}:{port}{PATH}")
        running = uvicorn.Server(config)
        running.run(sockets=[listening])
    return bool(running.started)


def _page(show: Show, source: Source) -> Show:
    """Return a page function with its source given; NiceGUI reads the rest of its signature."""
    return partial(show, source)


_FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<path d="M8 1l7 7-7 7-7-7z" fill="#4c8dff"/></svg>'
)
