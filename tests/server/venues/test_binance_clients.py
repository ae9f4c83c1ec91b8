"""ccxt's own clients of Binance against a really served engine."""

import hashlib
import hmac
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import ccxt
import httpx2 as httpx
import msgspec
import pytest
from binance_market import SECRET, add_account_keys, fall, opening, submit_to
from live_server import ANONYMOUS_CONFIG, LiveServer, live_server

from delever.core import messages as m
from waiting import PATIENCE_S

BTC, ETH, COIN = "BTC/USDT:USDT", "ETH/USDT:USDT", "BTC/USD:BTC"


@pytest.fixture(scope="module")
def crashed() -> Iterator[LiveServer]:
    """A market after its crash: ann and bob were deleveraged, dan was taken over."""
    with live_server() as server:
        add_account_keys(server.service)
        submit_to(server.service, [*opening(), *fall()])
        yield server


@pytest.fixture(scope="module")
def calm() -> Iterator[LiveServer]:
    with live_server() as server:
        add_account_keys(server.service)
        submit_to(server.service, opening())
        yield server


def client_at(exchange: Any, url: str) -> Any:
    """Point a client at a server as its documentation says: every base URL replaced."""

    def moved(there: Any) -> Any:
        if isinstance(there, dict):
            return {name: moved(each) for name, each in there.items()}
        base = url.replace("http", "ws", 1) if there.startswith("ws") else url
        return base + urlsplit(there).path

    exchange.urls["api"] = moved(exchange.urls["api"])
    return exchange


def usdm(server: LiveServer, key: str = "ann-key", secret: str = SECRET) -> Any:
    keys = {"apiKey": key, "secret": secret, "enableRateLimit": False}
    return client_at(ccxt.binanceusdm(keys), server.url)


def coinm(server: LiveServer, key: str = "inv-key") -> Any:
    keys = {"apiKey": key, "secret": SECRET, "enableRateLimit": False}
    return client_at(ccxt.binancecoinm(keys), server.url)


def test_markets_parse_in_full(calm: LiveServer) -> None:
    market = usdm(calm).load_markets()[BTC]
    assert (market["active"], market["linear"], market["settle"]) == (True, True, "USDT")
    assert market["precision"]["price"] == 0.1
    assert market["precision"]["amount"] == 0.001
    inverse = coinm(calm).load_markets()[COIN]
    assert (inverse["inverse"], inverse["contractSize"], inverse["settle"]) == (True, 100, "BTC")


def test_adl_rank_of_a_symbol(calm: LiveServer) -> None:
    rank = usdm(calm).fetch_adl_rank(BTC)
    assert (rank["symbol"], rank["rating"]) == (BTC, "medium")
    assert abs(rank["timestamp"] - time.time() * 1000) < 60_000
    unrated = usdm(calm).fetch_adl_rank("NEW/USDT:USDT")
    assert (unrated["rating"], unrated["rank"]) == (None, None)


def test_adl_risk_with_live_labels_passes_through_ccxt() -> None:
    live = msgspec.convert({"adl_risk_labels": "live"}, type(ANONYMOUS_CONFIG.binance))
    with live_server(msgspec.structs.replace(ANONYMOUS_CONFIG, binance=live)) as server:
        add_account_keys(server.service)
        submit_to(server.service, opening())
        assert usdm(server).fetch_adl_rank(BTC)["rating"] == "middle"
        raw = usdm(server).fapiPublicGetSymbolAdlRisk()
        assert [row["adlRisk"] for row in raw] == ["MIDDLE", "MIDDLE"]


def test_adl_ranks_of_positions(calm: LiveServer) -> None:
    ranks = usdm(calm).fetch_positions_adl_rank()
    assert [(each["symbol"], each["rank"]) for each in ranks] == [(BTC, 4.0)]
    assert usdm(calm).fetch_position_adl_rank(BTC)["rank"] == 4.0
    (inverse,) = coinm(calm).fetch_positions_adl_rank()
    assert inverse["info"]["adlQuantile"] == {"LONG": 0, "SHORT": 0, "BOTH": 4}
    with pytest.raises(ccxt.NullResponse):  # what ccxt makes of an account without the position
        usdm(calm).fetch_position_adl_rank(ETH)


def test_adl_ranks_of_hedges(calm: LiveServer) -> None:
    (cross,) = usdm(calm, "hed-key").fetch_positions_adl_rank()
    assert cross["info"]["adlQuantile"] == {"LONG": 4, "SHORT": 4, "HEDGE": 0}
    assert cross["rank"] == 4.0
    (isolated,) = usdm(calm, "iso-key").fetch_positions_adl_rank()
    assert isolated["info"]["adlQuantile"] == {"LONG": 4, "SHORT": 0, "BOTH": 0}


def under(rules: str) -> list[m.Command]:
    """Return the opening of the market with another rule set behind every fund."""
    return [
        msgspec.structs.replace(command, rules=rules)
        if isinstance(command, m.DefinePool)
        else command
        for command in opening()
    ]


