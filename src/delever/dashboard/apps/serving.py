"""A listening socket, its URL, the uvicorn server of an ASGI app, NiceGUI, and requests cut off."""

import importlib
import socket
from types import SimpleNamespace
from typing import Any

import uvicorn

from delever.dashboard.mount import AsgiApp, Message, Receive, Scope, Send

CLIENT_CLOSED_REQUEST = 499
"""Status, as proxies log it, of a request whose client has left before the response."""


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises OSError if the address is not available.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the base URL of a listening socket, without a slash at its end."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def uvicorn_server(app: Any) -> uvicorn.Server:
    """Return the server of an ASGI app; it writes no log of its own."""
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        timeout_graceful_shutdown=1,
        server_header=False,
        access_log=False,
        log_config=None,
        lifespan="on",
    )
    return uvicorn.Server(config)


def disable_server_search() -> None:
    """Prevent NiceGUI from searching all objects of the process for uvicorn's server at its start.

    `gc.get_objects()` also returns the tuples that other threads are building. CPython cannot
    finish those (SystemError), so that a command of the engine would be rejected. NiceGUI needs the
    server for `app.shutdown()` only, which is not called here.
    """
    module = importlib.import_module("nicegui.ui_run_with")
    vars(module)["gc"] = SimpleNamespace(get_objects=list)


async def serve_request(app: AsgiApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a request; one whose client has left before the response has the status 499.

    Starlette's middleware raises RuntimeError and sends the status 500 then, as if it were a fault
    of the server.
    """
    left = False

    async def watch_receive() -> Message:
        nonlocal left
        message = await receive()
        left = left or message["type"] == "http.disconnect"
        return message

    async def send_unless_left(message: Message) -> None:
        if left and message["type"] == "http.response.start":
            message = {**message, "status": CLIENT_CLOSED_REQUEST}
        await send(message)

    try:
        await app(scope, watch_receive, send_unless_left)
    except RuntimeError:
        if not left:
            raise
