"""Bybit's documented samples, made out of the engine's numbers, field by field."""

import json
from decimal import Decimal
from typing import Any

import pytest

from delever.config import ContractSymbols
from delever.core.market.contract_terms import ContractTerms, terms_of
from delever.core.messages import AdlFilled, ContractKind, DefineContract, Reason, Side, TakenOver
from delever.server.engine.account_snapshot import PositionSnapshot
from delever.server.venues import amounts
from delever.server.venues.bybit import account_payloads, payloads
from delever.server.venues.fill_log import ForcedOrder
from delever.server.venues.symbols import instrument

SAMPLE_ALERT = {
    "coin": "USDT",
    "symbol": "BTCUSDT",
    "balance": "92203504694.99632",
    "maxBalance": "",
    "insurancePnlRatio": "-0.3",
    "pnlRatio": "-0.560973",
    "adlTriggerThreshold": "10000",
    "adlStopRatio": "-0.25",
}
LIMITS = {
    "pnl_ratio_ppm": -560_973,
    "start_ppm": -300_000,
    "stop_ppm": -250_000,
    "trigger_threshold_cash": 10_000 * 10**8,
}


def contract(name: str, kind: ContractKind, *, tick: str, lot: str | int, **more: Any) -> Any:
    settle = "USDT" if kind is ContractKind.LINEAR else "BTC"
    definition = DefineContract(
        time_ms=0,
        contract=name,
        kind=kind,
        settle=settle,
        pool="p",
        tick_size=tick,
        lot_size=lot,
        **more,
    )
    terms = terms_of(definition, 8)
    return account_payloads.BybitMarket(instrument(definition, ContractSymbols()), terms, 8)


EXECUTION = """
symbol orderType underlyingPrice orderLinkId side indexPrice orderId stopOrderType
leavesQty execTime feeCurrency isMaker execFee feeRate execId tradeIv blockTradeId
markPrice execPrice markIv orderQty orderPrice execValue execType execQty closedSize
extraFees seq
"""
DOCUMENTED = set(EXECUTION.split())

LINEAR = contract("BTCUSDT", ContractKind.LINEAR, tick="0.1", lot="0.001")
INVERSE = contract("BTCUSD", ContractKind.INVERSE, tick="0.5", lot=1)


def fill(**more: Any) -> AdlFilled:
    numbers = dict.fromkeys(
        (name for name, kind in AdlFilled.__annotations__.items() if kind is int), 0
    )
    words = {
        "pool": "p",
        "liquidated_account": "x",
        "contract": "BTCUSDT",
        "side": Side.LONG,
        "account": "a",
        "isolated": False,
        "price_rule": "r",
        "score": 0.0,
        "cancel_orders": (),
    }
    return AdlFilled(**{**numbers, **words, **more})


def test_alert_as_documented() -> None:
    made = payloads.adl_alert("USDT", "BTCUSDT", 8, 9220350469499632000, (0, 0), LIMITS)
    assert made.rest() == SAMPLE_ALERT
    result = payloads.listed([made.rest()], 1757733960000)
    assert json.loads(payloads.answer(result, 1757734022014)) == {
        "retCode": 0,
        "retMsg": "OK",
        "result": {"updatedTime": "1757733960000", "list": [SAMPLE_ALERT]},
        "retExtInfo": {},
        "time": 1757734022014,
    }


def test_alert_of_the_stream_as_documented_to_the_last_digit() -> None:
    numbers = {**LIMITS, "pnl_ratio_ppm": 0}
    made = payloads.adl_alert("USDT", "FWOGUSDT", 8, -542129889888, (0, 0), numbers)
    assert payloads.push("adlAlert.USDT", "snapshot", 1757736794000, [made.frame()]) == (
        '{"topic":"adlAlert.USDT","type":"snapshot","ts":1757736794000,"data":[{"c":"USDT",'
        '"s":"FWOGUSDT","b":-5421.29889888,"mb":"","i_pr":-0.3,"pr":0,"adl_tt":10000,'
        '"adl_sr":-0.25}]}'
    )