@pytest.mark.parametrize(("rules", "quantile"), [("bybit", 4), ("bitmex", 2), ("gmx", 4)])
def test_a_cross_hedge_has_one_quantile_under_every_rule_set(rules: str, quantile: int) -> None:
    """BIN-05: where HEDGE stands, LONG and SHORT have the higher quantile of both."""
    with live_server() as server:
        add_account_keys(server.service)
        submit_to(server.service, under(rules))
        (cross,) = usdm(server, "hed-key").fetch_positions_adl_rank()
        expected = {"LONG": quantile, "SHORT": quantile, "HEDGE": 0}
        assert cross["info"]["adlQuantile"] == expected
        rows = usdm(server, "hed-key").fapiPrivateV3GetPositionRisk()
        assert [row["adl"] for row in rows] == [quantile] * 2
        (isolated,) = usdm(server, "iso-key").fetch_positions_adl_rank()
        assert "BOTH" in isolated["info"]["adlQuantile"]


def test_adl_ranks_through_portfolio_margin(calm: LiveServer) -> None:
    client = usdm(calm)
    ranks = client.fetch_positions_adl_rank(params={"portfolioMargin": True})
    assert [each["rank"] for each in ranks] == [4.0]
    assert client.papiGetCmAdlQuantile() == []


def test_positions(calm: LiveServer) -> None:
    (position,) = usdm(calm).fetch_positions()
    assert (position["side"], position["contracts"], position["marginMode"]) == (
        "short",
        0.6,
        "isolated",
    )
    assert position["unrealizedPnl"] == 600.0
    assert position["liquidationPrice"] == 63184.07960199
    assert position["info"]["adl"] == 4
    (older,) = usdm(calm).fapiPrivateV2GetPositionRisk()
    assert (older["leverage"], "adl" in older) == ("50", False)
    (inverse,) = coinm(calm).fetch_positions()
    assert (inverse["side"], inverse["contracts"], inverse["unrealizedPnl"]) == ("long", 600, 0.2)
    assert inverse["liquidationPrice"] == 35470.58823529
    both = usdm(calm, "hed-key").fetch_positions()
    assert [(each["side"], each["hedged"]) for each in both] == [("long", True), ("short", True)]


def test_insurance_balance(calm: LiveServer) -> None:
    pool = {"symbols": ["BTCUSDT", "ETHUSDT", "NEWUSDT"]}
    (shared,) = usdm(calm).fapiPublicGetInsuranceBalance()
    assert shared["symbols"] == pool["symbols"]
    assert shared["assets"][0]["marginBalance"] == "1500"
    one = usdm(calm).fapiPublicGetInsuranceBalance({"symbol": "ETHUSDT"})
    assert one["symbols"] == pool["symbols"]


def test_forced_orders(crashed: LiveServer) -> None:
    client = usdm(crashed)
    (row,) = client.fapiPrivateGetForceOrders()
    assert (row["clientOrderId"], row["origQty"], row["avgPrice"]) == (
        "adl_autoclose",
        "0.6",
        "57000",
    )
    assert client.fapiPrivateGetForceOrders({"autoCloseType": "LIQUIDATION"}) == []
    assert client.fapiPrivateGetForceOrders({"symbol": "ETHUSDT"}) == []
    day_ms = 24 * 3_600_000
    old = {"startTime": client.milliseconds() - 9 * day_ms}
    assert len(client.fapiPrivateGetForceOrders(old)) == 1
    assert client.fapiPrivateGetForceOrders({"endTime": client.milliseconds() - day_ms}) == []
    (closed,) = client.fetch_my_liquidations(BTC, params={"autoCloseType": "ADL"})
    assert closed["price"] == 57000.0
    assert coinm(crashed).dapiPrivateGetForceOrders() == []


def test_error_classes(calm: LiveServer) -> None:
    with pytest.raises(ccxt.BadSymbol):
        usdm(calm).fapiPublicGetSymbolAdlRisk({"symbol": "XYZ"})
    with pytest.raises(ccxt.AuthenticationError):
        usdm(calm, secret="wrong").fapiPrivateGetAdlQuantile()
    with pytest.raises(ccxt.AuthenticationError):
        usdm(calm, key="nobody").fapiPrivateGetAdlQuantile()
    with pytest.raises(ccxt.AuthenticationError):
        usdm(calm, key="desk-key").fapiPrivateGetAdlQuantile()
    late = usdm(calm)
    late.options["timeDifference"] = 60_000
    with pytest.raises(ccxt.InvalidNonce):
        late.fapiPrivateGetAdlQuantile()
    with pytest.raises(ccxt.BadRequest):
        usdm(calm).fapiPrivateGetForceOrders({"limit": "many"})
    with pytest.raises(ccxt.ExchangeError):
        usdm(calm).fapiPrivateGetBalance()


