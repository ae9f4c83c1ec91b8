"""Answers as the venues document them (wire dossier, sections A to C), for one account."""

from typing import Any

from stub_server import Stub

SERVER_MS = 1_795_780_000_000

FAPI_INFO = {
    "symbols": [
        {
            "symbol": name,
            "contractType": "PERPETUAL",
            "status": "TRADING",
            "baseAsset": name.removesuffix("USDT"),
            "quoteAsset": "USDT",
            "marginAsset": "USDT",
        }
        for name in ("BTCUSDT", "ETHUSDT", "ADAUSDT")
    ]
}
RISKS = [
    {"symbol": "BTCUSDT", "adlRisk": "low", "updateTime": SERVER_MS},
    {"symbol": "ETHUSDT", "adlRisk": "EXTREMELY_HIGH", "updateTime": SERVER_MS + 4},
]
POOLS = [
    {
        "symbols": ["BNBUSDT", "BTCUSDT"],
        "assets": [{"asset": "USDT", "marginBalance": "793930579.315848", "updateTime": SERVER_MS}],
    }
]
QUANTILES = [
    {"symbol": "ETHUSDT", "adlQuantile": {"LONG": 3, "SHORT": 3, "HEDGE": 0}},
    {"symbol": "BTCUSDT", "adlQuantile": {"LONG": 1, "SHORT": 2, "BOTH": 0}},
    {"symbol": "ADAUSDT", "adlQuantile": {"LONG": 0, "SHORT": 0, "BOTH": 4}},
]


def fapi_position(name: str, side: str, amount: str, **more: str) -> dict[str, Any]:
    return {
        "symbol": name,
        "positionSide": side,
        "positionAmt": amount,
        "entryPrice": "0.385",
        "breakEvenPrice": "0.385077",
        "markPrice": "0.41047590",
        "unRealizedProfit": "0.76427700",
        "liquidationPrice": "0",
        "isolatedMargin": "0",
        "notional": "12.31427700" if not amount.startswith("-") else "-12.31427700",
        "marginAsset": "USDT",
        "isolatedWallet": "0",
        "initialMargin": "0.61571385",
        "maintMargin": "0.08004280",
        "positionInitialMargin": "0.61571385",
        "openOrderInitialMargin": "0",
        "adl": 2,
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": 1720736417660,
        **more,
    }


POSITIONS = [
    fapi_position("ADAUSDT", "BOTH", "30"),
    fapi_position("BTCUSDT", "SHORT", "-2", isolatedMargin="3.5", isolatedWallet="2.75"),
    fapi_position("ETHUSDT", "LONG", "0.5"),
]
FORCED = {
    "orderId": 6072734303,
    "symbol": "BTCUSDT",
    "status": "FILLED",
    "clientOrderId": "adl_autoclose",
    "price": "11023.14",
    "avgPrice": "10979.82000",
    "origQty": "0.001",
    "executedQty": "0.001",
    "cumQuote": "10.97982",
    "side": "BUY",
    "positionSide": "SHORT",
    "time": 1596110725059,
    "updateTime": 1596110725071,
}


def binance(stub: Stub) -> None:
    """Let a stub answer as USDⓈ-M futures."""
    stub.headers["x-mbx-used-weight-1m"] = "321"
    stub.set_answer("/fapi/v1/time", {"serverTime": SERVER_MS})
    stub.set_answer("/fapi/v1/exchangeInfo", FAPI_INFO)
    stub.set_answer("/fapi/v1/symbolAdlRisk", RISKS)
    stub.set_answer("/fapi/v1/insuranceBalance", POOLS)
    stub.set_answer("/fapi/v1/adlQuantile", QUANTILES)
    stub.set_answer("/fapi/v3/positionRisk", POSITIONS)
    stub.set_answer("/fapi/v1/leverageBracket", [])
    stub.set_answer("/fapi/v1/listenKey", {"listenKey": "linear-key"})
    stub.set_answer("/fapi/v1/forceOrders", [FORCED, FORCED | {"clientOrderId": "autoclose-7"}])
    stub.set_answer(
        "/fapi/v3/account",
        {"assets": [{"asset": "USDT", "walletBalance": "30", "crossWalletBalance": "27.25"}]},
    )