@pytest.mark.parametrize(
    ("drawdown", "ratio"),
    [((0, 100), "0"), ((30, 100), "-0.3"), ((1, 3), "-0.333333"), ((5, 0), "0"), ((5, -1), "0")],
)
@pytest.mark.parametrize("equity_cash", [-5, 5, 2**63])
def test_without_a_contract_drawdown_the_limits_are_numbers_that_never_start_it(
    drawdown: tuple[int, int], ratio: str, equity_cash: int
) -> None:
    made = payloads.adl_alert("USDT", "X", 8, equity_cash, drawdown, None)
    row = made.rest()
    assert row["pnlRatio"] == ratio
    assert (row["insurancePnlRatio"], row["adlStopRatio"]) == ("-1", "-1")
    assert Decimal(row["balance"]) <= Decimal(row["adlTriggerThreshold"])
    frame = json.loads(payloads.push("adlAlert.USDT", "snapshot", 1, [made.frame()]))["data"][0]
    assert {type(frame[name]) for name in ("b", "i_pr", "pr", "adl_tt", "adl_sr")} <= {int, float}


def test_pool_as_documented() -> None:
    shared = payloads.InsurancePool(
        "USDT",
        "USDT",
        ("MERLUSDT", "ZEUSUSDT"),
        amounts.cash(90217857602476, 8),
        amounts.value_at(90217857602476, 8, (999689, 6)),
        isolated=False,
    )
    assert shared.rest() == {
        "coin": "USDT",
        "symbols": "MERLUSDT,ZEUSUSDT",
        "balance": "902178.57602476",
        "value": "901897.99848762",
    }
    alone = payloads.InsurancePool(
        "USDT", "USDT", ("GRIFFAINUSDT",), "25614.92972633", "0", isolated=True
    ).frame(1747722930000)
    assert json.loads(payloads.push("insurance.USDT", "delta", 1747722930000, [alone])) == {
        "topic": "insurance.USDT",
        "type": "delta",
        "ts": 1747722930000,
        "data": [
            {
                "coin": "USDT",
                "symbols": "GRIFFAINUSDT",
                "balance": "25614.92972633",
                "updateTime": "1747722930000",
            }
        ],
    }


def test_time_as_documented_to_the_millisecond() -> None:
    assert json.loads(payloads.server_time(1688639403423)) == {
        "timeSecond": "1688639403",
        "timeNano": "1688639403423000000",
    }


def test_position_as_documented() -> None:
    """BTCUSD, short 300 from 27464.50441675, at a mark of 28224.50."""
    terms: ContractTerms = INVERSE.terms
    mark = 56449
    cost = terms.cost_cash(Side.SHORT, 300, (2746450441675, 8))
    held = PositionSnapshot(
        contract="BTCUSD",
        side=Side.SHORT,
        position_id=0,
        lots=300,
        cost_cash=cost,
        unrealized_pnl_cash=int(terms.value_cash(-300, mark)) - cost,
        margin_cash=0,
        isolated=False,
        leverage_hundredths=1000,
        maintenance_cash=150,
        under_liquidation=False,
    )
    context = account_payloads.BybitPositionContext(
        mark, 2, "Normal", None, 5723621632, 1697673600012
    )
    row = account_payloads.position_row(INVERSE, held, context, hedge_mode=False)
    documented = {
        "positionIdx": 0,
        "symbol": "BTCUSD",
        "side": "Sell",
        "size": "300",
        "avgPrice": "27464.50441675",
        "positionValue": "0.01092319",
        "tradeMode": 0,
        "positionStatus": "Normal",
        "adlRankIndicator": 2,
        "leverage": "10",
        "markPrice": "28224.5",
        "liqPrice": "",
        "positionMM": "0.0000015",
        "tpslMode": "Full",
        "unrealisedPnl": "-0.00029413",
        "seq": 5723621632,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "updatedTime": "1697673600012",
    }
    assert {name: row[name] for name in documented} == documented

    assert type(row["adlRankIndicator"]) is int
    frame = account_payloads.position_frame(INVERSE, row)
    assert (frame["category"], frame["entryPrice"]) == ("inverse", row["avgPrice"])
    assert "avgPrice" not in frame


