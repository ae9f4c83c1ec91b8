"""Binance's user data stream: both layouts, on real sockets, and ccxt.pro's own reading of it."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import ccxt.pro
import httpx2 as httpx
import pytest
from binance_market import SECRET, add_account_keys, fall, opening, submit_to
from live_server import LiveServer, live_server
from test_binance_clients import client_at
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from delever.core.messages import CancelAdl, FundingReason, FundPool, SetMarks, SetTime
from delever.server.engine.runner import NOW
from delever.server.venues.binance.streams import MAX_STREAMS, VALID_MS
from stream_clients import connect
from waiting import PATIENCE_S, wait_until


class FixedClock:
    """The server's clock, some milliseconds past a fixed time."""

    ms = 1_795_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def server(clock: FixedClock) -> Iterator[LiveServer]:
    with live_server(now_ms=clock) as running:
        add_account_keys(running.service)
        submit_to(running.service, opening())
        yield running


def listen_key(server: LiveServer, key: str = "ann-key", api: str = "fapi") -> str:
    reply = httpx.post(
        f"{server.url}/{api}/v1/listenKey", headers={"X-MBX-APIKEY": key}, timeout=PATIENCE_S
    )
    return str(reply.json()["listenKey"])


def receive_events(connection: ClientConnection, count: int) -> list[Any]:
    return [json.loads(connection.recv(PATIENCE_S)) for _ in range(count)]


def subscribe(connection: ClientConnection, *names: str) -> Any:
    connection.send(json.dumps({"method": "SUBSCRIBE", "params": names, "id": "u-1"}))
    return receive_events(connection, 1)[0]


def hears_nothing(connection: ClientConnection) -> bool:
    """Return whether the next that comes is the answer to a question."""
    connection.send('{"method":"LIST_SUBSCRIPTIONS","id":"last"}')
    return bool(receive_events(connection, 1)[0].get("id") == "last")


@pytest.mark.parametrize(
    "path", ["/ws/{}", "/private/ws?listenKey={}", "/private/ws/{}", "/stream?streams={}"]
)
def test_an_adl_fill_sends_new_and_filled_orders_and_an_account_update(
    server: LiveServer, path: str
) -> None:
    key = listen_key(server)
    with connect(server.ws + path.format(key)) as connection:
        submit_to(server.service, fall())
        events = receive_events(connection, 3)
    if path.startswith("/stream"):
        assert {event["stream"] for event in events} == {key}
        events = [event["data"] for event in events]
    new, filled, update = events
    assert [event["e"] for event in events] == [
        "ORDER_TRADE_UPDATE",
        "ORDER_TRADE_UPDATE",
        "ACCOUNT_UPDATE",
    ]
    assert [new["o"][f] for f in ("c", "X", "x", "z")] == ["adl_autoclose", "NEW", "NEW", "0"]
    assert [filled["o"][f] for f in ("c", "X", "x", "z", "L", "S", "ps", "rp")] == [
        "adl_autoclose",
        "FILLED",
        "CALCULATED",
        "0.6",
        "57000",
        "BUY",
        "BOTH",
        "2400",
    ]
    assert update["a"] == {
        "m": "ORDER",
        "B": [{"a": "USDT", "wb": "3900.00000000", "cw": "3900.00000000", "bc": "0"}],
        "P": [
            {
                "s": "BTCUSDT",
                "pa": "0",
                "ep": "0",
                "bep": "0",
                "cr": "0",
                "up": "0",
                "mt": "isolated",
                "iw": "0",
                "ps": "BOTH",
            }
        ],
    }


def test_the_sdk_layout_subscribes_and_gets_wrapped_events(server: LiveServer) -> None:
    key = listen_key(server, "bob-key")
    with (
        connect(server.ws + "/private/stream") as private,
        connect(server.ws + "/market/stream") as market,
        connect(server.ws + "/public/stream") as public,
    ):
        assert subscribe(private, key) == {"result": None, "id": "u-1"}
        assert subscribe(market, "btcusdt@markPrice") == {"result": None, "id": "u-1"}
        assert subscribe(public, "btcusdt@depth")["result"] is None
        submit_to(server.service, fall())
        new, filled, update = receive_events(private, 3)
        assert {each["stream"] for each in (new, filled, update)} == {key}
        assert filled["data"]["o"]["c"] == "adl_autoclose"
        assert update["data"]["a"]["P"][0]["pa"] == "-0.8"
        assert hears_nothing(market)


