"""Bybit V5's JSON: errors, envelopes, adlAlert, insurance pools, contracts and stream messages.

REST values are text, those of the adlAlert stream numbers; `maxBalance` and `mb` are always empty,
as Bybit's are since 2025-12-18. Bybit states limits for every contract, as numbers. So a contract
whose rule set has no contract drawdown has limits that never start it: a trigger threshold that its
fund is not above.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from delever.core.market.contract_terms import MAX_TICKS, ContractTerms
from delever.core.messages import TradingStatus
from delever.core.units import COLUMN_LIMIT, PPM, Mark, div_floor, div_nearest
from delever.server.venues import amounts
from delever.server.venues.symbols import Instrument

GROUPS = ("USDT", "USDC", "inverse")
"""The groups of the public topics: the settle asset, or inverse."""

FUNDING_MINUTES = 480

CATEGORIES = ("linear", "inverse", "option")


class BybitErrorCode(NamedTuple):
    """The error of a rejected request: Bybit's code and text, sent with HTTP 200."""

    code: int
    message: str

    def with_values(self, **values: object) -> "BybitErrorCode":
        """Return the error with its text filled in."""
        return BybitErrorCode(self.code, self.message.format(**values))


PARAMETER = BybitErrorCode(10001, "params error: {why}")
OUTSIDE_WINDOW = BybitErrorCode(
    10002,
    "invalid request, please check your server timestamp or recv_window param. "
    "req_timestamp[{sent}],server_timestamp[{now}],recv_window[{window}]",
)
UNKNOWN_KEY = BybitErrorCode(10003, "API key is invalid.")
WRONG_SIGNATURE = BybitErrorCode(
    10004, "error sign! please check your signature generation algorithm."
)
WRONG_ADDRESS = BybitErrorCode(
    10010, "Unmatched IP, please check your API key's bound IP addresses."
)
EXPIRED_KEY = BybitErrorCode(33004, "Your api key has expired.")
NOT_PERMITTED = BybitErrorCode(10005, "Permission denied, please check your API key permissions.")
TOO_MANY_VISITS = BybitErrorCode(10006, "Too many visits. Exceeded the API Rate Limit.")
SERVER_ERROR = BybitErrorCode(10016, "Server error.")
NO_ROUTE = BybitErrorCode(10017, "Route not found.")

TOO_FREQUENT = b"403, access too frequent"
"""The plain text that a rate-limited address is sent, with HTTP 403."""


def answer(result: bytes, now_ms: int) -> bytes:
    """Return a complete answer with an encoded result."""
    head = b'{"retCode":0,"retMsg":"OK","result":'
    return b"%b%b%b%d}" % (head, result, b',"retExtInfo":{},"time":', now_ms)


def error_answer(error: BybitErrorCode, now_ms: int) -> bytes:
    """Return a complete answer with an error and an empty result."""
    return msgspec.json.encode(
        {
            "retCode": error.code,
            "retMsg": error.message,
            "result": {},
            "retExtInfo": {},
            "time": now_ms,
        }
    )


def category_of(instrument: Instrument) -> str:
    """Return a contract's category."""
    return "linear" if instrument.linear else "inverse"


def group_of(instrument: Instrument) -> str:
    """Return the group of the public topics that has a contract."""
    return instrument.settle if instrument.linear else "inverse"


# --- adlAlert ---


@dataclass(frozen=True, slots=True)
class AdlAlert:
    """A contract's distance to ADL, as text."""

    coin: str
    symbol: str
    balance: str
    ratio: str
    start_ratio: str
    stop_ratio: str
    threshold: str

    def rest(self) -> dict[str, str]:
        """Return the row of the REST answer."""
        return {
            "coin": self.coin,
            "symbol": self.symbol,
            "balance": self.balance,
            "maxBalance": "",
            "insurancePnlRatio": self.start_ratio,
            "pnlRatio": self.ratio,
            "adlTriggerThreshold": self.threshold,
            "adlStopRatio": self.stop_ratio,
        }

    def frame(self) -> dict[str, object]:
        """Return the row of the stream: numbers with exactly the digits of REST."""
        return {
            "c": self.coin,
            "s": self.symbol,
            "b": _number(self.balance),
            "mb": "",
            "i_pr": _number(self.start_ratio),
            "pr": _number(self.ratio),
            "adl_tt": _number(self.threshold),
            "adl_sr": _number(self.stop_ratio),
        }


