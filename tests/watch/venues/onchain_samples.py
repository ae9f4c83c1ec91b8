"""Answers of Hyperliquid and dYdX as they document them, for one address each."""

from typing import Any

from stub_server import Stub

SERVER_MS = 1_795_780_000_000
ADDRESS = "0x" + "Ab" * 20
DYDX_ADDRESS = "dydx1" + "q" * 38

ISOLATED_ETH = {
    "type": "oneWay",
    "position": {
        "coin": "ETH",
        "entryPx": "2986.3",
        "leverage": {"rawUsd": "-95.059824", "type": "isolated", "value": 20},
        "liquidationPx": "2866.26936529",
        "marginUsed": "4.967826",
        "maxLeverage": 50,
        "positionValue": "100.02765",
        "returnOnEquity": "-0.0026789",
        "szi": "0.0335",
        "unrealizedPnl": "-0.0134",
    },
}
"""The position of the documentation of clearinghouseState: 100.02765 - 95.059824 = 4.967826."""

CROSS_BTC = {
    "type": "oneWay",
    "position": {
        "coin": "BTC",
        "entryPx": "100000.0",
        "leverage": {"type": "cross", "value": 10},
        "liquidationPx": None,
        "marginUsed": "16000.0",
        "maxLeverage": 40,
        "positionValue": "160000.0",
        "returnOnEquity": "2.0",
        "szi": "-2.0",
        "unrealizedPnl": "40000.0",
    },
}


def clearinghouse(*positions: Any, cross: str = "50000.0") -> dict[str, Any]:
    summary = {"totalNtlPos": "0", "totalRawUsd": "0", "totalMarginUsed": "0"}
    return {
        "assetPositions": list(positions),
        "crossMaintenanceMarginUsed": "0.0",
        "crossMarginSummary": {"accountValue": cross, **summary},
        "marginSummary": {"accountValue": "50004.967826", **summary},
        "time": SERVER_MS,
        "withdrawable": "0.0",
    }


def fill(**more: Any) -> dict[str, Any]:
    return {
        "closedPnl": "20000.0",
        "coin": "BTC",
        "crossed": False,
        "dir": "Auto-Deleveraging",
        "fee": "0.0",
        "feeToken": "USDC",
        "hash": "0x0",
        "liquidation": {"liquidatedUser": "0xd9", "markPx": "79000.0", "method": "backstop"},
        "oid": 90542681,
        "px": "80000.0",
        "side": "B",
        "startPosition": "-3.0",
        "sz": "1.0",
        "tid": 118906512037719,
        "time": SERVER_MS - 60_000,
        **more,
    }


def hyperliquid(stub: Stub) -> None:
    stub.set_answer("/info clearinghouseState", clearinghouse(ISOLATED_ETH, CROSS_BTC))
    plain = fill(dir="Close Short", tid=1)
    bankrupt = fill(tid=2, side="A", liquidation={"liquidatedUser": ADDRESS.lower()})
    old = fill(tid=3, liquidation=None)
    stub.set_answer("/info userFills", [fill(), plain, bankrupt, old])


def dydx_position(market: str, side: str, size: str, entry: str, number: int = 0) -> dict[str, Any]:
    return {
        "market": market,
        "status": "OPEN",
        "side": side,
        "size": size,
        "maxSize": size,
        "entryPrice": entry,
        "realizedPnl": "0",
        "unrealizedPnl": "0",
        "createdAt": "2026-11-01T00:00:00.000Z",
        "createdAtHeight": "1",
        "sumOpen": size,
        "sumClose": "0",
        "netFunding": "0",
        "subaccountNumber": number,
    }


def subaccount(number: int, usdc: tuple[str, str], *positions: dict[str, Any]) -> dict[str, Any]:
    side, size = usdc
    return {
        "address": DYDX_ADDRESS,
        "subaccountNumber": number,
        "equity": "0",
        "freeCollateral": "0",
        "openPerpetualPositions": {p["market"]: p for p in positions},
        "assetPositions": {"USDC": {"symbol": "USDC", "side": side, "size": size, "assetId": "0"}},
        "marginEnabled": True,
    }


def parent(*children: dict[str, Any]) -> dict[str, Any]:
    return {
        "subaccount": {
            "address": DYDX_ADDRESS,
            "parentSubaccountNumber": 0,
            "equity": "0",
            "freeCollateral": "0",
            "childSubaccounts": list(children),
        }
    }


def market(name: str, oracle: str, rate: str, status: str = "ACTIVE") -> dict[str, Any]:
    return {
        "ticker": name,
        "status": status,
        "oraclePrice": oracle,
        "initialMarginFraction": "0.2",
        "maintenanceMarginFraction": rate,
        "openInterest": "1000",
        "tickSize": "1",
        "stepSize": "0.0001",
    }


MARKETS = {
    "BTC-USD": market("BTC-USD", "50000", "0.1"),
    "OLD-USD": market("OLD-USD", "10", "0.5", "FINAL_SETTLEMENT"),
}
PARENT = f"/v4/addresses/{DYDX_ADDRESS}/parentSubaccountNumber/0"
FILLS = "/v4/fills/parentSubaccountNumber"


def dydx_fill(kind: str, side: str = "SELL", **more: Any) -> dict[str, Any]:
    return {
        "id": f"id-{kind}",
        "side": side,
        "liquidity": "MAKER",
        "type": kind,
        "market": "BTC-USD",
        "marketType": "PERPETUAL",
        "price": "45001",
        "size": "1",
        "fee": "0",
        "createdAt": "2026-11-27T08:26:40.000Z",
        "createdAtHeight": "2",
        "subaccountNumber": 0,
        **more,
    }


def dydx(stub: Stub) -> None:
    """Set an account with 1 BTC long and 5,000 of equity, and one with an isolated short."""
    long = dydx_position("BTC-USD", "LONG", "1", "40000")
    short = dydx_position("OLD-USD", "SHORT", "10", "12", 128)
    stub.set_answer("/v4/perpetualMarkets", {"markets": MARKETS})
    children = (subaccount(0, ("SHORT", "45000"), long), subaccount(128, ("LONG", "300"), short))
    stub.set_answer(PARENT, parent(*children))
    listed = [dydx_fill("OFFSETTING"), dydx_fill("LIMIT"), dydx_fill("DELEVERAGED", "BUY")]
    stub.set_answer(FILLS, {"pageSize": 100, "fills": listed})
