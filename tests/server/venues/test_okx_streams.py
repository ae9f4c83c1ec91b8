"""OKX's private socket: logins, snapshots, and the messages of an ADL fill; ccxt.pro too."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import ccxt.pro
import pytest
from binance_market import submit_to
from bybit_market import SECRET, add_account_keys, fall, opening
from live_server import ANONYMOUS_CONFIG, LiveServer, live_server

from delever.server.venues.okx.rest import OkxApi
from stream_clients import connect_async
from waiting import PATIENCE_S, wait_until

LINEAR = "BTC/USDT:USDT"
Use = Callable[["Connection"], Awaitable[None]]


class Connection:
    """One socket."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    async def receive(self) -> Any:
        return json.loads(await self.socket.recv())

    async def request(self, op: str, *args: object, **more: object) -> Any:
        """Send a request and return the next message."""
        await self.socket.send(json.dumps({"op": op, "args": args, **more}))
        return await self.receive()


@pytest.fixture
def market() -> Iterator[LiveServer]:
    with live_server(ANONYMOUS_CONFIG) as server:
        add_account_keys(server.service.keyring)
        submit_to(server.service, opening())
        yield server


def login(key: str = "bob-key", **changed: str) -> dict[str, str]:
    now = str(int(time.time()))
    signed = hmac.digest(SECRET.encode(), f"{now}GET/users/self/verify".encode(), "sha256")
    sign = base64.b64encode(signed).decode()
    return {"apiKey": key, "passphrase": SECRET, "timestamp": now, "sign": sign} | changed


def with_connection(server: LiveServer, use: Use, path: str = "/ws/v5/private") -> None:
    async def go() -> None:
        async with asyncio.timeout(PATIENCE_S), connect_async(server.ws + path) as socket:
            await use(Connection(socket))

    asyncio.run(go())


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"apiKey": "nobody"}, "60005"),
        ({"apiKey": "engine-key"}, "60005"),
        ({"timestamp": "1600000000"}, "60006"),
        ({"timestamp": "soon"}, "60006"),
        ({"sign": "AA=="}, "60007"),
        ({"passphrase": "x"}, "60024"),
    ],
)
def test_a_failed_login_subscribes_to_nothing(
    market: LiveServer, changed: dict[str, str], code: str
) -> None:
    async def use(connection: Connection) -> None:
        answer = await connection.request("login", login() | changed)
        assert (answer["event"], answer["code"]) == ("error", code)
        answer = await connection.request("subscribe", {"channel": "account"})
        assert (answer["event"], answer["code"]) == ("error", "60011")

    with_connection(market, use)


def test_an_adl_fill_is_an_order_of_category_adl_and_changes_positions_and_balance(
    market: LiveServer,
) -> None:
    channels: tuple[dict[str, str], ...] = (
        {"channel": "orders", "instType": "ANY"},
        {"channel": "positions", "instType": "SWAP", "instId": "BTC-USDT-SWAP"},
        {"channel": "account", "ccy": "USDT"},
        {"channel": "balance_and_position"},
        {"channel": "fills"},
    )

    async def use(connection: Connection) -> None:
        answer = await connection.request("login", login())
        assert (answer["event"], answer["code"]) == ("login", "0")
        await connection.socket.send(json.dumps({"op": "subscribe", "args": channels, "id": "7"}))
        messages = [await connection.receive() for _ in range(len(channels) + 3)]
        assert [m["arg"] for m in messages if m.get("event") == "subscribe"] == list(channels)
        before = {m["arg"]["channel"]: m["data"] for m in messages if "data" in m}
        assert before["positions"][0]["pos"] == "-50"
        assert [row["ccy"] for row in before["account"][0]["details"]] == ["USDT"]
        assert before["balance_and_position"][0]["eventType"] == "snapshot"
        await asyncio.to_thread(submit_to, market.service, fall())
        after: dict[str, Any] = {}
        orders: list[Any] = []
        while len(after) < 4 or after["positions"][0]["pos"] != "0" or len(orders) < 2:
            message = await connection.receive()
            after[message["arg"]["channel"]] = message["data"]
            orders += message["data"] if message["arg"]["channel"] == "orders" else []
        order, cancelled = orders
        assert (cancelled["ordId"], cancelled["state"]) == ("bob-17", "canceled")
        assert (cancelled["cancelSource"], cancelled["instId"]) == ("6", "BTC-USDT-SWAP")
        assert (cancelled["side"], cancelled["ordType"], cancelled["sz"]) == ("buy", "limit", "0")
        assert (order["ordType"], order["px"]) == ("limit", order["fillPx"])
        assert cancelled.keys() == order.keys()
        assert (order["category"], order["state"], order["side"]) == ("adl", "filled", "buy")
        assert (order["accFillSz"], order["fillSz"], order["code"]) == ("50", "50", "0")
        (both,) = after["balance_and_position"]
        assert (both["eventType"], both["posData"][0]["pos"]) == ("adl", "0")
        assert both["trades"] == [{"instId": "BTC-USDT-SWAP", "tradeId": order["tradeId"]}]
        (money,) = after["account"][0]["details"]
        assert money["eq"] == money["availEq"] == both["balData"][0]["cashBal"]
        unsubscribed = await connection.request("unsubscribe", channels[0])
        assert unsubscribed["event"] == "unsubscribe"

    with_connection(market, use)


