"""pybit and ccxt, unmodified, against a served process: REST, streams, errors, limits."""

import asyncio
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ccxt
import ccxt.pro
import msgspec
import pybit.unified_trading
import pytest
from binance_market import submit_to
from bybit_market import SECRET, add_account_keys, fall, fund_alone, opening
from live_server import ANONYMOUS_CONFIG, LiveServer, live_server
from pybit.exceptions import FailedRequestError, InvalidRequestError

from delever.config import BybitConfig, Config
from waiting import PATIENCE_S, wait_until

LINEAR, INVERSE = "BTC/USDT:USDT", "BTC/USD:BTC"


@contextmanager
def market(config: Config = ANONYMOUS_CONFIG) -> Iterator[LiveServer]:
    """Serve the small market."""
    with live_server(config) as server:
        add_account_keys(server.service.keyring)
        submit_to(server.service, opening())
        yield server


@pytest.fixture(scope="module")
def calm() -> Iterator[LiveServer]:
    with market() as server:
        yield server


def ccxt_of(server: LiveServer, key: str = "", **options: Any) -> Any:
    keys = {"apiKey": key, "secret": SECRET} if key else {}
    client = ccxt.bybit({**keys, "options": options, "enableRateLimit": False})
    client.urls["api"] = dict.fromkeys(client.urls["api"], server.url)
    return client


def pybit_of(server: LiveServer, key: str = "", **more: Any) -> Any:
    keys = {"api_key": key, "api_secret": SECRET} if key else {}
    session = pybit.unified_trading.HTTP(**keys, **more)
    session.endpoint = server.url
    return session


# --- ccxt ---


def test_ccxt_reads_ranks_and_positions(calm: LiveServer) -> None:
    client = ccxt_of(calm, "bob-key")
    (rank,) = client.fetch_positions_adl_rank([LINEAR])
    assert (rank["symbol"], rank["rank"]) == (LINEAR, 5)
    assert client.fetch_position_adl_rank(LINEAR)["info"]["adlRankIndicator"] == 5
    (position,) = client.fetch_positions()
    assert (position["side"], position["contracts"], position["entryPrice"]) == (
        "short",
        50.0,
        60000.0,
    )
    hedged = ccxt_of(calm, "hed-key").fetch_positions()
    assert [(each["side"], each["hedged"]) for each in hedged] == [("long", True), ("short", True)]
    (inverse,) = ccxt_of(calm, "inv-key").fetch_positions([INVERSE])
    assert (inverse["contracts"], inverse["leverage"]) == (600.0, 5.0)


def test_ccxt_reads_alerts_and_pools(calm: LiveServer) -> None:
    client = ccxt_of(calm)
    assert set(client.load_markets()) == {LINEAR, INVERSE, "ALT/USDT:USDT"}
    alert = client.publicGetV5MarketAdlAlert({"symbol": "BTCUSDT"})
    (row,) = alert["result"]["list"]
    assert (row["balance"], row["adlStopRatio"]) == ("1000000", "-0.25")
    pools = client.publicGetV5MarketInsurance({"coin": "USDT"})["result"]["list"]
    assert [pool["symbols"] for pool in pools] == ["ALTUSDT", "BTCUSDT"]
    assert client.fetch_time() > 1_700_000_000_000


@pytest.fixture(scope="module")
def broken(calm: LiveServer) -> Any:
    """Return a client that has read the markets; the tests break it in turn."""
    client = ccxt_of(calm, "bob-key")
    client.load_markets()
    return client


@pytest.mark.parametrize(
    ("key", "secret", "behind_ms", "error"),
    [
        ("bob-key", "wrong", 0, ccxt.AuthenticationError),
        ("nobody", SECRET, 0, ccxt.AuthenticationError),
        ("desk-key", SECRET, 0, ccxt.PermissionDenied),
        ("bob-key", SECRET, -2_000, ccxt.InvalidNonce),
        ("bob-key", SECRET, 60_000, ccxt.InvalidNonce),
    ],
)
def test_ccxt_raises_its_own_errors(
    broken: Any, key: str, secret: str, behind_ms: int, error: type[Exception]
) -> None:
    broken.apiKey, broken.secret = key, secret
    broken.options["timeDifference"] = behind_ms
    with pytest.raises(error):
        broken.fetch_positions()


def test_ccxt_raises_bad_request_for_invalid_parameters(calm: LiveServer) -> None:
    with pytest.raises(ccxt.BadRequest, match="'NONE' is unknown"):
        ccxt_of(calm).publicGetV5MarketAdlAlert({"symbol": "NONE"})


