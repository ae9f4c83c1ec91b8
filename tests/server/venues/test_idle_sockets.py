"""Venues cut sockets on which nothing is heard; here real ones, on a clock turned by hand."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
import uvicorn
import websockets
from bybit_market import opening
from live_server import ANONYMOUS_CONFIG
from websockets.protocol import State

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
from stream_clients import connect_async

IDLE_S = 600.0
"""Longer than any test runs: only a turned clock gets there."""

BYBIT, OKX = "/v5/public/linear", "/ws/v5/public"
PINGS = {BYBIT: json.dumps({"op": "ping"}), OKX: "ping"}

Client = websockets.ClientConnection


class TurnedLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers wait for a clock that a test turns on."""

    turned_s = 0.0

    def time(self) -> float:
        return super().time() + self.turned_s


def turn(seconds: float) -> None:
    """Turn the clock of the running loop on."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, TurnedLoop)
    loop.turned_s += seconds


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
            uvicorn.Config(
                router,
                ws="websockets-sansio",
                ws_ping_interval=None,
                log_config=None,
                lifespan="off",
            )
        )
        await runner.start(auto_tick=False)
        await runner.submit(opening())
        with bind(Config(listen=ListenConfig(port=0))) as listening:
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                port = listening.getsockname()[1]
                address = f"ws://127.0.0.1:{port}{path}"
                async with connect_async(address, ping_interval=None, max_queue=None) as client:
                    await use(client)
            finally:
                server.should_exit = True
                await serving
                await runner.stop()

    with asyncio.Runner(loop_factory=TurnedLoop) as loop:
        loop.run(go())


async def is_cut(client: Client) -> None:
    """Turn the clock until the server closes the connection; check the reason it sends."""
    while client.state is not State.CLOSED:
        turn(IDLE_S)
        await asyncio.sleep(0.01)
    assert (client.close_code, client.close_reason) == (POLICY, "idle for 600 seconds")


@pytest.mark.parametrize("path", [BYBIT, OKX])
def test_an_idle_socket_is_closed(path: str) -> None:
    connected(path, is_cut)


@pytest.mark.parametrize("path", [BYBIT, OKX])
def test_a_ping_restarts_the_idle_time(path: str) -> None:
    async def use(client: Client) -> None:
        for _ in range(5):
            turn(IDLE_S / 2)
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
        for _ in range(3):
            turn(IDLE_S)
            await client.send("ping")
            while await client.recv() != "pong":
                pass  # pushes come; no cut
        await client.send(json.dumps({"op": "unsubscribe", "args": [argument]}))
        await is_cut(client)

    connected(OKX, use)


def test_idle_times_are_those_of_the_venues() -> None:
    assert (bybit_stream.IDLE_S, okx_stream.IDLE_S) == (600, 30)
