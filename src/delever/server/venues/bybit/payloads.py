"""Bybit V5, what everybody may see: adlAlert, insurance pools, contracts, time, errors, frames.

REST speaks in text throughout, the adlAlert stream in numbers; `maxBalance` and `mb` are always
empty, as Bybit's are since 2025-12-18. A contract whose rule set has no contract drawdown shows its
ratio and leaves the three limits empty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from delever.core.market.contract_terms import Terms
from delever.core.units import PPM, div_floor, div_nearest
from delever.server.venues import amounts
from delever.server.venues.symbols import Instrument

GROUPS = ("USDT", "USDC", "inverse")
"""What the public topics are divided by: the settle asset, or inverse."""

CATEGORIES = ("linear", "inverse", "option")


class Fault(NamedTuple):
    """Why a request is not answered: Bybit's code and text; HTTP says 200 all the same."""

    code: int
    message: str

    def saying(self, **values: object) -> "Fault":
        """Return the fault with its text filled in."""
        return Fault(self.code, self.message.format(**values))


PARAMETER = Fault(10001, "params error: {why}")
OUTSIDE_WINDOW = Fault(
    10002,
    "invalid request, please check your server timestamp or recv_window param. "
    "req_timestamp[{sent}],server_timestamp[{now}],recv_window[{window}]",
)
UNKNOWN_KEY = Fault(10003, "API key is invalid.")
WRONG_SIGNATURE = Fault(10004, "error sign! please check your signature generation algorithm.")
NOT_PERMITTED = Fault(10005, "Permission denied, please check your API key permissions.")
TOO_MANY_VISITS = Fault(10006, "Too many visits. Exceeded the API Rate Limit.")
SERVER_ERROR = Fault(10016, "Server error.")
NO_ROUTE = Fault(10017, "Route not found.")

TOO_FREQUENT = b"403, access too frequent"
"""What an address that asks too often is sent; plain text, with HTTP 403."""


def answer(result: bytes, now_ms: int) -> bytes:
    """Return a whole answer around an encoded result."""
    head = b'{"retCode":0,"retMsg":"OK","result":'
    return b"%b%b%b%d}" % (head, result, b',"retExtInfo":{},"time":', now_ms)


def refusal(fault: Fault, now_ms: int) -> bytes:
    """Return a whole answer that says why there is none."""
    return msgspec.json.encode(
        {
            "retCode": fault.code,
            "retMsg": fault.message,
            "result": {},
            "retExtInfo": {},
            "time": now_ms,
        }
    )


def category_of(instrument: Instrument) -> str:
    """Return the category that a contract belongs to."""
    return "linear" if instrument.linear else "inverse"


def group_of(instrument: Instrument) -> str:
    """Return which of the public topics shows a contract."""
    return instrument.settle if instrument.linear else "inverse"


# --- adlAlert ---


@dataclass(frozen=True, slots=True)
class Alert:
    """How near a contract is to ADL, in text; the limits are empty where its rules have none."""

    coin: str
    symbol: str
    balance: str
    ratio: str
    start_ratio: str = ""
    stop_ratio: str = ""
    threshold: str = ""

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
        """Return the row of the stream: numbers, digit by digit those of REST."""
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


def alert(
    coin: str,
    symbol: str,
    decimals: int,
    equity_cash: int,
    drawdown_cash: tuple[int, int],
    limits: Mapping[str, int] | None,
) -> Alert:
    """Return a contract's alert.

    `drawdown_cash` is the fall of its profit from the peak and the pool's peak balance; `limits`
    are the numbers of its contract drawdown trigger, which decide where they are given.
    """
    balance = amounts.cash(equity_cash, decimals)
    if limits is None:
        fall, peak = drawdown_cash
        ppm = -div_nearest(fall * PPM, peak) if peak > 0 else 0
        return Alert(coin, symbol, balance, amounts.ratio(ppm))
    return Alert(
        coin=coin,
        symbol=symbol,
        balance=balance,
        ratio=amounts.ratio(limits["pnl_ratio_ppm"]),
        start_ratio=amounts.ratio(limits["start_ppm"]),
        stop_ratio=amounts.ratio(limits["stop_ppm"]),
        threshold=amounts.cash(limits["trigger_threshold_cash"], decimals),
    )


def _number(text: str) -> object:
    """Return a JSON number with exactly these digits; empty stays empty text."""
    return msgspec.Raw(text.encode()) if text else ""


def listed(rows: Sequence[Mapping[str, str]], updated_ms: int) -> bytes:
    """Return the result of a public list with the time of its numbers."""
    return msgspec.json.encode({"updatedTime": str(updated_ms), "list": rows})


# --- insurance ---


@dataclass(frozen=True, slots=True)
class Pool:
    """One insurance pool in text; an isolated one stands behind one symbol and is streamed."""

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


# --- the rest of the market ---


def server_time(now_ms: int) -> bytes:
    """Return the result of /v5/market/time."""
    return b'{"timeSecond":"%d","timeNano":"%d000000"}' % (div_floor(now_ms, 1000), now_ms)


def contract_row(instrument: Instrument, terms: Terms) -> dict[str, Any]:
    """Return a contract as instruments-info shows it; what delever does not know is empty."""
    least = amounts.units(terms, 1)
    tick = amounts.price(terms, 1)
    return {
        "symbol": instrument.bybit,
        "contractType": "LinearPerpetual" if instrument.linear else "InversePerpetual",
        "status": "Trading",
        "baseCoin": instrument.base,
        "quoteCoin": instrument.quote,
        "launchTime": "0",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(len(tick.partition(".")[2])),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": tick, "maxPrice": "", "tickSize": tick},
        "lotSizeFilter": {
            "minNotionalValue": "",
            "maxOrderQty": "",
            "maxMktOrderQty": "",
            "minOrderQty": least,
            "qtyStep": least,
            "postOnlyMaxOrderQty": "",
        },
        "unifiedMarginTrade": True,
        "settleCoin": instrument.settle,
        "isPreListing": False,
        "preListingInfo": None,
    }


def page(rows: Sequence[Mapping[str, Any]], category: str, cursor: str) -> bytes:
    """Return the result of a list that goes on at a cursor."""
    return msgspec.json.encode({"list": rows, "nextPageCursor": cursor, "category": category})


# --- streams ---


def push(topic: str, kind: str, now_ms: int, rows: Sequence[Mapping[str, object]]) -> str:
    """Return a message of a public topic; `kind` is snapshot or delta."""
    message = {"topic": topic, "type": kind, "ts": now_ms, "data": rows}
    return msgspec.json.encode(message).decode()


def private_push(topic: str, number: str, now_ms: int, rows: Sequence[Mapping[str, object]]) -> str:
    """Return a message of a private topic."""
    message = {"id": number, "topic": topic, "creationTime": now_ms, "data": rows}
    return msgspec.json.encode(message).decode()


def acknowledgement(op: str, request_id: object, connection: str, fault: str = "") -> str:
    """Return the answer to subscribe, unsubscribe or auth; `fault` says why not."""
    message = {
        "success": not fault,
        "ret_msg": fault,
        "conn_id": connection,
        "req_id": request_id,
        "op": op,
    }
    if fault and op == "auth":  # ccxt knows by this that it was the key that was refused
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
