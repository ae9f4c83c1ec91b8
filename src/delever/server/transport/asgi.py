"""Requests and replies of the venue APIs, on bare ASGI: raw query bytes stay raw.

Venues sign the query exactly as it was sent, answer errors in shapes of their own, and are asked
thousands of times a second; a framework's routing and parsing would stand in the way of all three.
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
    """A request's body is larger than the server takes."""


class Request:
    """One HTTP request: `query` as it came, without the question mark; `address` of the client."""

    def __init__(self, scope: Scope, address: str, body: bytes = b"") -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.address = address
        self.body = body
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """Headers by lower-case name."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self._headers}

    @cached_property
    def params(self) -> Mapping[str, str]:
        """Parameters of query and form body; the last one where a name stands twice."""
        return dict(parse_qsl(self.query.decode("latin-1"), keep_blank_values=True)) | dict(
            parse_qsl(self.body.decode("latin-1"), keep_blank_values=True)
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its body is JSON unless the headers say otherwise."""

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


async def read_body(receive: Receive, most: int) -> bytes:
    """Return the request's body; TooLargeError where it is larger than `most` bytes."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise TooLargeError(f"the body is larger than {most} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def address_of(scope: Scope, *, trust_forwarded: bool) -> str:
    """Return the client's address; the last of X-Forwarded-For where a proxy is trusted.

    The last is what the proxy itself saw; those before it are what clients claim.
    """
    if trust_forwarded:
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                return str(value.decode("latin-1").rpartition(",")[2].strip())
    client = scope.get("client")
    return client[0] if client else "unknown"


def first_part(path: str) -> str:
    """Return the first part of a path: 'fapi' of /fapi/v1/ping."""
    return path.split("/", 2)[1] if path.startswith("/") else ""
