"""Bybit's streams frame by frame, over real sockets; whole clients listen in test_bybit_clients."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import websockets
from binance_market import submit_to
from bybit_market import SECRET, add_account_keys, fall, fund_alone, opening, rescue
from live_server import ANONYMOUS_CONFIG, LiveServer, live_server

from delever.server.app import wall_clock_ms
from delever.server.transport.websockets import POLICY
from delever.server.venues.bybit.streams import MAX_ARGUMENT_CHARACTERS
from stream_clients import connect_async
from waiting import PATIENCE_S


@pytest.fixture(scope="module")
def market() -> Iterator[LiveServer]:
    with live_server(ANONYMOUS_CONFIG) as server:
        add_account_keys(server.service.keyring)
        submit_to(server.service, opening())
        yield server


class Connection:
    """One connection."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket

    async def send(self, **frame: object) -> None:
        await self.socket.send(json.dumps(frame))

    async def receive(self) -> Any:
        return json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE_S))

    async def request(self, **frame: object) -> Any:
        await self.send(**frame)
        return await self.receive()

    async def is_silent(self) -> bool:
        """Return whether the next message is the answer to a ping."""
        return "pong" in str(await self.request(op="ping"))


def with_connection(
    server: LiveServer,
    use: Callable[[Connection], Awaitable[None]],
    path: str = "/v5/public/linear",
) -> None:
    async def go() -> None:
        async with connect_async(server.ws + path, origin="https://elsewhere") as socket:
            await use(Connection(socket))

    asyncio.run(go())


def signed(key: str, expires: object) -> list[object]:
    payload = f"GET/realtime{expires}".encode()
    return [key, expires, hmac.new(SECRET.encode(), payload, hashlib.sha256).hexdigest()]


@pytest.mark.parametrize("number", ["uuid-1", 7, None])
def test_acknowledgements_have_the_id_of_the_request(market: LiveServer, number: object) -> None:
    named = {} if number is None else {"req_id": number}
    expected = "" if number is None else number

    async def use(connection: Connection) -> None:
        begun = time.monotonic()
        answer = await connection.request(op="subscribe", args=["insurance.USDC"], **named)
        assert time.monotonic() - begun >= 0.01  # pybit looks for its request only after sending
        assert (answer["success"], answer["ret_msg"], answer["op"]) == (True, "", "subscribe")
        assert answer["req_id"] == expected
        assert await connection.receive() | {"ts": 0} == {
            "topic": "insurance.USDC",
            "type": "snapshot",
            "ts": 0,
            "data": [],
        }
        answer = await connection.request(op="unsubscribe", args=["insurance.USDC"], **named)
        assert (answer["success"], answer["op"], answer["req_id"]) == (
            True,
            "unsubscribe",
            expected,
        )
        pong = await connection.request(op="ping", **named)
        assert (pong["ret_msg"], pong["op"], pong["req_id"]) == ("pong", "ping", expected)
        assert pong["conn_id"] == answer["conn_id"]

    with_connection(market, use)


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        ({"op": "subscribe", "args": ["adlAlert.BTC"]}, "handler not found,topic:adlAlert.BTC"),
        ({"op": "subscribe", "args": ["adlAlert"]}, "handler not found,topic:adlAlert"),
        (
            {"op": "subscribe", "args": ["adlAlert.USDT", "quotes.BTCUSDT"]},
            "handler not found,topic:quotes.BTCUSDT",
        ),
        ({"op": "subscribe", "args": ["execution"]}, "handler not found,topic:execution"),
        ({"op": "subscribe", "args": []}, "args must be a list of topics"),
        ({"op": "subscribe", "args": "adlAlert.USDT"}, "args must be a list of topics"),
        ({"op": "subscribe"}, "args must be a list of topics"),
        ({"op": "subscribe", "args": [1]}, "args must be a list of topics"),
        ({"op": "subscribe", "args": ["x" * (MAX_ARGUMENT_CHARACTERS + 1)]}, "args are longer"),
        ({"op": "order.create"}, "invalid op"),
        ({"op": ["subscribe"]}, "invalid op"),
        ({}, "invalid op"),
    ],
)
def test_a_request_with_one_unknown_topic_subscribes_to_none(
    market: LiveServer, frame: dict[str, Any], fault: str
) -> None:
    async def use(connection: Connection) -> None:
        answer = await connection.request(**frame)
        assert answer["success"] is False
        assert answer["ret_msg"].startswith(f"error:{fault}")
        assert await connection.is_silent()

    with_connection(market, use)


def test_a_request_that_is_not_a_json_object_gets_an_error(market: LiveServer) -> None:
    async def use(connection: Connection) -> None:
        for text in ("{", "[1]", "null", "\x00"):
            await connection.socket.send(text)
            assert (await connection.receive())["ret_msg"] == "error:request is not a JSON object"

    with_connection(market, use)


