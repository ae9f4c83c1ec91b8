"""The dashboard beside the server, loaded when somebody first looks: it is heavy, and optional."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, cast

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

_MISSING = b"The dashboard is not installed: install delever[dashboard].\n"


class _Loaded(Protocol):
    """The dashboard itself."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def stop(self) -> None: ...


class Mounted:
    """The ASGI app for /dashboard. `server` is the API's URL, or its own ASGI app."""

    def __init__(self, server: str | Asgi, key: str = "") -> None:
        self._server, self._key = server, key
        self._loading: asyncio.Task[_Loaded | None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; the first one waits for the dashboard to be loaded."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
        loaded = await asyncio.shield(self._loading)
        if loaded is not None:
            await loaded(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1011})
        else:
            plain = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 501, "headers": plain})
            await send({"type": "http.response.body", "body": _MISSING})

    async def stop(self) -> None:
        """Close the dashboard, where it was ever loaded."""
        loaded = await self._loading if self._loading else None
        if loaded is not None:
            await loaded.stop()

    async def _load(self) -> _Loaded | None:
        """Return the dashboard, or None where what it needs is not installed."""
        try:
            module = await asyncio.to_thread(importlib.import_module, "delever.dashboard.app")
        except ModuleNotFoundError as error:
            if error.name and error.name.startswith("delever"):
                raise
            return None
        return cast("_Loaded", module.Dashboard(self._server, self._key))


def dashboard_app(server: str | Asgi, key: str = "") -> Mounted:
    """Return the dashboard of the server at a URL, or of the server that is this ASGI app.

    `key` is ID.SECRET of a key that may read what is not open to all; visitors may type their own
    into their tab.
    """
    return Mounted(server, key)