def test_the_liquidated_account_receives_its_takeover(server: LiveServer) -> None:
    grant_dan(server)
    with connect(f"{server.ws}/ws/{listen_key(server, 'dan-key')}") as connection:
        submit_to(server.service, fall())
        new, filled, update = receive_events(connection, 3)
    assert new["o"]["c"] == filled["o"]["c"] == "autoclose-1"
    assert [filled["o"][f] for f in ("x", "X", "S", "o", "ot", "f")] == [
        "CALCULATED",
        "FILLED",
        "SELL",
        "LIQUIDATION",
        "LIQUIDATION",
        "IOC",
    ]
    assert new["o"]["o"] == "LIQUIDATION"
    assert update["a"]["B"][0]["wb"] == "0"


def grant_dan(server: LiveServer) -> None:
    found = server.service.keyring.find("ann-key")
    assert found is not None
    server.service.keyring.add(type(found)("dan-key", found.roles, ("dan",), SECRET.encode()))


def test_a_cancelled_fill_is_an_adjustment(server: LiveServer) -> None:
    """The fund can carry the inventory again, so that no fill follows."""
    injection = FundPool(time_ms=NOW, pool="fund", amount="1300", reason=FundingReason.INJECTION)
    submit_to(server.service, [*fall(), injection])
    with connect(f"{server.ws}/ws/{listen_key(server)}") as connection:
        submit_to(
            server.service, [CancelAdl(time_ms=NOW, fill=1, note="the venue could not apply it")]
        )
        (update, *_) = receive_events(connection, 1)
    assert (update["e"], update["a"]["m"]) == ("ACCOUNT_UPDATE", "ADJUSTMENT")


def test_each_stream_has_only_its_own_kind_of_contract(server: LiveServer) -> None:
    coin, margin = listen_key(server, api="dapi"), listen_key(server, api="papi")
    with (
        connect(f"{server.ws}/ws/{coin}") as inverse,
        connect(f"{server.ws}/pm/ws/{margin}") as both,
    ):
        submit_to(server.service, fall())
        assert [event["fs"] for event in receive_events(both, 3)] == ["UM"] * 3
        assert hears_nothing(inverse)


@pytest.mark.parametrize("path", ["/ws/1", "/market/ws/7", "/ws"])
def test_market_streams_are_accepted_and_silent(server: LiveServer, path: str) -> None:
    """ccxt numbers its connections."""
    with connect(server.ws + path) as connection:
        names = ("!bookTicker", "!contractInfo", "!markPrice@arr", "btcusdt@aggTrade")
        assert subscribe(connection, *names) == {"result": None, "id": "u-1"}
        submit_to(server.service, fall())
        assert hears_nothing(connection)


def test_a_listen_key_is_valid_after_a_restart_until_it_is_closed(clock: FixedClock) -> None:
    """It is derived from the API key's secret: neither the journal nor another file has it."""
    keys = []
    for _ in range(2):
        with live_server(now_ms=clock) as running:
            add_account_keys(running.service)
            submit_to(running.service, opening())
            if not keys:
                keys = [listen_key(running, api=api) for api in ("fapi", "papi")]
                continue
            with connect(f"{running.ws}/stream?streams={keys[0]}/{keys[1]}") as connection:
                submit_to(running.service, fall())
                events = receive_events(connection, 6)
            assert {event["stream"] for event in events} == set(keys)
            assert listen_key(running) == keys[0]
            headers = {"X-MBX-APIKEY": "ann-key"}
            httpx.delete(f"{running.url}/fapi/v1/listenKey", headers=headers, timeout=PATIENCE_S)
            with connect(f"{running.ws}/ws/{keys[0]}") as connection:
                assert_refused(connection)
            with connect(f"{running.ws}/ws/{keys[0][:-1]}A") as connection:
                assert_refused(connection)
        clock.ms += 1_000