@pytest.mark.parametrize(
    ("args", "fault"),
    [
        (["bob-key", 1], "args must be key"),
        (None, "args must be key"),
        (["nobody", 10**13, "00"], "API key or expires is invalid"),
        (["bob-key", "soon", "00"], "API key or expires is invalid"),
        (["bob-key", 10**13, "00"], "signature is invalid"),
        (signed("bob-key", 1_600_000_000_000), "request expired"),
        (signed("desk-key", 10**13), "the key has no account"),
        (signed("engine-key", 10**13), "the key has no account"),
    ],
)
def test_a_failed_authentication_subscribes_to_nothing(
    market: LiveServer, args: object, fault: str
) -> None:
    async def use(connection: Connection) -> None:
        answer = await connection.request(op="auth", args=args)
        assert answer["ret_msg"].startswith(f"error:{fault}")
        assert (answer["success"], answer["request"]["op"]) == (False, "auth")
        answer = await connection.request(op="subscribe", args=["execution"])
        assert answer["ret_msg"] == "error:request is not authorized"

    with_connection(market, use, "/v5/private")


def test_every_topic_of_bybit_is_acknowledged(market: LiveServer) -> None:
    """pybit ends a whole socket, without a word, with one topic that is refused."""
    topics = ["orderbook.50.BTCUSDT", "publicTrade.BTCUSDT", "tickers.BTCUSDT"]
    topics += ["kline.1.BTCUSDT", "allLiquidation.BTCUSDT", "priceLimit.BTCUSDT"]

    async def use(connection: Connection) -> None:
        answer = await connection.request(op="subscribe", args=topics)
        assert (answer["success"], answer["ret_msg"]) == (True, "")
        assert await connection.is_silent()

    with_connection(market, use)

    async def use_private(connection: Connection) -> None:
        await connection.request(op="auth", args=signed("bob-key", str(wall_clock_ms() + 5_000)))
        own = ["position.linear", "execution.fast", "execution.spot", "order", "wallet", "greeks"]
        answer = await connection.request(op="subscribe", args=own)
        assert (answer["success"], answer["ret_msg"]) == (True, "")

    with_connection(market, use_private, "/v5/private")


def test_only_known_private_topics_are_served(market: LiveServer) -> None:
    async def use(connection: Connection) -> None:
        expires = str(wall_clock_ms() + 5_000)  # as text, as ccxt sends it
        answer = await connection.request(op="auth", args=signed("bob-key", expires))
        assert (answer["success"], answer["op"]) == (True, "auth")
        for topic in ("executions", "execution.quick", "order.a.b.c", "adlAlert.USDT"):
            answer = await connection.request(op="subscribe", args=[topic])
            assert answer["ret_msg"] == f"error:handler not found,topic:{topic}"
        pong = await connection.request(op="ping", req_id="p")
        assert (pong["op"], pong["req_id"], len(pong["args"])) == ("pong", "p", 1)

    with_connection(market, use, "/v5/private")


def test_other_paths_are_closed(market: LiveServer) -> None:
    async def use(connection: Connection) -> None:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await connection.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == POLICY

    with_connection(market, use, "/v5/trade")


def test_each_subscriber_gets_a_snapshot_of_pools_and_then_their_changes(
    market: LiveServer,
) -> None:
    async def use(connection: Connection) -> None:
        await connection.request(op="subscribe", args=["insurance.USDT", "insurance.inverse"])
        first = {
            message["topic"]: message
            for message in (await connection.receive(), await connection.receive())
        }
        assert {message["type"] for message in first.values()} == {"snapshot"}
        (pool,) = first["insurance.inverse"]["data"]
        assert (pool["coin"], pool["symbols"], pool["balance"]) == ("BTC", "BTCUSD", "2")
        before = int(first["insurance.USDT"]["data"][0]["balance"])
        await asyncio.to_thread(submit_to, market.service, [fund_alone(3)])
        delta = await connection.receive()
        assert (delta["topic"], delta["type"]) == ("insurance.USDT", "delta")
        assert [row["balance"] for row in delta["data"]] == [str(before + 3)]
        async with connect_async(f"{market.ws}/v5/public/inverse") as socket:
            later = Connection(socket)
            await later.request(op="subscribe", args=["insurance.USDT"])
            assert (await later.receive())["data"][0]["balance"] == str(before + 3)

    with_connection(market, use)


def test_private_topics_have_categories_and_only_the_own_account() -> None:
    async def go(server: LiveServer) -> None:
        private = f"{server.ws}/v5/private"
        async with connect_async(private) as one, connect_async(private) as other:
            dan, hed = Connection(one), Connection(other)
            for connection, key, topics in (
                (dan, "dan-key", ["execution.linear", "execution.inverse", "position"]),
                (hed, "hed-key", ["execution", "position", "wallet", "order"]),
            ):
                await connection.request(op="auth", args=signed(key, wall_clock_ms() + 5_000))
                assert (await connection.request(op="subscribe", args=topics))["success"]
            await asyncio.to_thread(submit_to, server.service, [*fall(), *rescue()])
            execution, position = await dan.receive(), await dan.receive()
            assert (execution["topic"], execution["data"][0]["execQty"]) == (
                "execution.linear",
                "20",
            )
            assert execution["id"] != position["id"]
            (row,) = position["data"]
            assert (row["size"], row["side"], row["positionIdx"]) == ("20", "Sell", 0)
            assert await hed.is_silent()
            assert await dan.is_silent()

    with live_server(ANONYMOUS_CONFIG) as server:
        add_account_keys(server.service.keyring)
        submit_to(server.service, opening())
        asyncio.run(go(server))
