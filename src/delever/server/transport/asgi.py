"""Requests and replies of the venue APIs, on bare ASGI: the query stays as received.

Venues sign the query exactly as it was sent, have error shapes of their own, and receive thousands
of requests a second; a framework's routing and parsing would hinder all three.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

Headers = list[tuple[bytes, bytes]]

JSON: tuple[bytes, bytes] = (b"content-type", b"application/json")


class TooLargeError(Exception):
    """The body of a request exceeds the limit."""


class Request:
    """One HTTP request: `query` as received, without the question mark; the client's `address`."""

    def __init__(self, scope: Scope, address: str, body: bytes = b"") -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.address = address
        self.body = body
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The headers by lower-case name."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self._headers}

    @cached_property
    def params(self) -> Mapping[str, str]:
        """The parameters of query and form body; of a repeated name the last value."""
        return dict(parse_qsl(self.query.decode("latin-1"), keep_blank_values=True)) | dict(
            parse_qsl(self.body.decode("latin-1"), keep_blank_values=True)
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response; its body is JSON unless the headers say otherwise."""

    body: bytes
    status: int = 200
    headers: Headers = field(default_factory=list)


async def send_reply(send: Send, reply: Reply) -> None:
    """Send a reply."""
    headers = [(b"content-length", b"%d" % len(reply.body)), *reply.headers]
    if not any(name == JSON[0] for name, _ in reply.headers):
        headers.append(JSON)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def read_body(receive: Receive, max_bytes: int) -> bytes:
    """Return the body of a request; raise TooLargeError where it exceeds `max_bytes`."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise TooLargeError(f"the body is larger than {max_bytes} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def address_of(scope: Scope, *, trust_forwarded: bool) -> str:
    """Return the client's address; behind a trusted proxy the last one of X-Forwarded-For.

    The proxy added the last address itself; those before it are claims of the client. Several lines
    of the header are one list. A port that some proxies add is left out.
    """
    if trust_forwarded:
        lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        last = b",".join(lines).decode("latin-1").rpartition(",")[2].strip()
        if last:
            return _without_port(last)
    client = scope.get("client")
    return client[0] if client else "unknown"


def _without_port(address: str) -> str:
    """Return '1.2.3.4' of '1.2.3.4:5678' and '::1' of '[::1]:443'; other text as it is."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, _, _ = address.partition(":")
    return host if address.count(":") == 1 else address


def first_part(path: str) -> str:
    """Return the first part of a path: 'fapi' of /fapi/v1/ping."""
    return path.split("/", 2)[1] if path.startswith("/") else ""


def with_headers(app: Asgi, headers: Callable[[], Headers]) -> Asgi:
    """Return an app whose HTTP responses have further headers, read when a response starts."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers()]
            await send(message)

        await app(scope, receive, send_with_headers if scope["type"] == "http" else send)

    return serve