DAPI_INFO = {
    "symbols": [
        {
            "symbol": "BTCUSD_PERP",
            "pair": "BTCUSD",
            "contractType": "PERPETUAL",
            "contractStatus": "TRADING",
            "contractSize": 100,
            "baseAsset": "BTC",
            "quoteAsset": "USD",
            "marginAsset": "BTC",
        }
    ]
}
COIN_POSITION = {
    "symbol": "BTCUSD_PERP",
    "positionAmt": "-12",
    "entryPrice": "63000",
    "breakEvenPrice": "63000",
    "markPrice": "60123.40000000",
    "unRealizedProfit": "0.00091",
    "liquidationPrice": "0",
    "leverage": "20",
    "maxQty": "250",
    "marginType": "cross",
    "isolatedMargin": "0.00000000",
    "isAutoAddMargin": "false",
    "positionSide": "BOTH",
    "notionalValue": "-0.01995895",
    "isolatedWallet": "0",
    "updateTime": SERVER_MS,
}


def binance_coin(stub: Stub) -> None:
    """Let a stub answer as COIN-M futures."""
    forced = FORCED | {"symbol": "BTCUSD_PERP", "positionSide": "BOTH", "pair": "BTCUSD"}
    stub.set_answer("/dapi/v1/time", {"serverTime": SERVER_MS})
    stub.set_answer("/dapi/v1/exchangeInfo", DAPI_INFO)
    stub.set_answer("/dapi/v1/adlQuantile", [{"symbol": "BTCUSD_PERP", "adlQuantile": {"BOTH": 2}}])
    stub.set_answer("/dapi/v1/positionRisk", [COIN_POSITION])
    stub.set_answer("/dapi/v2/leverageBracket", [])
    stub.set_answer("/dapi/v1/forceOrders", [forced])
    money = {"asset": "BTC", "walletBalance": "0.5", "crossWalletBalance": "0.25"}
    stub.set_answer("/dapi/v1/account", {"assets": [money], "positions": []})
    stub.set_answer("/dapi/v1/listenKey", {"listenKey": "coin-key"})


ALERT = {
    "coin": "USDT",
    "symbol": "BTCUSDT",
    "balance": "92203504694.99632",
    "maxBalance": "",
    "insurancePnlRatio": "-0.3",
    "pnlRatio": "-0.560973",
    "adlTriggerThreshold": "10000",
    "adlStopRatio": "-0.25",
}
BYBIT_POOLS = [
    {"coin": "USDT", "symbols": "MERLUSDT,ZEUSUSDT", "balance": "902178.57602476", "value": "1"},
    {"coin": "USDT", "symbols": "GRIFFAINUSDT", "balance": "25614.92972633", "value": "1"},
]
BYBIT_POSITION = {
    "positionIdx": 0,
    "riskId": 41,
    "symbol": "XRPUSDT",
    "side": "Buy",
    "size": "100",
    "positionValue": "36.15",
    "avgPrice": "0.3615",
    "tradeMode": 1,
    "leverage": "10",
    "positionBalance": "3.7",
    "liqPrice": "",
    "bustPrice": "",
    "markPrice": "0.3432",
    "unrealisedPnl": "-1.83",
    "positionIM": "3.634521",
    "positionMM": "0.381021",
    "adlRankIndicator": 2,
    "positionStatus": "Normal",
    "createdTime": "1672121182216",
    "updatedTime": "1672279322668",
}
EXECUTION = {
    "symbol": "XRPUSDT",
    "execType": "AdlTrade",
    "createType": "CreateByAdl_PassThrough",
    "execId": "e-1",
    "execPrice": "0.35",
    "execQty": "40",
    "side": "Sell",
    "execTime": str(SERVER_MS),
}


