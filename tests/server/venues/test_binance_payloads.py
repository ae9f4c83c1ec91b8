"""Binance's documented samples, as this engine's numbers become them."""

import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from delever.config import ContractSymbols
from delever.core.market.contract_terms import terms_of
from delever.core.messages import (
    AdlFilled,
    ContractKind,
    DefineContract,
    MarginTier,
    Rating,
    Reason,
    RiskLevel,
    Side,
    TakenOver,
)
from delever.server.engine.account_snapshot import PositionSnapshot
from delever.server.venues.binance import account_payloads, payloads
from delever.server.venues.symbols import instrument
from table import Row, cases


def market(contract: str, *, mark: int = 0, spelling: str = "", **fields: Any) -> payloads.Market:
    definition = DefineContract(
        **{
            "time_ms": 1,
            "contract": contract,
            "kind": ContractKind.LINEAR,
            "settle": "USDT",
            "pool": "p",
            "tick_size": "0.01",
            "lot_size": "0.001",
            **fields,
        }
    )
    spelled = instrument(definition, ContractSymbols(binance=spelling))
    return payloads.Market(spelled, definition, terms_of(definition, 8), 8, mark, 5)


def inverse(contract: str, spelling: str) -> payloads.Market:
    return market(
        contract,
        spelling=spelling,
        kind=ContractKind.INVERSE,
        settle="BTC",
        tick_size="0.1",
        lot_size=1,
        multiplier=100,
    )


def position(
    side: Side,
    lots: int,
    cost_cash: int,
    unrealized_pnl_cash: int,
    margin_cash: int = 0,
    *,
    leverage_hundredths: int = 100,
    maintenance_cash: int = 0,
) -> PositionSnapshot:
    return PositionSnapshot(
        contract="C",
        side=side,
        position_id=0,
        lots=lots,
        cost_cash=cost_cash,
        unrealized_pnl_cash=unrealized_pnl_cash,
        margin_cash=margin_cash,
        isolated=margin_cash > 0,
        leverage_hundredths=leverage_hundredths,
        maintenance_cash=maintenance_cash,
        under_liquidation=False,
    )


def fill(**fields: Any) -> AdlFilled:
    values: dict[str, Any] = dict.fromkeys(AdlFilled.__struct_fields__, 0)
    values |= {"side": Side.SHORT, "account": "ann", "cancel_orders": (), "isolated": False}
    return AdlFilled(**(values | fields))


def rating(level: RiskLevel, time_ms: int) -> Rating:
    values: dict[str, Any] = dict.fromkeys(Rating.__struct_fields__, 0)
    return Rating(**(values | {"level": level, "time_ms": time_ms}))


def same(made: object, sample: str, changed: Mapping[str, object] | None = None) -> None:
    """Compare with a documented sample, key by key and in JSON's own types."""
    expected = json.loads(sample)
    if changed:
        expected |= changed
    assert json.loads(payloads.encode(made)) == expected


def test_adl_risk_of_one_symbol() -> None:
    same(
        payloads.adl_risk("BTCUSDT", rating(RiskLevel.LOW, 1597370495002), "documented"),
        '{"symbol":"BTCUSDT","adlRisk":"low","updateTime":1597370495002}',
    )


@pytest.mark.parametrize(
    ("level", "documented", "live"),
    [
        (RiskLevel.LOW, "low", "LOW"),
        (RiskLevel.MEDIUM, "medium", "MIDDLE"),
        (RiskLevel.HIGH, "high", "HIGH"),
        (RiskLevel.EXTREMELY_HIGH, "high", "EXTREMELY_HIGH"),
    ],
)
def test_adl_risk_has_documented_and_live_labels(
    level: RiskLevel, documented: str, live: str
) -> None:
    rated = rating(level, 1)
    said = [payloads.adl_risk("X", rated, choice)["adlRisk"] for choice in ("documented", "live")]
    assert said == [documented, live]


def test_an_unrated_symbol_has_an_empty_risk() -> None:
    unrated = {"symbol": "X", "adlRisk": "", "updateTime": 0}
    assert payloads.adl_risk("X", None, "live") == unrated


def test_insurance_balance_of_one_pool() -> None:
    same(
        payloads.insurance_balance(
            ["BTCUSDT", "BNBUSDT"], "USDT", 79393057931584800, 8, 1745366402000
        ),
        """{"symbols":["BNBUSDT","BTCUSDT"],"assets":[
        {"asset":"USDT","marginBalance":"793930579.315848","updateTime":1745366402000}]}""",
    )