def adl_alert(
    coin: str,
    symbol: str,
    decimals: int,
    equity_cash: int,
    drawdown_cash: tuple[int, int],
    limits: Mapping[str, int] | None,
) -> AdlAlert:
    """Return a contract's alert.

    `drawdown_cash` is the fall of the contract PnL from its peak, and the pool's peak balance;
    `limits` are the numbers of its contract drawdown trigger and take precedence. Without them the
    trigger threshold is the largest sum of money, or the balance if that is larger.
    """
    balance = amounts.cash(equity_cash, decimals)
    if limits is None:
        fall, peak = drawdown_cash
        ppm = -div_nearest(fall * PPM, peak) if peak > 0 else 0
        threshold = amounts.cash(max(COLUMN_LIMIT, equity_cash), decimals)
        whole = amounts.ratio(-PPM)
        return AdlAlert(coin, symbol, balance, amounts.ratio(ppm), whole, whole, threshold)
    return AdlAlert(
        coin=coin,
        symbol=symbol,
        balance=balance,
        ratio=amounts.ratio(limits["pnl_ratio_ppm"]),
        start_ratio=amounts.ratio(limits["start_ppm"]),
        stop_ratio=amounts.ratio(limits["stop_ppm"]),
        threshold=amounts.cash(limits["trigger_threshold_cash"], decimals),
    )


def _number(text: str) -> object:
    """Return a JSON number with exactly these digits."""
    return msgspec.Raw(text.encode())


def listed(rows: Sequence[Mapping[str, str]], updated_ms: int) -> bytes:
    """Return the result of a public list with the time of its values."""
    return msgspec.json.encode({"updatedTime": str(updated_ms), "list": rows})


# --- insurance ---


@dataclass(frozen=True, slots=True)
class InsurancePool:
    """One insurance pool as text; an isolated one insures one symbol and is streamed."""

    group: str
    coin: str
    symbols: tuple[str, ...]
    balance: str
    value: str
    isolated: bool

    def rest(self) -> dict[str, str]:
        """Return the row of the REST answer."""
        return {
            "coin": self.coin,
            "symbols": ",".join(self.symbols),
            "balance": self.balance,
            "value": self.value,
        }

    def frame(self, now_ms: int) -> dict[str, str]:
        """Return the row of the stream."""
        return {
            "coin": self.coin,
            "symbols": ",".join(self.symbols),
            "balance": self.balance,
            "updateTime": str(now_ms),
        }


# --- time and contracts ---


def server_time(now_ms: int) -> bytes:
    """Return the result of /v5/market/time."""
    return b'{"timeSecond":"%d","timeNano":"%d000000"}' % (div_floor(now_ms, 1000), now_ms)


STATUSES = {
    TradingStatus.TRADING: "Trading",
    TradingStatus.CLOSE_ONLY: "Trading",
    TradingStatus.SETTLING: "Delivering",
    TradingStatus.SETTLED: "Closed",
}
"""Bybit's `status` of a contract; it has none for trading that only closes."""


def contract_row(
    instrument: Instrument, terms: ContractTerms, status: TradingStatus = TradingStatus.TRADING
) -> dict[str, Any]:
    """Return a contract as in instruments-info; limits are the engine's own bounds.

    Fields unknown to delever are "0" where Bybit has numbers, else empty.
    """
    min_quantity = amounts.units(terms, 1)
    max_quantity = amounts.units(terms, div_floor(COLUMN_LIMIT, terms.factor))
    tick = amounts.price(terms, terms.price_step)
    largest = amounts.max_leverage(int(terms.tier_rate_ppm[0]))
    return {
        "symbolId": 0,
        "symbol": instrument.bybit,
        "contractType": "LinearPerpetual" if instrument.linear else "InversePerpetual",
        "status": STATUSES[status],
        "baseCoin": instrument.base,
        "quoteCoin": instrument.quote,
        "symbolType": "",
        "launchTime": "0",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(len(tick.partition(".")[2])),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": str(largest), "leverageStep": "0.01"},
        "priceFilter": {
            "minPrice": tick,
            "maxPrice": amounts.price(terms, MAX_TICKS),
            "tickSize": tick,
        },
        "lotSizeFilter": {
            "minNotionalValue": "0",
            "maxOrderQty": max_quantity,
            "maxMktOrderQty": max_quantity,
            "minOrderQty": min_quantity,
            "qtyStep": min_quantity,
            "postOnlyMaxOrderQty": max_quantity,
        },
        "unifiedMarginTrade": True,
        "fundingInterval": FUNDING_MINUTES,
        "settleCoin": instrument.settle,
        "copyTrading": "none",
        "upperFundingRate": "0",
        "lowerFundingRate": "0",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": "0", "priceLimitRatioY": "0"},
        "displayName": "",
        "forbidUplWithdrawal": False,
    }


