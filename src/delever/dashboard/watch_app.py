"""The page of `delever watch`, served beside its loop: one trader's own numbers, for one machine.

It asks nobody: what it shows is what the watch has read. It holds no key, and none is shown.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import partial

import uvicorn
from fastapi import FastAPI
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from nicegui import run, ui

from delever.dashboard.pages import watch
from delever.watch.watch_loop import Watch

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def app_of(watching: Watch, history: str, host: str) -> FastAPI:
    """Return the page as an ASGI app; `history` is the watch's SQLite file.

    On loopback only a browser of this machine that asks for this machine is answered: a name that
    somebody else lets point here is rejected.
    """
    run.process_pool_start_method = "spawn"  # a fork would copy the watch's threads half
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    if host in LOOPBACK:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])
    ui.page("/")(partial(watch.show, watch.Watched(watching, history)))
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


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; OSError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening


async def serve(
    app: FastAPI, listening: socket.socket, running: asyncio.Task[None], say: Callable[[str], None]
) -> None:
    """Serve until told to stop by a signal, or until the watch has ended; `say` is told where."""
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        timeout_graceful_shutdown=1,
        server_header=False,
        access_log=False,
        log_config=None,
        lifespan="on",
    )
    server = uvicorn.Server(config)

    def leave(_: object) -> None:
        server.should_exit = True

    running.add_done_callback(leave)
    host, port = listening.getsockname()[:2]
    say(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
    await server.serve(sockets=[listening])