def test_adl_quantiles_of_a_cross_hedge_and_of_the_rest() -> None:
    hedge = account_payloads.adl_quantile(
        "BTCUSD_200925", {Side.LONG: 4, Side.SHORT: 4}, hedge_mode=True, isolated=False
    )
    same(hedge, '{"symbol":"BTCUSD_200925","adlQuantile":{"LONG":3,"SHORT":3,"HEDGE":0}}')
    isolated = account_payloads.adl_quantile(
        "BTCUSD_201225", {Side.LONG: 2, Side.SHORT: 3}, hedge_mode=True, isolated=True
    )
    same(isolated, '{"symbol":"BTCUSD_201225","adlQuantile":{"LONG":1,"SHORT":2,"BOTH":0}}')
    one_way = account_payloads.adl_quantile("X", {Side.SHORT: 5}, hedge_mode=False, isolated=False)
    same(one_way, '{"symbol":"X","adlQuantile":{"LONG":0,"SHORT":0,"BOTH":4}}')


ADA = """{"symbol":"ADAUSDT","positionSide":"BOTH","positionAmt":"30","entryPrice":"0.385",
"breakEvenPrice":"0.385077","markPrice":"0.41047590","unRealizedProfit":"0.76427700",
"liquidationPrice":"0","isolatedMargin":"0","notional":"12.31427700","marginAsset":"USDT",
"isolatedWallet":"0","initialMargin":"0.61571385","maintMargin":"0.08004280",
"positionInitialMargin":"0.61571385","openOrderInitialMargin":"0","adl":2,"bidNotional":"0",
"askNotional":"0","updateTime":1720736417660}"""


def ada() -> tuple[payloads.Market, PositionSnapshot]:
    tiers = (MarginTier(notional_from=0, maintenance_rate="0.0065"),)
    mark = Fraction("4104.759")  # as documented, finer than the tick of 0.0001
    traded = market("ADAUSDT", mark=mark, tick_size="0.0001", lot_size=1, margin_tiers=tiers)
    cost = traded.terms.value_cash(30, 3850)
    value = traded.terms.value_cash(30, mark)
    maintenance = int(traded.terms.maintenance_cash(np.array([value]))[0])
    return traded, position(
        Side.LONG, 30, cost, value - cost, leverage_hundredths=2000, maintenance_cash=maintenance
    )


def test_position_of_version_3() -> None:
    traded, held = ada()
    made = account_payloads.position_v3(
        traded, held, hedge_mode=False, indicator=3, liquidation=None, time_ms=1720736417660
    )
    # Fees are not known here, and maintenance margin is rounded up.
    same(made, ADA, {"breakEvenPrice": "0.385", "maintMargin": "0.08004281"})


def test_position_of_version_2_has_leverage_and_margin_type_but_no_adl() -> None:
    traded, held = ada()
    made = account_payloads.position_v2(
        traded, held, hedge_mode=False, liquidation=Fraction(10**4, 3), time_ms=1
    )
    assert "adl" not in made
    assert (made["leverage"], made["marginType"]) == ("20", "cross")
    assert made["liquidationPrice"] == "0.33333333"
    isolated = position(Side.SHORT, 30, -held.cost_cash, -held.unrealized_pnl_cash, 10**9)
    made = account_payloads.position_v2(
        traded, isolated, hedge_mode=True, liquidation=None, time_ms=1
    )
    assert (made["positionSide"], made["positionAmt"]) == ("SHORT", "-30")
    assert (made["isolatedWallet"], made["isolatedMargin"]) == ("10.00000000", "9.23572300")
    assert made["notional"] == "-12.31427700"


def test_an_inverse_position_has_its_notional_in_the_base_asset() -> None:
    traded = inverse("BTCUSD", "BTCUSD_PERP")
    cost = traded.terms.value_cash(2, 376431)
    made = account_payloads.position_v2(
        traded, position(Side.LONG, 2, cost, 6413), hedge_mode=False, liquidation=None, time_ms=1
    )
    assert made["notionalValue"] == payloads.fixed(-(cost + 6413), 8)
    assert made["unRealizedProfit"] == "0.00006413"
    assert made["entryPrice"] == "37643.0907989"  # 200 USD / 0.00531306 BTC


