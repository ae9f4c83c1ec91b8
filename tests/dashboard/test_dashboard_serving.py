"""Requests of visitors that leave before the response, as NiceGUI's middleware serves them."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from delever.dashboard.apps.serving import CLIENT_CLOSED_REQUEST, serve_request
from delever.dashboard.mount import AsgiApp, Message, Receive, Scope, Send

SCOPE = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}


class PassingOn(BaseHTTPMiddleware):
    """A middleware of the kind that NiceGUI adds."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


async def statuses(endpoint: AsgiApp, received: list[str]) -> list[int]:
    """Return the statuses sent for one request whose client sends these messages."""
    app = Starlette(routes=[Route("/", endpoint)])
    app.add_middleware(PassingOn)
    app.add_middleware(PassingOn)
    sent: list[Message] = []

    async def receive() -> Message:
        if received:
            return {"type": received.pop(0), "body": b""}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await serve_request(app, dict(SCOPE), receive, send)
    return [each["status"] for each in sent if each["type"] == "http.response.start"]


class Answer:
    """An ASGI app that answers every request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("answer")(scope, receive, send)


class Unheard:
    """An ASGI app that ends without a response when its client has left."""

    async def __call__(self, _: Scope, receive: Receive, __: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


class Faulty:
    """An ASGI app that never responds."""

    async def __call__(self, _: Scope, receive: Receive, __: Send) -> None:
        await receive()


def test_a_request_is_answered() -> None:
    assert asyncio.run(statuses(Answer(), ["http.request"])) == [200]


def test_a_request_whose_client_has_left_is_no_fault_of_the_server() -> None:
    received = ["http.request", "http.disconnect"]
    assert asyncio.run(statuses(Unheard(), received)) == [CLIENT_CLOSED_REQUEST]


def test_an_app_that_does_not_respond_is_a_fault() -> None:
    with pytest.raises(RuntimeError, match="No response returned"):
        asyncio.run(statuses(Faulty(), ["http.request"]))
