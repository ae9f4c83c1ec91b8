"""The dashboard mounted beside the server, imported with its first request.

NiceGUI is an optional dependency and slow to import: a server whose dashboard nobody opens never
loads it.
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, cast

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_NOT_INSTALLED = b"The dashboard is not installed: install delever[dashboard].\n"


class _LoadedDashboard(Protocol):
    """The interface of `delever.dashboard.apps.dashboard.Dashboard` that is used here."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def stop(self) -> None: ...


class LazyDashboard:
    """The ASGI app for /dashboard.

    `server` is the base URL of the API, or the server's own ASGI app.
    """

    def __init__(self, server: str | AsgiApp, key: str = "") -> None:
        self._server, self._key = server, key
        self._loading: asyncio.Task[_LoadedDashboard | None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; the first one waits until the dashboard is imported."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
        loaded = await asyncio.shield(self._loading)
        if loaded is not None:
            await loaded(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1011})
        else:
            plain_text = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 501, "headers": plain_text})
            await send({"type": "http.response.body", "body": _NOT_INSTALLED})

    async def stop(self) -> None:
        """Stop the dashboard if it was ever loaded."""
        loaded = await self._loading if self._loading else None
        if loaded is not None:
            await loaded.stop()

    async def _load(self) -> _LoadedDashboard | None:
        """Return the dashboard, or None if its dependencies are not installed."""
        try:
            module = await asyncio.to_thread(
                importlib.import_module, "delever.dashboard.apps.dashboard"
            )
        except ModuleNotFoundError as error:
            if error.name and error.name.startswith("delever"):
                raise
            return None
        return cast("_LoadedDashboard", module.Dashboard(self._server, self._key))


def dashboard_app(server: str | AsgiApp, key: str = "") -> LazyDashboard:
    """Return the dashboard of a server, given by its URL or as its ASGI app.

    `key` is the `ID.SECRET` of a key that may read what anonymous visitors may not; visitors can
    also enter a key of their own.
    """
    return LazyDashboard(server, key)