FORCED = """{"orderId":6072734303,"symbol":"BTCUSDT","status":"FILLED",
"clientOrderId":"adl_autoclose","price":"11023.14","avgPrice":"10979.82000","origQty":"0.001",
"executedQty":"0.001","cumQuote":"10.97982","timeInForce":"GTC","type":"LIMIT",
"reduceOnly":false,"closePosition":false,"side":"BUY","positionSide":"SHORT","stopPrice":"0",
"workingType":"CONTRACT_PRICE","origType":"LIMIT","time":1596110725059,
"updateTime":1596110725071}"""


def test_an_adl_fill_is_a_forced_order() -> None:
    traded = market("BTCUSDT")
    closed = fill(fill=7, lots=1, price_ticks=1097982, value_cash=-1097982000)
    made = account_payloads.force_order(traded, closed, hedge_mode=True, time_ms=1596110725059)
    one_price = {"price": "10979.82", "avgPrice": "10979.82", "orderId": 14}
    same(made, FORCED, one_price | {"updateTime": 1596110725059})


INVERSE_FORCED = """{"orderId":165123080,"symbol":"BTCUSD_200925","pair":"BTCUSD",
"status":"FILLED","clientOrderId":"autoclose-1596542005017000006","price":"11326.9",
"avgPrice":"11326.9","origQty":"1","executedQty":"1","cumBase":"0.00882854","timeInForce":"IOC",
"type":"LIMIT","reduceOnly":false,"closePosition":false,"side":"SELL","positionSide":"BOTH",
"stopPrice":"0","workingType":"CONTRACT_PRICE","priceProtect":false,"origType":"LIMIT",
"time":1596542005019,"updateTime":1596542005050}"""


def taken(**fields: Any) -> TakenOver:
    values: dict[str, Any] = dict.fromkeys(TakenOver.__struct_fields__, 0)
    values |= {"side": Side.LONG, "account": "dan", "reason": Reason.VENUE_TAKEOVER}
    return TakenOver(**(values | fields))


def test_a_takeover_is_a_forced_order_of_an_inverse_contract() -> None:
    traded = inverse("BTCUSD", "BTCUSD_200925")
    value = traded.terms.trade_cash(1, 113269)
    gone = taken(takeover=6, lots=1, price_ticks=113269, value_cash=value)
    made = account_payloads.force_order(traded, gone, hedge_mode=False, time_ms=1596542005019)
    numbered = {"orderId": 13, "clientOrderId": "autoclose-6", "updateTime": 1596542005019}
    same(made, INVERSE_FORCED, numbered | {"cumBase": payloads.fixed(abs(value), 8)})
    assert made["cumBase"] in {"0.00882854", "0.00882855"}


ORDER = """{"e":"ORDER_TRADE_UPDATE","E":1568879465651,"T":1568879465650,"o":{"s":"BTCUSDT",
"c":"adl_autoclose","S":"BUY","o":"LIMIT","f":"GTC","q":"0.001","p":"11023.14","ap":"10979.82",
"sp":"0","x":"CALCULATED","X":"FILLED","i":6072734303,"l":"0.001","z":"0.001","L":"10979.82",
"N":"USDT","n":"0","T":1568879465650,"t":12345,"b":"0","a":"0","m":false,"R":false,
"wt":"CONTRACT_PRICE","ot":"LIMIT","ps":"SHORT","cp":false,"rp":"1.5","pP":false,"si":0,"ss":0,
"V":"NONE","pm":"NONE","gtd":0,"er":"0"}}"""


def test_an_adl_fill_on_the_stream_is_new_and_then_filled() -> None:
    closed = fill(
        fill=12345, lots=1, price_ticks=1097982, value_cash=-1097982000, realized_pnl_cash=150000000
    )

    def made(status: str) -> payloads.Json:
        return account_payloads.order_update(
            market("BTCUSDT"),
            closed,
            status,
            hedge_mode=True,
            time_ms=1568879465650,
            sent_ms=1568879465651,
        )

    sample = json.loads(ORDER)
    sample["o"] |= {"p": "10979.82", "i": 24690}
    same(made(account_payloads.FILLED), json.dumps(sample))
    new = made(account_payloads.NEW)["o"]
    assert (new["c"], new["X"], new["x"]) == ("adl_autoclose", "NEW", "NEW")
    assert (new["z"], new["l"], new["ap"], new["rp"], new["t"]) == ("0", "0", "0", "0", 0)
    assert new.keys() == sample["o"].keys()


