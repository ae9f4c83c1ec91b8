"""OKX's documented samples, made out of the engine's numbers, field by field."""

import json

import pytest

from delever.config import ContractSymbols
from delever.core.market.contract_terms import terms_of
from delever.core.messages import ContractKind, DefineContract, Reason, Side
from delever.core.rules import RULE_SETS
from delever.server.engine.account_snapshot import PositionSnapshot
from delever.server.venues.okx import payloads
from delever.server.venues.symbols import instrument


def test_fund_as_documented() -> None:
    entry = payloads.FundEntry(
        payloads.FundType.ADL,
        1597026383085,
        balance_cash=999912,
        peak_cash=1200050,
        adl=payloads.adl_start(Reason.POOL_DRAWDOWN_LIMIT),
    )
    fund = payloads.fund("BTC-USDT", "1369179138.7489", [entry.row("USDT", 2)])
    assert json.loads(payloads.answer([fund])) == {
        "code": "0",
        "msg": "",
        "data": [
            {
                "total": "1369179138.7489",
                "instFamily": "BTC-USDT",
                "instType": "SWAP",
                "details": [
                    {
                        "balance": "9999.12",
                        "amt": "",
                        "ccy": "USDT",
                        "type": "adl",
                        "maxBal": "12000.5",
                        "maxBalTs": "",
                        "decRate": "",
                        "adlType": "rate_adl_start",
                        "ts": "1597026383085",
                    }
                ],
            }
        ],
    }
    regular = payloads.FundEntry(payloads.FundType.REGULAR, 5, 134313080000).row("ETH", 8)
    assert (regular["balance"], regular["amt"], regular["maxBal"]) == ("1343.1308", "", "")


def test_every_trigger_of_every_rule_set_has_an_okx_start() -> None:
    starts = {
        case.trigger.reason: payloads.adl_start(case.trigger.reason)
        for rules in RULE_SETS.values()
        for case in rules.cases
    }
    assert starts[Reason.POOL_EQUITY_NOT_POSITIVE] == "bal_adl_start"
    assert starts[Reason.INSUFFICIENT_DEPTH] == "pos_adl_start"
    assert set(starts.values()) == {"rate_adl_start", "bal_adl_start", "pos_adl_start"}


def test_warning_as_documented() -> None:
    row = payloads.warning_row(
        "BTC-USDT", payloads.WarningState.WARNING, "280784384.95642282", 1700210763001
    )
    argument = {"channel": "adl-warning", "instType": "SWAP", "instFamily": "BTC-USDT"}
    assert json.loads(payloads.push(argument, [row])) == {
        "arg": argument,
        "data": [
            {
                "instType": "SWAP",
                "instFamily": "BTC-USDT",
                "state": "warning",
                "bal": "280784384.95642282",
                "ccy": "",
                "maxBal": "",
                "maxBalTs": "",
                "adlType": "",
                "adlBal": "",
                "adlRecBal": "",
                "ts": "1700210763001",
                "decRate": "",
                "adlRate": "",
                "adlRecRate": "",
            }
        ],
    }


def test_frames_as_documented() -> None:
    argument = {"channel": "adl-warning", "instType": "FUTURES", "instFamily": "BTC-USDT"}
    assert json.loads(payloads.event("subscribe", "1512", argument, "48d8960a")) == {
        "id": "1512",
        "event": "subscribe",
        "arg": argument,
        "connId": "48d8960a",
    }
    assert json.loads(payloads.error(payloads.ILLEGAL.with_values(text="x"), None, "48d8960a")) == {
        "event": "error",
        "code": "60012",
        "msg": "Illegal request: x",
        "connId": "48d8960a",
    }
    assert json.loads(payloads.error_answer(payloads.EMPTY.with_values(name="instType"))) == {
        "code": "50014",
        "msg": "Parameter instType can not be empty.",
        "data": [],
    }


@pytest.mark.parametrize(
    ("side", "hedge_mode", "isolated", "fields"),
    [
        (Side.LONG, False, False, {"pos": "2", "posSide": "net", "imr": "12", "margin": ""}),
        (Side.SHORT, False, False, {"pos": "-2", "posSide": "net", "mgnMode": "cross"}),
        (Side.SHORT, True, True, {"pos": "2", "posSide": "short", "margin": "30", "imr": ""}),
        (Side.LONG, True, True, {"posSide": "long", "mgnRatio": "80", "mgnMode": "isolated"}),
    ],
)
def test_position_rows_follow_side_hedge_mode_and_margin_mode(
    side: Side, *, hedge_mode: bool, isolated: bool, fields: dict[str, str]
) -> None:
    """Two contracts of 0.01 from 5,500, at a mark of 6,000: 10 won by a long."""
    definition = DefineContract(
        time_ms=0,
        contract="BTC-USDT-SWAP",
        kind=ContractKind.LINEAR,
        settle="USDT",
        pool="p",
        tick_size="0.1",
        lot_size=1,
        multiplier="0.01",
    )
    terms, unit = terms_of(definition, 8), 10**8
    position = PositionSnapshot(
        contract=definition.contract,
        side=side,
        position_id=0,
        lots=2,
        cost_cash=side.sign * 110 * unit,
        unrealized_pnl_cash=side.sign * 10 * unit,
        margin_cash=30 * unit if isolated else 0,
        isolated=isolated,
        leverage_hundredths=1000,
        maintenance_cash=unit // 2,
        under_liquidation=False,
    )
    named = instrument(definition, ContractSymbols())
    context = payloads.OkxPositionContext("a", 60000, 4, None, (1, 0), 9)
    row = payloads.position_row(named, terms, 8, position, context, hedge_mode=hedge_mode)
    assert {name: row[name] for name in fields} == fields
    assert (row["adl"], row["avgPx"], row["notionalUsd"]) == ("4", "5500", "120")
    assert row.pop("closeOrderAlgo") == []
    assert all(isinstance(value, str) for value in row.values())
    assert payloads.contract_row(named, terms)["ctVal"] == "0.01"
