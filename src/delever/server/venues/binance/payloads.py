"""Binance's JSON: error codes, signatures and public market data.

Amounts and prices are plain decimal text; whole numbers and times are JSON numbers. Source:
Binance's derivatives API documentation, by the pages that docs/reference/binance.md lists.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import msgspec

from delever.core.market.contract_terms import MAX_TICKS, ContractTerms
from delever.core.messages import DefineContract, Rating, RiskLevel, TradingStatus
from delever.core.units import COLUMN_LIMIT, Mark, div_floor, format_scaled
from delever.server.venues import amounts
from delever.server.venues.symbols import Instrument

Json = dict[str, Any]

encode = msgspec.json.Encoder().encode

RECV_WINDOW_MS = 5_000
MAX_RECV_WINDOW_MS = 60_000
MAX_AHEAD_MS = 1_000
"""A request's timestamp must be less than this ahead of the server's clock."""

NO_PRICE = "0.00000000"
"""A price or rate that is unknown here, with Binance's decimals."""

PERPETUAL_MS = 4_133_404_800_000
"""The delivery date that Binance states for perpetual contracts."""

ORDERS_PER_MINUTE = 1_200
PERCENT_PRICE = {"multiplierUp": "1000", "multiplierDown": "0.0001", "multiplierDecimal": "4"}
"""Bounds of an order's price around the mark that exclude nothing."""

_LIVE_LABELS = {
    RiskLevel.LOW: "LOW",
    RiskLevel.MEDIUM: "MIDDLE",
    RiskLevel.HIGH: "HIGH",
    RiskLevel.EXTREMELY_HIGH: "EXTREMELY_HIGH",
}


@dataclass(frozen=True, slots=True)
class BinanceErrorCode:
    """The error of a rejected request: HTTP status, Binance's code and its text."""

    status: int
    code: int
    msg: str

    @property
    def body(self) -> bytes:
        """The JSON body of the reply."""
        return encode({"code": self.code, "msg": self.msg})


BUSY = BinanceErrorCode(
    503, -1001, "Internal error; unable to process your request. Please try again."
)
OUTSIDE_WINDOW = BinanceErrorCode(
    400, -1021, "Timestamp for this request is outside of the recvWindow."
)
AHEAD = BinanceErrorCode(
    400, -1021, "Timestamp for this request was 1000ms ahead of the server's time."
)
BAD_SIGNATURE = BinanceErrorCode(400, -1022, "Signature for this request is not valid.")
BAD_SYMBOL = BinanceErrorCode(400, -1121, "Invalid symbol.")
SAME_POSITION_MODE = BinanceErrorCode(400, -4059, "No need to change position side.")
SAME_ASSETS_MODE = BinanceErrorCode(400, -4171, "No need to adjust the assets mode.")
NO_ORDER = BinanceErrorCode(400, -2013, "Order does not exist.")
NO_LISTEN_KEY = BinanceErrorCode(400, -1125, "This listenKey does not exist.")
LONG_WINDOW = BinanceErrorCode(400, -1131, "recvWindow must be less than 60000")
BAD_KEY = BinanceErrorCode(401, -2014, "API-key format invalid.")
UNKNOWN_KEY = BinanceErrorCode(401, -2015, "Invalid API-key, IP, or permissions for action.")


def missing_parameter(parameter: str) -> BinanceErrorCode:
    """Return the error of a mandatory parameter that is missing or malformed."""
    text = f"Mandatory parameter '{parameter}' was not sent, was empty/null, or malformed."
    return BinanceErrorCode(400, -1102, text)


def empty_parameter(parameter: str) -> BinanceErrorCode:
    """Return the error of a parameter that was sent without a value."""
    return BinanceErrorCode(400, -1105, f"Parameter '{parameter}' was empty.")


def invalid_parameter(parameter: str) -> BinanceErrorCode:
    """Return the error of an invalid parameter value."""
    return BinanceErrorCode(400, -1130, f"Data sent for parameter '{parameter}' is not valid.")


def unknown_path(path: str, method: str) -> BinanceErrorCode:
    """Return the error of a path or method that is not served."""
    return BinanceErrorCode(404, -5000, f"Path {path}, Method {method} is invalid")


def too_many_requests(limit: int) -> BinanceErrorCode:
    """Return the error of a request beyond the weight limit of a minute."""
    text = (
        f"Too many requests; current limit is {limit} requests per minute. "
        "Please use the websocket for live updates to avoid polling the API."
    )
    return BinanceErrorCode(429, -1003, text)