@pytest.mark.parametrize(
    ("hedge_mode", "side", "index"),
    [(False, Side.LONG, 0), (False, Side.SHORT, 0), (True, Side.LONG, 1), (True, Side.SHORT, 2)],
)
def test_position_index(*, hedge_mode: bool, side: Side, index: int) -> None:
    assert account_payloads.position_index(side, hedge_mode=hedge_mode) == index


def test_execution_of_an_adl_fill_as_observed() -> None:
    event = fill(fill=7, lots=500, price_ticks=959001, value_cash=4795005000000)
    order = ForcedOrder(140612148849382, 1746270400353, event)
    frame = account_payloads.execution_frame(LINEAR, order)
    observed = {
        "category": "linear",
        "symbol": "BTCUSDT",
        "execType": "AdlTrade",
        "createType": "CreateByAdl_PassThrough",
        "execPrice": "95900.1",
        "execQty": "0.5",
        "closedSize": "0.5",
        "side": "Sell",
        "execTime": "1746270400353",
        "execFee": "0",
        "isMaker": False,
        "seq": 140612148849382,
    }
    assert {name: frame[name] for name in observed} == observed
    assert (frame["execId"], frame["execValue"]) == ("adl-7", "47950.05")
    row = account_payloads.execution_row(LINEAR, order)
    assert row.keys() == DOCUMENTED | {"createType"}


def test_execution_of_a_takeover_is_a_bust_trade() -> None:
    event = TakenOver(
        takeover=3,
        contract="BTCUSDT",
        side=Side.SHORT,
        account="a",
        position=0,
        lots=1,
        price_ticks=600000,
        value_cash=-6000000000,
        cost_cash=0,
        margin_cash=0,
        realized_pnl_cash=-12,
        to_wallet_cash=0,
        to_pool_cash=0,
        equity_cash=0,
        maintenance_cash=0,
        reason=Reason.VENUE_TAKEOVER,
    )
    row = account_payloads.execution_frame(LINEAR, ForcedOrder(1, 0, event))
    assert (row["execType"], row["createType"]) == ("BustTrade", "CreateByTakeOver_PassThrough")
    assert (row["side"], row["execId"], row["execValue"]) == ("Buy", "takeover-3", "60")


def test_quantities_follow_the_multiplier() -> None:
    small = contract("PEPEUSDT", ContractKind.LINEAR, tick="0.001", lot=1, multiplier="1000")
    assert amounts.units(small.terms, 3) == "3000"
    assert amounts.contracts(small.terms, 3) == "3"
    row = payloads.contract_row(small.instrument, small.terms)
    assert row["lotSizeFilter"]["qtyStep"] == "1000"
    assert row["priceScale"] == "3"


@pytest.mark.parametrize(
    ("made", "documented"),
    [
        (
            payloads.acknowledgement("subscribe", "test", "c"),
            {"success": True, "ret_msg": "", "conn_id": "c", "req_id": "test", "op": "subscribe"},
        ),
        (
            payloads.pong("100001", "c", 5, private=False),
            {"success": True, "ret_msg": "pong", "conn_id": "c", "req_id": "100001", "op": "ping"},
        ),
        (
            payloads.pong("test", "c", 1675418560633, private=True),
            {"req_id": "test", "op": "pong", "args": ["1675418560633"], "conn_id": "c"},
        ),
        (
            payloads.acknowledgement("auth", 1, "c", "error:x"),
            {
                "success": False,
                "ret_msg": "error:x",
                "conn_id": "c",
                "req_id": 1,
                "op": "auth",
                "request": {"op": "auth", "args": None},
            },
        ),
    ],
)
def test_frames_as_documented(made: str, documented: dict[str, object]) -> None:
    assert json.loads(made) == documented