def test_ccxt_and_pybit_handle_the_rate_limits_of_keys_and_addresses() -> None:
    limits = BybitConfig(private_per_second=2, requests_per_5s=30)
    with market(msgspec.structs.replace(ANONYMOUS_CONFIG, bybit=limits)) as server:
        client = ccxt_of(server, "bob-key")
        client.load_markets()
        with pytest.raises(ccxt.RateLimitExceeded):
            [client.fetch_positions() for _ in range(1_000)]
        session = pybit_of(server, "cyd-key")
        answers = [session.get_account_info() for _ in range(5)]  # sleeps until the limit resets
        assert {answer["retCode"] for answer in answers} == {0}
        with pytest.raises(ccxt.RateLimitExceeded, match="too frequent"):
            [client.publicGetV5MarketAdlAlert() for _ in range(1_000)]
        with pytest.raises(FailedRequestError) as rejected:
            session.get_server_time()
        assert rejected.value.status_code == 403


# --- pybit ---


def test_pybit_reads_the_market_and_an_account(calm: LiveServer) -> None:
    session = pybit_of(calm, "bob-key")
    alert = session.get_adl_alert(symbol="BTCUSDT")
    assert alert["result"]["list"][0]["pnlRatio"] == "0"
    assert len(session.get_insurance()["result"]["list"]) == 3
    (position,) = session.get_positions(category="linear", symbol="BTCUSDT")["result"]["list"]
    assert position["adlRankIndicator"] == 5
    assert session.get_executions(category="linear")["result"]["list"] == []
    assert session.get_server_time()["retMsg"] == "OK"
    with pytest.raises(InvalidRequestError) as rejected:
        pybit_of(calm, "nobody").get_positions(category="linear", symbol="BTCUSDT")
    assert rejected.value.status_code == 10003


@contextmanager
def pybit_stream(server: LiveServer, kind: str, **keys: str) -> Iterator[Any]:
    """Open pybit's WebSocket at the served process; its addresses are constants of its module."""
    module = pybit.unified_trading
    before = module.PUBLIC_WSS, module.PRIVATE_WSS
    module.PUBLIC_WSS = server.ws + "/v5/public/{CHANNEL_TYPE}"
    module.PRIVATE_WSS = server.ws + "/v5/private"
    try:
        stream = module.WebSocket(testnet=False, channel_type=kind, **keys)
        yield stream
        stream.exit()
        stream.wst.join(PATIENCE_S)
    finally:
        module.PUBLIC_WSS, module.PRIVATE_WSS = before


def test_pybit_receives_repeated_alerts_and_pools_on_change(calm: LiveServer) -> None:
    messages: queue.Queue[dict[str, Any]] = queue.Queue()
    pools: queue.Queue[dict[str, Any]] = queue.Queue()
    with pybit_stream(calm, "linear") as stream:
        stream.subscribe("adlAlert.{symbol}", messages.put, "USDT")
        stream.insurance_pool_stream(["USDT"], pools.put)
        snapshot = pools.get(timeout=PATIENCE_S)
        assert (snapshot["topic"], snapshot["type"]) == ("insurance.USDT", "snapshot")
        assert [row["symbols"] for row in snapshot["data"]] == ["ALTUSDT"]
        first, second = messages.get(timeout=PATIENCE_S), messages.get(timeout=PATIENCE_S)
        assert second["ts"] > first["ts"]
        assert [row["s"] for row in second["data"]] == ["ALTUSDT", "BTCUSDT"]
        assert second["data"][1]["b"] == 1_000_000
        assert second["data"][1]["i_pr"] == -0.3
        assert pools.empty()
        submit_to(calm.service, [fund_alone(7)])
        delta = pools.get(timeout=PATIENCE_S)
        assert (delta["type"], delta["data"][0]["balance"]) == ("delta", "20007")


def test_pybit_receives_the_effect_of_adl_on_its_account() -> None:
    with market() as server:
        messages: queue.Queue[dict[str, Any]] = queue.Queue()
        keys = {"api_key": "bob-key", "api_secret": SECRET}
        with pybit_stream(server, "private", **keys) as stream:
            for subscribe in ("execution", "order", "position", "wallet"):
                getattr(stream, f"{subscribe}_stream")(messages.put)
            wait_until(lambda: len(private_topics(server)) == 4)
            submit_to(server.service, fall())
            by_topic = {message["topic"]: message["data"] for message in received(messages, 4)}
        (execution,) = by_topic["execution"]
        assert (execution["execType"], execution["createType"]) == (
            "AdlTrade",
            "CreateByAdl_PassThrough",
        )
        assert (execution["side"], execution["execQty"]) == ("Buy", "50")
        assert execution["execPnl"] == "175000"
        closing, cancelled = by_topic["order"]
        assert (closing["orderStatus"], closing["orderId"]) == ("Filled", execution["orderId"])
        assert (cancelled["orderId"], cancelled["cancelType"]) == ("bob-17", "CancelAllBeforeAdl")
        assert (cancelled["side"], cancelled["orderType"]) == ("Buy", "Limit")
        (position,) = by_topic["position"]
        assert (position["symbol"], position["size"]) == ("BTCUSDT", "0")
        (coin,) = by_topic["wallet"][0]["coin"]
        assert (coin["coin"], coin["walletBalance"], coin["equity"]) == ("USDT", "575000", "575000")
        (listed,) = pybit_of(server, "bob-key").get_executions(category="linear")["result"]["list"]
        assert {name: execution[name] for name in listed} == listed