def banned(until_ms: int) -> BinanceErrorCode:
    """Return the error of an address that continued after too many requests."""
    text = (
        f"Way too many requests; IP banned until {until_ms}. "
        "Please use the websocket for live updates to avoid bans."
    )
    return BinanceErrorCode(418, -1003, text)


# --- signatures and timestamps ---

_SIGNATURE = re.compile(rb"(?:^|&)signature=([^&]*)")


def split_signature(query: bytes, body: bytes) -> tuple[bytes, str | None]:
    """Return the signed bytes as they were received, and the signature, or None without one.

    The signed bytes are the query and the body, concatenated, without the signature parameter.
    """
    parts = [query, body]
    for place, part in enumerate(parts):
        match = _SIGNATURE.search(part)
        if match is not None:
            parts[place] = part[: match.start()] + part[match.end() :]
            return b"".join(parts), match[1].decode("latin-1")
    return b"".join(parts), None


def timing_error(timestamp_ms: int, recv_window_ms: int, now_ms: int) -> BinanceErrorCode | None:
    """Return the error of a request's timestamp or window, or None."""
    if recv_window_ms > MAX_RECV_WINDOW_MS:
        return LONG_WINDOW
    if timestamp_ms >= now_ms + MAX_AHEAD_MS:
        return AHEAD
    return OUTSIDE_WINDOW if now_ms - timestamp_ms > recv_window_ms else None


# --- markets ---

STATUSES = {
    TradingStatus.TRADING: "TRADING",
    TradingStatus.CLOSE_ONLY: "PRE_SETTLE",
    TradingStatus.SETTLING: "SETTLING",
    TradingStatus.SETTLED: "CLOSE",
}
"""Binance's `status` (USDS-M) and `contractStatus` (COIN-M) of a contract."""


@dataclass(frozen=True, slots=True)
class Market:
    """One contract with what Binance's JSON needs of it; the mark is 0 before the first."""

    instrument: Instrument
    definition: DefineContract
    terms: ContractTerms
    cash_decimals: int
    mark_ticks: Mark = 0
    marked_ms: int = 0
    status: TradingStatus = TradingStatus.TRADING

    def at(self, sequence: int) -> "Market":
        """Return the market with the units of the events of a sequence."""
        return replace(self, terms=self.terms.at(sequence))

    @property
    def symbol(self) -> str:
        """The contract's symbol at Binance."""
        return self.instrument.binance

    def cash(self, amount_cash: int) -> str:
        """Return an amount of the settle asset with all its decimals; 0 is "0"."""
        return fixed(amount_cash, self.cash_decimals)

    def price(self, ticks: int) -> str:
        """Return a price without trailing zeros."""
        return amounts.price(self.terms, ticks)

    def exact_price(self, ticks: Fraction) -> Fraction:
        """Return the exact price of a fractional number of ticks."""
        mantissa, decimals = self.terms.tick
        return ticks * Fraction(mantissa, 10**decimals)

    def quantity(self, lots: int) -> str:
        """Return a signed quantity, in the base asset (linear) or in contracts (inverse)."""
        convert = amounts.units if self.terms.linear else amounts.contracts
        return convert(self.terms, lots)

    @property
    def mark(self) -> str:
        """The mark price with at least eight decimals; 0.00000000 before the first."""
        mantissa, decimals = self.terms.decimal_of(self.mark_ticks)
        text = format_scaled(mantissa, decimals)
        missing = 8 - len(text.partition(".")[2])
        return text + "." * ("." not in text) + "0" * missing


def fixed(amount: int, decimals: int) -> str:
    """Return amount * 10^-decimals with all its decimals: (1050, 2) -> '10.50'; 0 is '0'."""
    whole, fraction = divmod(abs(amount), 10**decimals)
    if not amount:
        return "0"
    sign = "-" if amount < 0 else ""
    return f"{sign}{whole}.{fraction:0{decimals}d}" if decimals else f"{sign}{whole}"


def adl_risk(symbol: str, rating: Rating | None, labels: str) -> Json:
    """Return a symbol's ADL risk; empty and with time 0 without a rating.

    `labels` is `documented` (low, medium, high) or `live` (LOW to EXTREMELY_HIGH).
    """
    if rating is None:
        return {"symbol": symbol, "adlRisk": "", "updateTime": 0}
    live = labels == "live"
    risk = _LIVE_LABELS[rating.level] if live else rating.level.on_three_levels.value
    return {"symbol": symbol, "adlRisk": risk, "updateTime": rating.time_ms}