def test_unused_keys_may_be_null_and_a_public_socket_may_log_in(market: LiveServer) -> None:
    """The Rust client of NautilusTrader does both, and subscribes to algo orders on /business."""
    unused = {"instFamily": None, "instId": None}

    async def use(connection: Connection) -> None:
        assert (await connection.request("login", login()))["event"] == "login"
        algo = {"channel": "orders-algo", "instType": "SWAP"}
        answer = await connection.request("subscribe", algo | unused)
        assert (answer["event"], answer["arg"]) == ("subscribe", algo)
        warning = {"channel": "adl-warning", "instType": "SWAP"}
        assert (await connection.request("subscribe", warning | unused))["arg"] == warning
        assert (await connection.receive())["data"][0]["state"] == "normal"

    with_connection(market, use, "/ws/v5/business")


def test_other_channels_of_okx_are_acknowledged(market: LiveServer) -> None:
    async def use(connection: Connection) -> None:
        for channel in ("tickers", "books5", "mark-price", "instruments"):
            argument = {"channel": channel, "instId": "BTC-USDT-SWAP"}
            assert (await connection.request("subscribe", argument))["event"] == "subscribe"
        for argument in ({"channel": "nothing"}, {"channel": "account"}):
            assert (await connection.request("subscribe", argument))["code"] == "60018"

    with_connection(market, use, "/ws/v5/public")


def test_ccxt_pro_watches_balance_positions_and_the_order_of_an_adl_fill() -> None:
    """The real client, on the real clock: it signs, logs in, subscribes, and parses."""
    with live_server(ANONYMOUS_CONFIG) as server:
        add_account_keys(server.service.keyring)
        submit_to(server.service, opening())
        balance, positions, orders = asyncio.run(watched(server))
    assert balance["USDT"]["total"] > 0
    assert [(each["symbol"], each["contracts"]) for each in positions] == [(LINEAR, 50.0)]
    closed = orders[-1]
    assert (closed["symbol"], closed["side"], closed["status"]) == (LINEAR, "buy", "closed")
    assert (closed["filled"], closed["info"]["category"]) == (50.0, "adl")


async def watched(server: LiveServer) -> tuple[Any, Any, Any]:
    client = ccxt.pro.okx({"apiKey": "bob-key", "secret": SECRET, "password": SECRET})
    client.urls["api"] = {"rest": server.url, "ws": f"{server.ws}/ws/v5"}
    try:
        async with asyncio.timeout(PATIENCE_S):
            balance = dict(await client.watch_balance())
            positions = [dict(position) for position in await client.watch_positions()]
            orders = asyncio.ensure_future(client.watch_orders(LINEAR))
            await asyncio.to_thread(wait_until, lambda: has_topic(server, "orders"), "subscribed")
            await asyncio.to_thread(submit_to, server.service, fall())
            return balance, positions, await orders
    finally:
        await client.close()


def has_topic(server: LiveServer, channel: str) -> bool:
    """Return whether any socket has subscribed to a private channel."""
    venue = server.service.app._venues["ws/v5"]
    assert isinstance(venue, OkxApi)
    return any(f'"{channel}"' in topic for topic in venue._streams._private.hub.topics)