def enveloped(result: Any) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": SERVER_MS}


def bybit_contract(name: str) -> dict[str, Any]:
    return {
        "symbol": name,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": name.removesuffix("USDT"),
        "quoteCoin": "USDT",
        "settleCoin": "USDT",
    }


def bybit(stub: Stub) -> None:
    """Let a stub answer as Bybit's V5 API."""
    listed = [bybit_contract(name) for name in ("XRPUSDT", "BTCUSDT")]
    updated = {"updatedTime": str(SERVER_MS - 40_000)}
    stub.set_answer("/v5/market/time", enveloped({"timeSecond": "1795780000", "timeNano": "1"}))
    stub.set_answer(
        "/v5/market/instruments-info", enveloped({"category": "linear", "list": listed})
    )
    stub.set_answer("/v5/market/adlAlert", enveloped({**updated, "list": [ALERT]}))
    stub.set_answer("/v5/market/insurance", enveloped({**updated, "list": BYBIT_POOLS}))
    stub.set_answer(
        "/v5/position/list", enveloped({"list": [BYBIT_POSITION], "nextPageCursor": ""})
    )
    stub.set_answer("/v5/execution/list", enveloped({"list": [EXECUTION], "nextPageCursor": ""}))
    stub.set_answer("/v5/user/query-api", enveloped({"unified": 1, "uta": 1}))
    stub.set_answer(
        "/v5/account/info", enveloped({"unifiedMarginStatus": 4, "marginMode": "REGULAR_MARGIN"})
    )
    coins = [{"coin": "USDT", "walletBalance": "1000.5", "equity": "998.67"}]
    stub.set_answer("/v5/account/wallet-balance", enveloped({"list": [{"coin": coins}]}))


OKX_POSITION = {
    "adl": "3",
    "instId": "BTC-USDT-SWAP",
    "instType": "SWAP",
    "avgPx": "34131.1",
    "markPx": "34786.4",
    "pos": "1",
    "posSide": "long",
    "lever": "2",
    "mgnMode": "cross",
    "margin": "",
    "mmr": "1.3652874433435829",
    "imr": "170.66",
    "upl": "6.55",
    "notionalUsd": "347.86",
    "uTime": "1627227626502",
}
FUND = {
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
            "adlType": "rate_adl_start",
            "ts": str(SERVER_MS),
        }
    ],
}


def okx(stub: Stub) -> None:
    """Let a stub answer as OKX's V5 API."""
    contract = {
        "instType": "SWAP",
        "instId": "BTC-USDT-SWAP",
        "instFamily": "BTC-USDT",
        "uly": "BTC-USDT",
        "settleCcy": "USDT",
        "ctVal": "0.01",
        "ctType": "linear",
        "ctValCcy": "BTC",
        "state": "live",
        "tickSz": "0.1",
        "lotSz": "1",
        "minSz": "1",
    }

    def data(*rows: Any) -> dict[str, Any]:
        return {"code": "0", "msg": "", "data": list(rows)}

    stub.set_answer("/api/v5/public/time", data({"ts": str(SERVER_MS)}))
    stub.set_answer("/api/v5/public/instruments", data(contract))
    stub.set_answer("/api/v5/public/insurance-fund", data(FUND))
    stub.set_answer("/api/v5/account/positions", data(OKX_POSITION))
    bill = {"billId": "b-1", "subType": "125", "instId": "BTC-USDT-SWAP", "sz": "2", "px": "34000"}
    bill |= {"ts": str(SERVER_MS)}
    stub.set_answer("/api/v5/account/bills", data(bill, bill | {"subType": "173", "billId": "b-2"}))
    money = {"ccy": "USDT", "cashBal": "500.25", "eq": "506", "availEq": "400"}
    stub.set_answer("/api/v5/account/balance", data({"details": [money]}))