def insurance_balance(
    symbols: Iterable[str], asset: str, equity_cash: int, cash_decimals: int, time_ms: int
) -> Json:
    """Return one insurance fund's balance with the symbols that it insures."""
    balance = format_scaled(equity_cash, cash_decimals)
    return {
        "symbols": sorted(symbols),
        "assets": [{"asset": asset, "marginBalance": balance, "updateTime": time_ms}],
    }


def premium_index(market: Market) -> Json:
    """Return a contract's mark price. Index price and funding are unknown here and 0."""
    pair = {} if market.instrument.linear else {"pair": pair_of(market.instrument)}
    return {
        "symbol": market.symbol,
        **pair,
        "markPrice": market.mark,
        "indexPrice": NO_PRICE,
        "estimatedSettlePrice": NO_PRICE,
        "lastFundingRate": NO_PRICE,
        "interestRate": NO_PRICE,
        "nextFundingTime": 0,
        "time": market.marked_ms,
    }


def pair_of(instrument: Instrument) -> str:
    """Return a contract's underlying pair, such as BTCUSD."""
    return f"{instrument.base}{instrument.quote}"


def exchange_info(markets: Iterable[Market], time_ms: int, weight_per_minute: int) -> Json:
    """Return the terms of all contracts and the rate limit."""
    listed = list(markets)
    return {
        "timezone": "UTC",
        "serverTime": time_ms,
        "rateLimits": [_rate_limit("REQUEST_WEIGHT", weight_per_minute), *order_rate_limits()],
        "exchangeFilters": [],
        "assets": [
            {"asset": asset, "marginAvailable": True, "autoAssetExchange": "0"}
            for asset in sorted({market.terms.settle for market in listed})
        ],
        "symbols": [_terms(market) for market in listed],
    }


def spot_exchange_info(time_ms: int, weight_per_minute: int) -> Json:
    """Return the terms of no spot symbol: the engine has derivatives only."""
    return {
        "timezone": "UTC",
        "serverTime": time_ms,
        "rateLimits": [_rate_limit("REQUEST_WEIGHT", weight_per_minute)],
        "exchangeFilters": [],
        "symbols": [],
    }


def order_rate_limits() -> list[Json]:
    """Return Binance's limit of orders, although no orders are accepted here."""
    return [_rate_limit("ORDERS", ORDERS_PER_MINUTE)]


def _rate_limit(kind: str, limit: int) -> Json:
    return {"rateLimitType": kind, "interval": "MINUTE", "intervalNum": 1, "limit": limit}


def _terms(market: Market) -> Json:
    instrument, terms = market.instrument, market.terms
    percent = format_scaled(int(terms.tier_rate_ppm[0]), 4)
    status = STATUSES[market.status]
    kind: Json = (
        {"status": status, "settlePlan": 0}
        if instrument.linear
        else {
            "contractStatus": status,
            "contractSize": _number(terms.multiplier),
            "equalQtyPrecision": 4,
        }
    )
    return {
        "symbol": market.symbol,
        "pair": pair_of(instrument),
        "contractType": "PERPETUAL",
        "deliveryDate": PERPETUAL_MS,
        "onboardDate": market.definition.time_ms,
        **kind,
        "maintMarginPercent": percent,
        "requiredMarginPercent": percent,
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": terms.settle,
        "pricePrecision": _decimals(market.price(market.terms.price_step)),
        "quantityPrecision": _decimals(market.quantity(1)),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0",
        "liquidationFee": "0",
        "marketTakeBound": "0",
        "filters": _filters(market),
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def _filters(market: Market) -> list[Json]:
    """Return the filters: the engine's own bounds, and Binance's numbers of orders."""
    max_lots = div_floor(COLUMN_LIMIT, market.terms.factor)
    lots = {
        "minQty": market.quantity(1),
        "maxQty": market.quantity(max_lots),
        "stepSize": market.quantity(1),
    }
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": market.price(market.terms.price_step),
            "maxPrice": market.price(MAX_TICKS),
            "tickSize": market.price(market.terms.price_step),
        },
        {"filterType": "LOT_SIZE", **lots},
        {"filterType": "MARKET_LOT_SIZE", **lots},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
        {"filterType": "MIN_NOTIONAL", "notional": "0"},
        {"filterType": "PERCENT_PRICE", **PERCENT_PRICE},
    ]