def private_topics(server: LiveServer) -> tuple[str, ...]:
    """Return what the accounts' streams are listened to for."""
    (venue,) = {each for each in server.service.app._venues.values() if "v5" in each.parts}
    return tuple(venue._streams._private.hub.topics)  # type: ignore[attr-defined]


def received(messages: "queue.Queue[dict[str, Any]]", many: int) -> list[dict[str, Any]]:
    return [messages.get(timeout=PATIENCE_S) for _ in range(many)]


def test_ccxt_starts_and_reads_true_balances(calm: LiveServer) -> None:
    """hed is long 2 and short 1 at 100 across, at 10x: 30 of 510 are in use."""
    client = ccxt_of(calm, "hed-key")
    client.load_markets()
    assert client.is_unified_enabled() == [False, True]
    client.set_position_mode(True)
    with pytest.raises(ccxt.PermissionDenied):
        client.set_position_mode(False)
    balance = client.fetch_balance()
    assert [balance["USDT"][name] for name in ("total", "used", "free")] == [500.0, 20.0, 480.0]
    (account,) = balance["info"]["result"]["list"]
    assert (account["accountType"], account["totalEquity"]) == ("UNIFIED", "510")
    assert (account["totalInitialMargin"], account["totalAvailableBalance"]) == ("30", "480")
    (coin,) = client.privateGetV5AccountWalletBalance({"coin": "BTC"})["result"]["list"][0]["coin"]
    assert coin["coin"] == "BTC"
    assert client.fetch_open_orders(LINEAR) == []
    assert client.fetch_trading_fee(LINEAR)["taker"] == 0
    assert client.fetch_market_leverage_tiers(LINEAR)[0]["maxLeverage"] > 0
    assert client.fetch_ticker(LINEAR)["markPrice"] == 60000.0


def test_an_adl_fill_is_where_clients_look_for_it() -> None:
    with market() as server:
        submit_to(server.service, fall())
        client = ccxt_of(server, "bob-key")
        (order,) = client.fetch_canceled_and_closed_orders(LINEAR)
        assert (order["side"], order["filled"], order["status"]) == ("buy", 50.0, "closed")
        assert order["info"]["createType"] == "CreateByAdl_PassThrough"
        assert client.fetch_open_order(order["id"], LINEAR)["info"] == order["info"]
        (trade,) = client.fetch_my_trades(LINEAR, params={"execType": "AdlTrade"})
        assert (trade["order"], trade["amount"]) == (order["id"], 50.0)
        (closed,) = client.fetch_positions_history([LINEAR])
        assert closed["info"]["execType"] == "AdlTrade"
        (entry,) = client.fetch_ledger()
        assert entry["info"]["type"] == "ADL"


# --- ccxt.pro ---


def test_ccxt_pro_watches_the_balance_of_an_adl_fill() -> None:
    """The wallet says UNIFIED, the account type for which ccxt waits."""
    with market() as server:

        async def go() -> Any:
            client = ccxt.pro.bybit({"apiKey": "cyd-key", "secret": SECRET})
            sockets = {"contract": f"{server.ws}/v5/private", "unified": f"{server.ws}/v5/private"}
            client.urls["api"] = {
                **dict.fromkeys(client.urls["api"], server.url),
                "ws": {"private": sockets, "public": {}},
            }
            try:
                watching = asyncio.create_task(client.watch_balance())
                await asyncio.to_thread(wait_until, lambda: bool(private_topics(server)))
                await asyncio.to_thread(submit_to, server.service, fall())
                return await asyncio.wait_for(watching, PATIENCE_S)
            finally:
                await client.close()

        assert asyncio.run(go())["USDT"]["total"] > 0


def test_ccxt_pro_watches_an_adl_fill() -> None:
    with market() as server:

        async def go() -> list[dict[str, Any]]:
            client = ccxt.pro.bybit({"apiKey": "cyd-key", "secret": SECRET})
            sockets = {"contract": f"{server.ws}/v5/private"}
            client.urls["api"] = {
                **dict.fromkeys(client.urls["api"], server.url),
                "ws": {"private": sockets, "public": {}},
            }
            try:
                watching = asyncio.create_task(client.watch_my_trades(LINEAR))
                await asyncio.to_thread(wait_until, lambda: bool(private_topics(server)))
                await asyncio.to_thread(submit_to, server.service, fall())
                return list(await asyncio.wait_for(watching, PATIENCE_S))
            finally:
                await client.close()

        (trade,) = asyncio.run(go())
        assert (trade["symbol"], trade["side"], trade["amount"], trade["price"]) == (
            LINEAR,
            "buy",
            30.0,
            56500.0,
        )
        assert trade["info"]["execType"] == "AdlTrade"