def ticker_row(
    instrument: Instrument, terms: ContractTerms, mark_ticks: Mark, open_lots: int
) -> dict[str, str]:
    """Return a contract as in tickers: mark and open interest; it has not traded otherwise."""
    unknown = (
        *("lastPrice", "indexPrice", "prevPrice24h", "price24hPcnt", "highPrice24h"),
        *("lowPrice24h", "prevPrice1h", "openInterestValue", "turnover24h", "volume24h"),
        *("fundingRate", "nextFundingTime", "deliveryTime"),
        *("ask1Size", "bid1Price", "ask1Price", "bid1Size"),
    )
    empty = (
        *("predictedDeliveryPrice", "basisRate", "basisRateYear", "fundingCap"),
        *("deliveryFeeRate", "preOpenPrice", "preQty", "curPreListingPhase", "basis"),
    )
    return {
        "symbol": instrument.bybit,
        **dict.fromkeys(unknown, "0"),
        **dict.fromkeys(empty, ""),
        "markPrice": amounts.price(terms, mark_ticks),
        "openInterest": amounts.units(terms, open_lots),
        "fundingIntervalHour": "8",
    }


def risk_limit_rows(
    instrument: Instrument, terms: ContractTerms, decimals: int
) -> list[dict[str, object]]:
    """Return a contract's margin tiers as in risk-limit, the lowest first."""
    tiers = zip(
        amounts.tier_ends_cash(terms),
        terms.tier_rate_ppm.tolist(),
        terms.tier_deduction_cash.tolist(),
        strict=True,
    )
    return [
        {
            "id": number,
            "symbol": instrument.bybit,
            "riskLimitValue": amounts.cash(end, decimals),
            "maintenanceMargin": amounts.ratio(rate_ppm),
            "initialMargin": amounts.ratio(rate_ppm),
            "isLowestRisk": int(number == 1),
            "maxLeverage": str(amounts.max_leverage(rate_ppm)),
            "mmDeduction": amounts.cash(deduction, decimals),
        }
        for number, (end, rate_ppm, deduction) in enumerate(tiers, 1)
    ]


def order_book(symbol: str, now_ms: int) -> bytes:
    """Return the result of orderbook: the venue's books are not published here."""
    book = {"s": symbol, "b": [], "a": [], "ts": now_ms, "u": 0, "seq": 0, "cts": now_ms}
    return msgspec.json.encode(book)


def page(rows: Sequence[Mapping[str, Any]], category: str, cursor: str) -> bytes:
    """Return the result of a list that continues at a cursor."""
    return msgspec.json.encode({"list": rows, "nextPageCursor": cursor, "category": category})


# --- streams ---


def push(topic: str, kind: str, now_ms: int, rows: Sequence[Mapping[str, object]]) -> str:
    """Return a message of a public topic; `kind` is snapshot or delta."""
    message = {"topic": topic, "type": kind, "ts": now_ms, "data": rows}
    return msgspec.json.encode(message).decode()


def private_push(
    topic: str, message_id: str, now_ms: int, rows: Sequence[Mapping[str, object]]
) -> str:
    """Return a message of a private topic."""
    message = {"id": message_id, "topic": topic, "creationTime": now_ms, "data": rows}
    return msgspec.json.encode(message).decode()


def acknowledgement(op: str, request_id: object, connection: str, error: str = "") -> str:
    """Return the answer to subscribe, unsubscribe or auth; a failed request has an error."""
    message = {
        "success": not error,
        "ret_msg": error,
        "conn_id": connection,
        "req_id": request_id,
        "op": op,
    }
    if error and op == "auth":  # ccxt recognizes a refused key by this field
        message["request"] = {"op": op, "args": None}
    return msgspec.json.encode(message).decode()


def pong(request_id: object, connection: str, now_ms: int, *, private: bool) -> str:
    """Return the answer to a ping: its form differs between public and private connections."""
    message: dict[str, object]
    if private:
        message = {"req_id": request_id, "op": "pong", "args": [str(now_ms)], "conn_id": connection}
    else:
        message = {
            "success": True,
            "ret_msg": "pong",
            "conn_id": connection,
            "req_id": request_id,
            "op": "ping",
        }
    return msgspec.json.encode(message).decode()