def _decimals(step: str) -> int:
    """Return the number of decimals of a step."""
    return len(step.partition(".")[2])


def _number(decimal: tuple[int, int]) -> int | float:
    """Return a decimal as a JSON number, as Binance sends it."""
    text = format_scaled(*decimal)
    return float(text) if "." in text else int(text)


def leverage_bracket(market: Market) -> Json:
    """Return a contract's margin tiers: by notional (linear) or by quantity of the base asset.

    `initialLeverage` is the inverse of the maintenance rate. COIN-M documents a quantity's floor as
    `qtylFloor`, portfolio margin and ccxt as `qtyFloor`: both are sent.
    """
    terms, decimals = market.terms, market.cash_decimals
    cap = "notionalCap" if terms.linear else "qtyCap"
    floors = ("notionalFloor",) if terms.linear else ("qtylFloor", "qtyFloor")
    tiers = zip(
        terms.tier_from_cash.tolist(),
        amounts.tier_ends_cash(terms),
        terms.tier_rate_ppm.tolist(),
        terms.tier_deduction_cash.tolist(),
        strict=True,
    )
    return {
        "symbol": market.symbol,
        "notionalCoef": 1,
        "brackets": [
            {
                "bracket": number,
                "initialLeverage": amounts.max_leverage(rate_ppm),
                cap: _whole_if_last(end, decimals),
                **dict.fromkeys(floors, _number((start, decimals))),
                "maintMarginRatio": _number((rate_ppm, 6)),
                "cum": _number((deduction, decimals)),
            }
            for number, (start, end, rate_ppm, deduction) in enumerate(tiers, 1)
        ],
    }


def _whole_if_last(end_cash: int, decimals: int) -> int | float:
    """Return the end of a tier; the last one ends at the engine's bound, in whole units."""
    if end_cash == amounts.MAX_NOTIONAL_CASH:
        return div_floor(end_cash, 10**decimals)
    return _number((end_cash, decimals))


def pair_bracket(market: Market) -> Json:
    """Return an inverse contract's margin tiers by its pair, as in version 1."""
    bracket = leverage_bracket(market)
    return {"pair": pair_of(market.instrument), "brackets": bracket["brackets"]}


# --- market data that the engine does not have ---


def open_interest(market: Market, long_lots: int, time_ms: int) -> Json:
    """Return a contract's open interest: the lots of one side, the fund's inventory included."""
    kind = (
        {}
        if market.instrument.linear
        else {"pair": pair_of(market.instrument), "contractType": "PERPETUAL"}
    )
    quantity = market.quantity(long_lots)
    return {"symbol": market.symbol, **kind, "openInterest": quantity, "time": time_ms}


def empty_order_book(symbol: str, time_ms: int) -> Json:
    """Return an order book without orders: the venue's books are not published here."""
    times = {"E": time_ms, "T": time_ms}
    return {"symbol": symbol, "lastUpdateId": 0, **times, "bids": [], "asks": []}


def ticker(market: Market, time_ms: int) -> Json:
    """Return the statistics of a symbol that has not traded: the engine does not know trades."""
    pair = {} if market.instrument.linear else {"pair": pair_of(market.instrument)}
    volume = "quoteVolume" if market.instrument.linear else "baseVolume"
    numbers = (
        *("priceChange", "priceChangePercent", "weightedAvgPrice", "lastPrice", "lastQty"),
        *("openPrice", "highPrice", "lowPrice", "volume", volume),
    )
    return {
        "symbol": market.symbol,
        **pair,
        **dict.fromkeys(numbers, "0"),
        "openTime": time_ms,
        "closeTime": time_ms,
        "firstId": -1,
        "lastId": -1,
        "count": 0,
    }


def price_ticker(market: Market, time_ms: int) -> Json:
    """Return the last price of a symbol that has not traded."""
    pair = {} if market.instrument.linear else {"ps": pair_of(market.instrument)}
    return {"symbol": market.symbol, **pair, "price": "0", "time": time_ms}


def book_ticker(market: Market, time_ms: int) -> Json:
    """Return the best prices of an order book without orders."""
    pair = {} if market.instrument.linear else {"pair": pair_of(market.instrument)}
    prices = ("bidPrice", "bidQty", "askPrice", "askQty")
    return {"symbol": market.symbol, **pair, **dict.fromkeys(prices, "0"), "time": time_ms}
