"""The page of `delever watch`, served beside its polling loop.

It displays what the watch has read and sends no request of its own. It has no API key.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import partial

from fastapi import FastAPI
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from nicegui import run, ui

from delever.dashboard.apps import watch_page
from delever.dashboard.apps.serving import disable_server_search, url_of, uvicorn_server
from delever.watch.watch_loop import Watch

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def watch_app(watched: Watch, history: str, host: str) -> FastAPI:
    """Return the page as an ASGI app; `history` is the path of the watch's SQLite file.

    On a loopback address the app answers only requests whose Host header names this machine, so
    that no foreign DNS name that resolves to it can read the page.
    """
    run.process_pool_start_method = "spawn"  # a fork would copy the watch's threads half
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    if host in LOOPBACK:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])
    ui.page("/")(partial(watch_page.show, watch_page.WatchSource(watched, history)))
    disable_server_search()
    ui.run_with(
        app,
        title="delever watch",
        dark=None,
        favicon="◆",
        tailwind=False,
        show_welcome_message=False,
        binding_refresh_interval=None,
    )
    return app


async def serve(
    app: FastAPI, listener: socket.socket, loop: asyncio.Task[None], log: Callable[[str], None]
) -> None:
    """Serve until a signal arrives or the watch's `loop` ends; write the URL to `log`."""
    server = uvicorn_server(app)

    def stop(_: object) -> None:
        server.should_exit = True

    loop.add_done_callback(stop)
    log(f"{url_of(listener)}/")
    await server.serve(sockets=[listener])
