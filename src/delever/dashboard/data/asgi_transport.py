"""An httpx transport to an ASGI app in this process that streams responses as they are sent.

The dashboard inside `delever serve` reads the server's endless event stream this way, with the same
client that it uses over the network.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx2

from delever.dashboard.mount import AsgiApp, Message, Scope


class AsgiTransport(httpx2.AsyncBaseTransport):
    """Transport to an ASGI app of this process."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return its response once the app has sent the headers.

        An exception of the app is raised here. If the request is cancelled, the app ends first.
        """
        exchange = _Exchange(self._app, _scope(request), await request.aread())
        try:
            start = await exchange.next_message()
        except BaseException:
            await exchange.aclose()
            raise
        return httpx2.Response(start["status"], headers=start.get("headers", []), stream=exchange)


class _Exchange(httpx2.AsyncByteStream):
    """One request and its streamed response; closing it reports a disconnect to the app."""

    def __init__(self, app: AsgiApp, scope: Scope, body: bytes) -> None:
        self._body: bytes | None = body
        self._disconnected = asyncio.Event()
        self._messages: asyncio.Queue[Message] = asyncio.Queue(1)
        self._task = asyncio.create_task(self._run(app, scope))

    async def _run(self, app: AsgiApp, scope: Scope) -> None:
        await app(scope, self._receive, self._messages.put)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._disconnected.wait()
        return {"type": "http.disconnect"}

    async def next_message(self) -> Message:
        """Return the app's next message; raises ReadError if the app ends before its response."""
        message = asyncio.ensure_future(self._messages.get())
        try:
            await asyncio.wait((message, self._task), return_when=asyncio.FIRST_COMPLETED)
            if message.done():
                return message.result()
            if not self._messages.empty():
                return self._messages.get_nowait()
        finally:
            message.cancel()
        self._task.result()
        raise httpx2.ReadError("the app ended before its response was complete")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more_body = True
        while more_body:
            message = await self.next_message()
            more_body = message.get("more_body", False)
            yield message.get("body", b"")
        await self.aclose()

    async def aclose(self) -> None:
        """Report the disconnect to the app and wait until it has ended."""
        self._disconnected.set()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(self._task, return_exceptions=True)


def _scope(request: httpx2.Request) -> Scope:
    url = request.url
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.split(b"?")[0],
        "query_string": url.query,
        "server": (url.host, url.port),
        "client": ("127.0.0.1", 0),
        "root_path": "",
        "state": {},
    }
