"""The dashboard as one ASGI app, beside the server under /dashboard or in a process of its own.

NiceGUI registers pages and clients per process, so a process has at most one dashboard.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from nicegui import Client, app, run, ui
from nicegui.page import page

from delever.dashboard.apps.serving import bind, serve_request, url_of, uvicorn_server
from delever.dashboard.components.frame import PageFrame, favicon, html
from delever.dashboard.data.api_client import ApiClient
from delever.dashboard.mount import AsgiApp, Receive, Scope, Send
from delever.dashboard.pages import account, contract, events, fill, lab, overview, pools, replay

PATH = "/dashboard"
"""Path of the pages, both beside the server and apart from it."""

PageHandler = Callable[..., Awaitable[None]]

_PAGES: dict[str, PageHandler] = {
    "/": overview.show,
    "/contracts": overview.show_contracts,
    "/contracts/{contract:path}": contract.show,
    "/pools": pools.show_all,
    "/pools/{pool:path}": pools.show,
    "/events": events.show_all,
    "/events/{episode}": events.show,
    "/fills/{fill}": fill.show,
    "/accounts": account.find,
    "/accounts/{account:path}": account.show,
    "/lab": lab.show,
    "/replay": replay.show,
}


def _not_found(client: ApiClient, request: Request, _: Exception) -> Response:
    """Return the page of an address that does not exist, with the navigation."""
    with Client(page(""), request=request) as visitor:
        frame = PageFrame(client, "Not found", "")
        with frame.body:
            html('<p class="unknown">There is no page at this address.</p>')
    return visitor.build_response(request, HTTPStatus.NOT_FOUND)


class Dashboard:
    """The ASGI app; starts with its first request unless `start` was called before."""

    def __init__(self, server: str | AsgiApp, key: str = "") -> None:
        self._client = ApiClient(server, key)
        run.process_pool_start_method = "spawn"  # a fork would copy the engine's threads half
        self._app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        for path, handler in _PAGES.items():
            # NiceGUI reads the remaining parameters from the signature of the partial.
            ui.page(path)(partial(handler, self._client))
        ui.run_with(
            self._app,
            mount_path=PATH,
            title="delever",
            dark=None,
            favicon=favicon("#4c8dff"),
            language="en-US",
            tailwind=False,
            show_welcome_message=False,
            binding_refresh_interval=None,
        )
        app.add_exception_handler(HTTPStatus.NOT_FOUND, partial(_not_found, self._client))
        self._running = AsyncExitStack()
        self._starting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the API client and NiceGUI, on the event loop that serves the pages."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        await self._running.enter_async_context(self._client)
        await self._running.enter_async_context(self._app.router.lifespan_context(self._app))

    async def stop(self) -> None:
        """Stop what `start` has started."""
        await self._running.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the lifespan if the dashboard runs in a process of its own."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        await self.start()
        if scope["type"] == "http":
            await serve_request(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})


def serve(server: str, key: str, host: str, port: int, log: Callable[[str], None]) -> bool:
    """Serve the dashboard of another process until a signal arrives; return whether it started.

    The URL is written to `log`. Raises OSError if the address is not available.
    """
    with bind(host, port) as listener:
        running = uvicorn_server(Dashboard(server, key))
        log(f"{url_of(listener)}{PATH}")
        running.run(sockets=[listener])
    return bool(running.started)
