"""A listening socket, its URL, and the uvicorn server of an ASGI app."""

import socket
from typing import Any

import uvicorn


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