def test_a_client_over_its_limit_gets_429_and_then_a_ban() -> None:
    limits = msgspec.convert(
        {"weight_per_minute": 40, "ban_after": 3}, type(ANONYMOUS_CONFIG.binance)
    )
    config = msgspec.structs.replace(ANONYMOUS_CONFIG, binance=limits)
    with live_server(config, now_ms=lambda: 1_795_000_000_000) as server:
        client = usdm(server)
        statuses = []
        for _ in range(45):
            try:
                client.fapiPublicGetPing()
            except ccxt.DDoSProtection as error:
                statuses.append(str(error).split()[1])
        assert statuses == ["429", "429", "429", "418", "418"]


def test_keyed_clients_load_without_options(calm: LiveServer) -> None:
    client = client_at(ccxt.binance({"apiKey": "ann-key", "secret": SECRET}), calm.url)
    assert client.sapiGetMarginAllPairs() == []
    assert client.sapiGetCapitalConfigGetall() == []


def all_products(server: LiveServer, key: str = "ann-key") -> Any:
    """Return the client of spot, USDⓈ-M and COIN-M at once, as it is without options."""
    keys = {"apiKey": key, "secret": SECRET, "enableRateLimit": False}
    return client_at(ccxt.binance(keys), server.url)


def test_the_client_of_all_products_loads_its_markets(calm: LiveServer) -> None:
    client = all_products(calm)
    assert set(client.load_markets()) == {BTC, ETH, "NEW/USDT:USDT", COIN}
    assert (client.fetch_status()["status"], client.fetch_currencies()) == ("ok", {})


@pytest.mark.parametrize("portfolio", [False, True])
def test_an_adl_fill_is_where_clients_look_for_it(crashed: LiveServer, *, portfolio: bool) -> None:
    client, more = all_products(crashed), {"portfolioMargin": portfolio} if portfolio else {}
    (trade,) = client.fetch_my_trades(BTC, params=more)
    assert (trade["side"], trade["amount"], trade["price"]) == ("buy", 0.6, 57000.0)
    (order,) = client.fetch_orders(BTC, params=more)
    assert (order["clientOrderId"], order["status"], order["filled"]) == (
        "adl_autoclose",
        "closed",
        0.6,
    )
    assert trade["order"] == order["id"]
    assert client.fetch_order(order["id"], BTC, params=more)["info"] == order["info"]
    assert client.fetch_open_orders(BTC, params=more) == []
    (entry,) = client.fetch_ledger("USDT", params={"type": "future", **more})
    assert (entry["amount"], entry["info"]["incomeType"]) == (2400.0, "REALIZED_PNL")
    (closed,) = client.fetch_my_liquidations(BTC, params={"autoCloseType": "ADL", **more})
    assert closed["price"] == 57000.0
    with pytest.raises(ccxt.OrderNotFound):
        client.fetch_order("7", BTC, params=more)


def test_balances_subtract_the_margin_in_use(calm: LiveServer) -> None:
    """hed is long 2 and short 1 ETH at 3,000 across, at 10x: 900 of 5,200 are in use."""
    balance = all_products(calm, "hed-key").fetch_balance({"type": "future"})
    assert [balance["USDT"][name] for name in ("total", "used", "free")] == [5000.0, 900.0, 4100.0]
    info = balance["info"]
    assert (info["totalMarginBalance"], info["totalCrossUnPnl"]) == ("5000", "0")
    assert [row["symbol"] for row in info["positions"]] == ["ETHUSDT", "ETHUSDT"]
    rows = usdm(calm, "iso-key").fapiPrivateV3GetBalance()
    assert [(row["asset"], row["balance"], row["availableBalance"]) for row in rows] == [
        ("USDT", "4000", "0")
    ]


def test_modes_are_read_and_not_changed(calm: LiveServer) -> None:
    client = all_products(calm, "hed-key")
    client.load_markets()
    assert client.fetch_position_mode(BTC)["hedged"] is True
    with pytest.raises(ccxt.BaseError, match="-4059"):
        client.set_position_mode(True, BTC)
    with pytest.raises(ccxt.AuthenticationError):
        client.set_position_mode(False, BTC)
    with pytest.raises(ccxt.BaseError, match="-4171"):
        client.fapiPrivatePostMultiAssetsMargin({"multiAssetsMargin": "false"})


def test_raw_answers_of_public_and_private_endpoints(calm: LiveServer) -> None:
    """The headers and forms that ccxt hides; signed over raw, unsorted, percent-encoded bytes."""
    reply = httpx.get(
        calm.url + "/fapi/v1/symbolAdlRisk", headers={"x-mbx-apikey": ""}, timeout=PATIENCE_S
    )
    assert reply.headers["content-type"] == "application/json"
    assert int(reply.headers["x-mbx-used-weight-1m"]) > 0
    query = f"symbol=BTC%55SDT&recvWindow=5000&note=%7e+&timestamp={int(time.time() * 1000)}"
    signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    url = f"{calm.url}/fapi/v1/adlQuantile?{query}&signature={signature}"
    headers = {"X-MBX-APIKEY": "ann-key", "Content-Type": "application/json"}
    assert httpx.get(url, headers=headers, timeout=PATIENCE_S).json()[0]["symbol"] == "BTCUSDT"
