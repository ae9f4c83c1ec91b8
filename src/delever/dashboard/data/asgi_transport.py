"""Asks an ASGI app of this process as if over HTTP; an answer is passed on as it is written.

So a stream that never ends can be read from the server's own app, as from another machine.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx2

from delever.dashboard.mount import Asgi, Message, Scope


class Inside(httpx2.AsyncBaseTransport):
    """The transport to an app of this process."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Ask, and return the answer once it has begun; an error of the app is raised."""
        exchange = _Exchange(self._app, _scope(request), await request.aread())
        begun = await exchange.next()
        return httpx2.Response(begun["status"], headers=begun.get("headers", []), stream=exchange)


class _Exchange(httpx2.AsyncByteStream):
    """One request and its answer, which is taken piece by piece; closing it tells the app."""

    def __init__(self, app: Asgi, scope: Scope, body: bytes) -> None:
        self._body: bytes | None = body
        self._gone = asyncio.Event()
        self._said: asyncio.Queue[Message] = asyncio.Queue(1)
        self._asking = asyncio.create_task(self._ask(app, scope))

    async def _ask(self, app: Asgi, scope: Scope) -> None:
        await app(scope, self._receive, self._said.put)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def next(self) -> Message:
        """Return what the app says next; ReadError where it ends before it has said all."""
        said = asyncio.ensure_future(self._said.get())
        try:
            await asyncio.wait((said, self._asking), return_when=asyncio.FIRST_COMPLETED)
            if said.done():
                return said.result()
            if not self._said.empty():
                return self._said.get_nowait()
        finally:
            said.cancel()
        self._asking.result()
        raise httpx2.ReadError("the app has ended before its answer")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            said = await self.next()
            more = said.get("more_body", False)
            yield said.get("body", b"")
        await self.aclose()

    async def aclose(self) -> None:
        """Tell the app that nobody listens any more."""
        self._gone.set()
        self._asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(self._asking, return_exceptions=True)


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