def assert_refused(connection: ClientConnection) -> None:
    with pytest.raises(ConnectionClosed) as closed:
        connection.recv(PATIENCE_S)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
        1008,
        "This listenKey does not exist.",
    )


def test_an_unknown_listen_key_is_refused(server: LiveServer) -> None:
    with connect(server.ws + "/ws/nothing") as connection:
        assert_refused(connection)
    with connect(server.ws + "/private/stream") as connection:
        assert subscribe(connection, "nothing")["error"]["code"] == -1125


def test_invalid_socket_requests_get_an_error_and_the_socket_stays_open(server: LiveServer) -> None:
    key = listen_key(server)
    with connect(f"{server.ws}/private/ws?listenKey={key}") as connection:
        many = json.dumps({"method": "SUBSCRIBE", "params": [f"s@{n}" for n in range(MAX_STREAMS)]})
        for sent in (
            "{",
            "[]",
            '{"method":"SUBSCRIBE","params":[1]}',
            many,
            '{"method":"SHOUT","id":7}',
        ):
            connection.send(sent)
        answers = receive_events(connection, 5)
        assert [each["error"]["code"] for each in answers] == [2] * 5
        assert [each["id"] for each in answers] == [None] * 4 + [7]
        connection.send('{"method":"LIST_SUBSCRIPTIONS","id":8}')
        assert receive_events(connection, 1) == [{"result": [key], "id": 8}]
        connection.send(json.dumps({"method": "UNSUBSCRIBE", "params": [key], "id": 9}))
        assert receive_events(connection, 1) == [{"result": None, "id": 9}]
        submit_to(server.service, fall())
        assert hears_nothing(connection)


def test_a_listen_key_that_is_not_extended_expires(server: LiveServer, clock: FixedClock) -> None:
    key = listen_key(server)
    with connect(f"{server.ws}/ws/{key}") as connection:
        clock.ms += VALID_MS
        confirmed = SetTime(time_ms=NOW, confirmed=True, note="an hour without commands")
        marks = SetMarks(time_ms=NOW, marks={"BTCUSDT": "59999"})
        submit_to(server.service, [confirmed, marks])
        (event,) = receive_events(connection, 1)
        assert (event["e"], event["listenKey"]) == ("listenKeyExpired", key)
    assert listen_key(server) != key


def test_ccxt_pro_watches_the_order_of_an_adl_fill() -> None:
    """The real client, on the real clock: it signs, opens the stream, and parses what it gets."""
    with live_server() as server:
        add_account_keys(server.service)
        submit_to(server.service, opening())
        orders = asyncio.run(watched(server))
    closed = orders[-1]
    assert (closed["clientOrderId"], closed["side"]) == ("adl_autoclose", "buy")
    assert (closed["status"], closed["filled"], closed["average"]) == ("closed", 0.6, 57000.0)


async def watched(server: LiveServer) -> list[Any]:
    # Without snapshots, which ccxt fetches in the background and does not wait for at the end.
    quiet = {
        "watchPositions": {"fetchPositionsSnapshot": False},
        "watchBalance": {"fetchBalanceSnapshot": False},
    }
    keys = {"apiKey": "ann-key", "secret": SECRET, "options": quiet}
    client = client_at(ccxt.pro.binanceusdm(keys), server.url)
    crash = asyncio.create_task(asyncio.to_thread(crash_once_watched, server))
    try:
        orders: list[Any] = []
        while not orders or orders[-1]["status"] != "closed":
            orders = await asyncio.wait_for(client.watch_orders(), PATIENCE_S)
        return orders
    finally:
        await client.close()
        await crash


def crash_once_watched(server: LiveServer) -> None:
    wait_until(lambda: server.service.app.open_sockets, "watched")
    submit_to(server.service, fall())
