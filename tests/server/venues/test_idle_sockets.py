"""Venues cut sockets on which nothing is heard; here after a third of a second, over real ones."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import pytest
import uvicorn
import websockets
from bybit_market import opening
from live_server import ANONYMOUS_CONFIG

from delever.config import Config, ListenConfig
from delever.server.app import bind, wall_clock_ms
from delever.server.engine.runner import Runner
from delever.server.transport.api_keys import Keyring
from delever.server.transport.asgi import Receive, Scope, Send
from delever.server.transport.router import Router, VenueApi
from delever.server.transport.websockets import POLICY
from delever.server.venues.bybit import streams as bybit_stream
from delever.server.venues.bybit.rest import BybitApi
from delever.server.venues.fill_log import FillLog
from delever.server.venues.okx import streams as okx_stream
from delever.server.venues.okx.rest import OkxApi

IDLE_S = 0.3
BYBIT, OKX = "/v5/public/linear", "/ws/v5/public"
PINGS = {BYBIT: json.dumps({"op": "ping"}), OKX: "ping"}

Client = websockets.ClientConnection


async def nobody(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("no path here is the native API's")


def connected(path: str, use: Callable[[Client], Awaitable[None]]) -> None:
    """Let a client use a path of a served venue that cuts sockets after IDLE_S."""

    async def go() -> None:
        runner, keyring = Runner(ANONYMOUS_CONFIG, wall_clock_ms), Keyring(())
        venue: VenueApi = (
            BybitApi(runner, keyring, FillLog(runner), IDLE_S)
            if path == BYBIT
            else OkxApi(runner, keyring, FillLog(runner), IDLE_S)
        )
        router = Router(ListenConfig(), (venue,), nobody, {}, nobody)
        server = uvicorn.Server(
            uvicorn.Config(router, ws="websockets-sansio", log_config=None, lifespan="off")
        )
        await runner.start()
        await runner.submit(opening())
        with bind(Config(listen=ListenConfig(port=0))) as listening:
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                port = listening.getsockname()[1]
                async with websockets.connect(f"ws://127.0.0.1:{port}{path}") as client:
                    await use(client)
            finally:
                server.should_exit = True
                await serving
                await runner.stop()

    asyncio.run(asyncio.wait_for(go(), 20))


async def is_cut(client: Client) -> None:
    """Wait until the server closes the connection, and look at what it says."""
    begun = time.monotonic()
    await client.wait_closed()
    assert time.monotonic() - begun > IDLE_S * 0.9
    assert (client.close_code, client.close_reason) == (POLICY, "idle for 0.3 seconds")


@pytest.mark.parametrize("path", [BYBIT, OKX])
def test_an_idle_socket_is_closed(path: str) -> None:
    connected(path, is_cut)


@pytest.mark.parametrize("path", [BYBIT, OKX])
def test_a_ping_restarts_the_idle_time(path: str) -> None:
    async def use(client: Client) -> None:
        for _ in range(5):
            await asyncio.sleep(IDLE_S / 2)
            await client.send(PINGS[path])
            assert "pong" in str(await client.recv())
        await is_cut(client)

    connected(path, use)


def test_a_subscribed_bybit_socket_is_closed_when_idle() -> None:
    async def use(client: Client) -> None:
        await client.send(json.dumps({"op": "subscribe", "args": ["adlAlert.USDT"]}))
        assert "subscribe" in str(await client.recv())
        await is_cut(client)

    connected(BYBIT, use)


def test_an_okx_socket_may_be_idle_while_it_is_subscribed() -> None:
    argument = {"channel": "adl-warning", "instType": "SWAP"}

    async def use(client: Client) -> None:
        await client.send(json.dumps({"op": "subscribe", "args": [argument]}))
        assert "subscribe" in str(await client.recv())
        begun = time.monotonic()
        while time.monotonic() - begun < 3 * IDLE_S:  # pushes come, or nothing does; no cut
            try:
                await asyncio.wait_for(client.recv(), IDLE_S)
            except TimeoutError:
                continue
        await client.send(json.dumps({"op": "unsubscribe", "args": [argument]}))
        await is_cut(client)

    connected(OKX, use)


def test_idle_times_are_those_of_the_venues() -> None:
    assert (bybit_stream.IDLE_S, okx_stream.IDLE_S) == (600, 30)