def test_order_ids_of_fills_and_takeovers_are_unique() -> None:
    ids = [account_payloads.order_id(fill(fill=n)) for n in range(1, 9)]
    ids += [account_payloads.order_id(taken(takeover=n)) for n in range(1, 9)]
    assert len(set(ids)) == 16


def test_account_update_has_balances_and_open_and_closed_positions() -> None:
    traded, held = ada()
    made = account_payloads.account_update(
        "ORDER",
        [account_payloads.balance_row("USDT", 10_010_000_000, 50_000_000, 8)],
        [
            account_payloads.position_row(traded, held, hedge_mode=False),
            account_payloads.closed_row(traded, Side.SHORT, hedge_mode=True, isolated=True),
        ],
        time_ms=1,
        sent_ms=2,
    )
    same(
        made,
        """{"e":"ACCOUNT_UPDATE","E":2,"T":1,"a":{"m":"ORDER",
        "B":[{"a":"USDT","wb":"100.60000000","cw":"100.10000000","bc":"0"}],
        "P":[{"s":"ADAUSDT","pa":"30","ep":"0.385","bep":"0.385","cr":"0","up":"0.76427700",
        "mt":"cross","iw":"0","ps":"BOTH"},{"s":"ADAUSDT","pa":"0","ep":"0","bep":"0","cr":"0","up":"0",
        "mt":"isolated","iw":"0","ps":"SHORT"}]}}""",
    )


def test_leverage_brackets_follow_the_margin_tiers() -> None:
    tiers = (
        MarginTier(notional_from=0, maintenance_rate="0.0065"),
        MarginTier(notional_from=10_000, maintenance_rate="0.01"),
    )
    same(
        payloads.leverage_bracket(market("BTCUSDT", margin_tiers=tiers))["brackets"][0],
        """{"bracket":1,"initialLeverage":75,"notionalCap":10000,"notionalFloor":0,
        "maintMarginRatio":0.0065,"cum":0}""",
        {"initialLeverage": 153},
    )
    second = payloads.leverage_bracket(market("BTCUSDT", margin_tiers=tiers))["brackets"][1]
    assert (second["notionalFloor"], second["maintMarginRatio"], second["cum"]) == (10000, 0.01, 35)


def test_a_multiplier_scales_linear_quantities_and_is_the_size_of_inverse_contracts() -> None:
    thousand = market("1000PEPEUSDT", lot_size=1, multiplier=1000)
    coin = inverse("BTCUSD", "BTCUSD_PERP")
    assert (thousand.quantity(-3), coin.quantity(3)) == ("-3000", "3")
    symbols = payloads.exchange_info([thousand, coin], 1, 2400)["symbols"]
    assert [each.get("contractSize") for each in symbols] == [None, 100]
    assert [each["filters"][1]["stepSize"] for each in symbols] == ["1000", "1"]
    assert [(each["pricePrecision"], each["quantityPrecision"]) for each in symbols] == [
        (2, 0),
        (1, 0),
    ]


def test_premium_index_has_the_mark_price_and_zeros() -> None:
    made = payloads.premium_index(market("BTCUSDT", mark=1179363))
    zeros = ("indexPrice", "estimatedSettlePrice", "lastFundingRate", "interestRate")
    sample = '{"symbol":"BTCUSDT","markPrice":"11793.63000000","nextFundingTime":0,"time":5}'
    same(made, sample, dict.fromkeys(zeros, "0.00000000"))


@pytest.mark.parametrize("row", cases("binance_times.txt"))
def test_request_timestamps_are_checked_against_the_window(row: Row) -> None:
    numbers = (int(row[name]) for name in ("timestamp", "recv_window", "now"))
    error = payloads.timing_error(*numbers)
    assert {"code": str(error.code) if error else ""} == row.expected


@pytest.mark.parametrize("row", cases("binance_payloads.txt"))
def test_signed_bytes_are_query_and_body_without_the_signature(row: Row) -> None:
    payload, signature = payloads.split_signature(row["query"].encode(), row["body"].encode())
    assert {"payload": payload.decode(), "signature": signature or ""} == row.expected
