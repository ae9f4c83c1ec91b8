"""What browsers refuse for the dashboard: foreign scripts, frames, guessed types, other sites."""

from urllib.parse import urlsplit

from delever.server.transport.asgi import Asgi, Message, Receive, Reply, Scope, Send, send_reply

CONTENT_SECURITY_POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    b"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    b"connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self'; frame-ancestors 'none'"
)
"""The pages' framework compiles its templates in the browser, which is what unsafe-eval allows."""

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", CONTENT_SECURITY_POLICY),
)
"""Headers of every page."""


class BrowserProtection:
    """An ASGI app of pages whose requests come from its own site, with protective headers."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; reject one that a page of another site opens."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if is_foreign(scope):
            await _reject(scope, receive, send)
            return

        async def protect(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = [header for header in HEADERS if header[0] not in present]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, protect)


def is_foreign(scope: Scope) -> bool:
    """Return whether the Origin of a request is another host than the one that it is sent to.

    Requests of a page to its own site, and of programs, have no Origin or that of the host.
    """
    headers = dict(scope["headers"])
    origin: bytes | None = headers.get(b"origin")
    if origin is None:
        return False
    host: bytes = headers.get(b"x-forwarded-host", headers.get(b"host", b""))
    return urlsplit(origin).netloc.lower() != host.lower()


async def _reject(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": "another origin"})
        return
    await send_reply(send, Reply(b'{"error":{"reason":"foreign_origin"}}', 403))
