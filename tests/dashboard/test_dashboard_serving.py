"""Requests of visitors that leave before the response, and the start of NiceGUI."""

import asyncio
import subprocess
import sys

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from delever.dashboard.apps.serving import CLIENT_CLOSED_REQUEST, serve_request
from delever.dashboard.data.asgi_transport import AsgiTransport
from delever.dashboard.mount import AsgiApp, Message, Receive, Scope, Send
from waiting import PATIENCE_S

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


def test_a_cancelled_request_ends_its_app() -> None:
    """Otherwise asyncio reports a task that was destroyed but is pending."""

    async def cancel_a_request() -> bool:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def app(_: Scope, __: Receive, ___: Send) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        request = httpx2.Request("GET", "http://engine/v1/status")
        sending = asyncio.create_task(AsgiTransport(app).handle_async_request(request))
        await begun.wait()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        return ended.is_set()

    assert asyncio.run(cancel_a_request())


START_WITHOUT_GC = """
import asyncio, gc

def search():
    raise AssertionError("all objects of the process are searched")

async def main():
    dashboard = Dashboard("http://127.0.0.1:1")
    await dashboard.start()
    await dashboard.stop()

from delever.dashboard.apps.dashboard import Dashboard
gc.get_objects = search
asyncio.run(main())
"""


def test_start_of_the_dashboard_does_not_reference_objects_of_the_engines_thread() -> None:
    """A tuple that a thread is building cannot be finished while `gc.get_objects` refers to it."""
    subprocess.run([sys.executable, "-c", START_WITHOUT_GC], check=True, timeout=PATIENCE_S)
