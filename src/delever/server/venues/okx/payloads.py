"""OKX V5's JSON: security fund, ADL warnings, contracts, positions and errors.

Every value is text. Fields that OKX has deprecated are included, empty. Quantities are contracts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from delever.core.market.contract_terms import ContractTerms
from delever.core.messages import Reason, Side, TradingStatus
from delever.core.units import COLUMN_LIMIT, Mark, div_floor
from delever.server.engine.account_snapshot import (
    CollateralSnapshot,
    MarginSnapshot,
    PositionSnapshot,
)
from delever.server.venues import amounts
from delever.server.venues.symbols import Instrument

Row = dict[str, Any]

SWAP = "SWAP"
INSTRUMENT_TYPES = ("SPOT", "MARGIN", SWAP, "FUTURES", "OPTION", "EVENTS")
FUND_TYPES = ("MARGIN", SWAP, "FUTURES", "OPTION")
WARNING_TYPES = (SWAP, "FUTURES", "OPTION")
CHANNEL = "adl-warning"


class OkxErrorCode(NamedTuple):
    """The error of a rejected request: OKX's code and text, and the HTTP status."""

    code: str
    message: str
    status: int = 400

    def with_values(self, **values: object) -> "OkxErrorCode":
        """Return the error with its text filled in."""
        return self._replace(message=self.message.format(**values))


TOO_MANY_REQUESTS = OkxErrorCode("50011", "Too Many Requests", 429)
EMPTY = OkxErrorCode("50014", "Parameter {name} can not be empty.")
EXPIRED = OkxErrorCode("50102", "Timestamp request expired", 401)
NO_KEY = OkxErrorCode("50103", 'Request header "OK-ACCESS-KEY" can not be empty.', 401)
NO_PASSPHRASE = OkxErrorCode(
    "50104", 'Request header "OK-ACCESS-PASSPHRASE" can not be empty.', 401
)
WRONG_PASSPHRASE = OkxErrorCode("50105", 'Request header "OK-ACCESS-PASSPHRASE" incorrect.', 401)
NO_SIGN = OkxErrorCode("50106", 'Request header "OK-ACCESS-SIGN" can not be empty.', 401)
NO_TIMESTAMP = OkxErrorCode("50107", 'Request header "OK-ACCESS-TIMESTAMP" can not be empty.', 401)
WRONG_ADDRESS = OkxErrorCode(
    "50110", "Your IP {ip} is not included in your API key's IP whitelist.", 401
)
UNKNOWN_KEY = OkxErrorCode("50111", "Invalid OK-ACCESS-KEY", 401)
NO_SUCH_KEY = OkxErrorCode("50119", "API key doesn't exist", 401)
WRONG_TIMESTAMP = OkxErrorCode("50112", "Invalid OK-ACCESS-TIMESTAMP", 401)
WRONG_SIGN = OkxErrorCode("50113", "Invalid Sign", 401)
NOT_PERMITTED = OkxErrorCode("50114", "Invalid Authority", 401)
WRONG_METHOD = OkxErrorCode("50115", "Invalid request method", 405)
WRONG = OkxErrorCode("51000", "Parameter {name} error")
UNKNOWN_CONTRACT = OkxErrorCode("51001", "Instrument ID does not exist", 200)
NO_ORDER = OkxErrorCode("51603", "Order does not exist", 200)
NO_ROUTE = OkxErrorCode("404", "Not Found", 404)
STREAM_KEY = OkxErrorCode("60005", "Invalid apiKey")
STREAM_EXPIRED = OkxErrorCode("60006", "Timestamp request expired")
STREAM_SIGN = OkxErrorCode("60007", "Invalid sign")
STREAM_LOGIN = OkxErrorCode("60011", "Please log in")
STREAM_PASSPHRASE = OkxErrorCode("60024", "Wrong passphrase")
ILLEGAL = OkxErrorCode("60012", "Illegal request: {text}")
NO_CHANNEL = OkxErrorCode("60018", "Wrong URL or channel:{text} doesn't exist.")


def answer(data: Sequence[object]) -> bytes:
    """Return a complete answer."""
    return msgspec.json.encode({"code": "0", "msg": "", "data": data})


def error_answer(error: OkxErrorCode) -> bytes:
    """Return a complete answer with an error and no data."""
    return msgspec.json.encode({"code": error.code, "msg": error.message, "data": []})


STATES = {
    TradingStatus.TRADING: "live",
    TradingStatus.CLOSE_ONLY: "live",
    TradingStatus.SETTLING: "suspend",
    TradingStatus.SETTLED: "suspend",
}
"""OKX's `state` of a contract; a contract that has gone has none at OKX, which lists it no more."""


def contract_row(
    instrument: Instrument, terms: ContractTerms, status: TradingStatus = TradingStatus.TRADING
) -> dict[str, str]:
    """Return a contract as in public/instruments; limits are the engine's own bounds."""
    lot = amounts.contracts(terms, 1)
    largest = amounts.contracts(terms, div_floor(COLUMN_LIMIT, terms.factor))
    sizes = ("maxLmtSz", "maxMktSz", "maxTwapSz", "maxIcebergSz", "maxTriggerSz", "maxStopSz")
    return {
        "instType": SWAP,
        "instId": instrument.okx,
        "uly": instrument.okx_family,
        "instFamily": instrument.okx_family,
        "category": "1",
        "baseCcy": "",
        "quoteCcy": "",
        "settleCcy": instrument.settle,
        "ctVal": amounts.number(terms.multiplier),
        "ctMult": "1",
        "ctValCcy": instrument.base if instrument.linear else instrument.quote,
        "ctType": "linear" if instrument.linear else "inverse",
        "optType": "",
        "stk": "",
        "listTime": "0",
        "expTime": "",
        "lever": str(amounts.max_leverage(int(terms.tier_rate_ppm[0]))),
        "tickSz": amounts.price(terms, terms.price_step),
        "lotSz": lot,
        "minSz": lot,
        "alias": "",
        "state": STATES[status],
        **dict.fromkeys(sizes, largest),
        "maxLmtAmt": "",
        "maxMktAmt": "",
        "ruleType": "normal",
        "auctionEndTime": "",
        "openType": "",
        "contTdSwTime": "",
        "preMktSwTime": "",
        "posLmtAmt": "",
        "posLmtPct": "",
        "maxPlatOILmt": "",
        "groupId": "",
    }


# --- market data ---


def mark_price_row(instrument: Instrument, terms: ContractTerms, ticks: Mark, ts: int) -> Row:
    """Return a contract's mark price."""
    return {**_named(instrument), "markPx": amounts.price(terms, ticks), "ts": str(ts)}


def ticker_row(instrument: Instrument, now_ms: int) -> Row:
    """Return the ticker of a contract that has not traded: the engine does not know trades."""
    unknown = (
        *("last", "lastSz", "askPx", "askSz", "bidPx", "bidSz", "open24h", "high24h", "low24h"),
        *("volCcy24h", "vol24h", "sodUtc0", "sodUtc8"),
    )
    return {**_named(instrument), **dict.fromkeys(unknown, "0"), "ts": str(now_ms)}


def open_interest_row(
    instrument: Instrument, terms: ContractTerms, lots: int, notional_usd: str, now_ms: int
) -> Row:
    """Return the open interest of a contract: the lots of one side."""
    return {
        **_named(instrument),
        "oi": amounts.contracts(terms, lots),
        "oiCcy": amounts.units(terms, lots) if instrument.linear else "0",
        "oiUsd": notional_usd,
        "ts": str(now_ms),
    }


def funding_row(instrument: Instrument, now_ms: int) -> Row:
    """Return the funding rate of a contract, which the engine does not know."""
    empty = ("nextFundingRate", "minFundingRate", "maxFundingRate", "impactValue")
    zero = ("fundingRate", "interestRate", "settFundingRate", "premium", "fundingTime")
    return {
        **_named(instrument),
        **dict.fromkeys(empty, ""),
        **dict.fromkeys((*zero, "nextFundingTime", "prevFundingTime"), "0"),
        "method": "current_period",
        "formulaType": "noRate",
        "settState": "settled",
        "ts": str(now_ms),
    }


def tier_rows(instrument: Instrument, terms: ContractTerms, mark_ticks: Mark) -> list[Row]:
    """Return the margin tiers in contracts at the mark; without a mark the last one is open."""
    ends = [_contracts_of(terms, end, mark_ticks) for end in amounts.tier_ends_cash(terms)]
    return [
        {
            "baseMaxLoan": "",
            "imr": amounts.ratio(rate_ppm),
            "instFamily": instrument.okx_family,
            "instId": "",
            "maxLever": str(amounts.max_leverage(rate_ppm)),
            "maxSz": ends[place],
            "minSz": ends[place - 1] if place else "0",
            "mmr": amounts.ratio(rate_ppm),
            "optMgnFactor": "0",
            "quoteMaxLoan": "",
            "tier": str(place + 1),
            "uly": instrument.okx_family,
        }
        for place, rate_ppm in enumerate(terms.tier_rate_ppm.tolist())
    ]


def _contracts_of(terms: ContractTerms, notional_cash: int, mark_ticks: Mark) -> str:
    """Return the number of contracts of a notional at the mark, rounded down."""
    largest = div_floor(COLUMN_LIMIT, terms.factor)
    if not mark_ticks:
        return amounts.contracts(terms, largest)
    units, units_per_tick = mark_ticks.numerator, mark_ticks.denominator
    top, bottom = (units_per_tick, units) if terms.linear else (units, units_per_tick)
    lots = div_floor(notional_cash * top, terms.factor * bottom)
    return amounts.contracts(terms, min(largest, lots))


def _named(instrument: Instrument) -> Row:
    return {"instType": SWAP, "instId": instrument.okx}


# --- positions ---


class OkxPositionContext(NamedTuple):
    """What a position row states besides the position: mark, ADL indicator and time."""

    account: str
    mark_ticks: Mark
    indicator: int
    liquidation_ticks: int | None
    usd_price: tuple[int, int] | None
    time_ms: int


@dataclass(frozen=True, slots=True)
class CurrencyBalance:
    """An account's money in one settle asset: the cross wallet and the positions settled in it."""

    currency: str
    decimals: int
    balance_cash: int
    positions: tuple[PositionSnapshot, ...]
    usd_price: amounts.DollarPrice
    collateral: CollateralSnapshot | None = None

    @property
    def cross_pnl_cash(self) -> int:
        """The PnL of cross positions."""
        return sum(p.unrealized_pnl_cash for p in self.positions if not p.isolated)

    @property
    def isolated_pnl_cash(self) -> int:
        """The PnL of isolated positions."""
        return sum(p.unrealized_pnl_cash for p in self.positions if p.isolated)

    @property
    def isolated_equity_cash(self) -> int:
        """The margins of isolated positions and their PnL."""
        return self.isolated_pnl_cash + sum(p.margin_cash for p in self.positions if p.isolated)

    @property
    def equity_cash(self) -> int:
        """All money of the account in the asset, at the marks."""
        return self.balance_cash + self.cross_pnl_cash + self.isolated_equity_cash

    @property
    def initial_cash(self) -> int:
        """The initial margins of cross positions."""
        return sum(amounts.initial_margin_cash(p) for p in self.positions if not p.isolated)

    @property
    def maintenance_cash(self) -> int:
        """The maintenance margins of cross positions."""
        return sum(p.maintenance_cash for p in self.positions if not p.isolated)

    @property
    def available_cash(self) -> int:
        """What is free for new positions: cross equity less the margin that it backs, or 0."""
        return max(0, self.balance_cash + self.cross_pnl_cash - self.initial_cash)

    @property
    def notional_cash(self) -> int:
        """The notionals of all positions at the marks."""
        return sum(map(amounts.notional_cash, self.positions))


def balance_row(asset: str, decimals: int, balance_cash: int, equity_cash: int) -> dict[str, str]:
    """Return an asset's cash and equity, which every version of a balance has."""
    return {
        "ccy": asset,
        "cashBal": amounts.cash(balance_cash, decimals),
        "eq": amounts.cash(equity_cash, decimals),
    }


def multi_currency_totals(margin: MarginSnapshot) -> dict[str, str]:
    """Return the totals of account/balance in multi-currency mode, in the margin currency."""
    counted = margin.equity_after_haircut_cash
    return {
        "totalEq": amounts.cash(margin.equity_cash, margin.decimals),
        "adjEq": amounts.cash(counted, margin.decimals),
        "upl": amounts.cash(margin.unrealized_pnl_cash, margin.decimals),
        "mmr": amounts.cash(margin.maintenance_cash, margin.decimals),
        "mgnRatio": amounts.part(counted, margin.maintenance_cash),
    }


_UNUSED_BALANCES = (
    *("crossLiab", "interest", "isoLiab", "liab", "maxLoan", "uplLiab", "spotUpl", "spotUplRatio"),
    *("totalPnl", "totalPnlRatio", "accAvgPx", "openAvgPx", "maxSpotInUse", "autoLendMtAmt"),
)
_NO_BALANCES = (
    *("ordFrozen", "twap", "stgyEq", "spotBal", "spotInUseAmt", "clSpotInUseAmt", "borrowFroz"),
    *("spotIsoBal", "smtSyncEq", "spotCopyTradingEq", "rewardBal", "fixedBal"),
)
"""Fields of balances that a derivatives account does not use: empty, and without money."""


def balance_detail(
    held: CurrencyBalance, time_ms: int, margin: MarginSnapshot | None = None
) -> dict[str, object]:
    """Return one currency's details of account/balance; collateral counts after its discount."""
    decimals, free = held.decimals, amounts.cash(held.available_cash, held.decimals)
    cross_cash = held.balance_cash + held.cross_pnl_cash
    equity_usd = amounts.value_at(held.equity_cash, decimals, held.usd_price)
    return {
        **balance_row(held.currency, decimals, held.balance_cash, held.equity_cash),
        **dict.fromkeys(_UNUSED_BALANCES, ""),
        **dict.fromkeys(_NO_BALANCES, "0"),
        "availEq": free,
        "availBal": free,
        "frozenBal": amounts.cash(held.equity_cash - held.available_cash, decimals),
        "isoEq": amounts.cash(held.isolated_equity_cash, decimals),
        "isoUpl": amounts.cash(held.isolated_pnl_cash, decimals),
        "upl": amounts.cash(held.cross_pnl_cash + held.isolated_pnl_cash, decimals),
        "eqUsd": equity_usd,
        "disEq": equity_usd,
        "imr": amounts.cash(held.initial_cash, decimals),
        "mmr": amounts.cash(held.maintenance_cash, decimals),
        "mgnRatio": amounts.part(cross_cash, held.maintenance_cash),
        "notionalLever": amounts.part(held.notional_cash, cross_cash) if cross_cash > 0 else "0",
        "collateralEnabled": False,
        "uTime": str(time_ms),
        **_collateral_values(held, margin),
    }


def _collateral_values(held: CurrencyBalance, margin: MarginSnapshot | None) -> dict[str, object]:
    """Return the value of collateral in the margin currency, before and after the discount."""
    if held.collateral is None or margin is None:
        return {}
    return {
        "eqUsd": amounts.cash(held.collateral.value_cash, margin.decimals),
        "disEq": amounts.cash(held.collateral.value_after_haircut_cash, margin.decimals),
        "collateralEnabled": True,
    }


def cash_balance(held: CurrencyBalance) -> str:
    """Return a currency's cash as in balance_and_position."""
    return amounts.cash(held.balance_cash, held.decimals)


_ACCOUNT_EMPTY = (
    *("adjEq", "delta", "deltaLever", "deltaNeutralStatus", "notionalUsdForBorrow"),
    *("notionalUsdForFutures", "notionalUsdForOption", "spotCopyTradingEq"),
)


def account_balance(
    held: Sequence[CurrencyBalance],
    listed: Sequence[CurrencyBalance],
    time_ms: int,
    margin: MarginSnapshot | None = None,
) -> dict[str, object]:
    """Return an account's balance: totals in dollars over all currencies, details of some.

    A currency without a known price is in no total. In multi-currency mode the totals of `margin`,
    in the margin currency, stand for those of the currencies.
    """

    def total(amount_of: Callable[[CurrencyBalance], int]) -> str:
        return amounts.total_value((amount_of(b), b.decimals, b.usd_price) for b in held)

    notional = total(lambda balance: balance.notional_cash)
    cross = total(lambda balance: balance.balance_cash + balance.cross_pnl_cash)
    maintenance = total(lambda balance: balance.maintenance_cash)
    return {
        **dict.fromkeys(_ACCOUNT_EMPTY, ""),
        "totalEq": total(lambda balance: balance.equity_cash),
        "isoEq": total(lambda balance: balance.isolated_equity_cash),
        "availEq": total(lambda balance: balance.available_cash),
        "imr": total(lambda balance: balance.initial_cash),
        "mmr": maintenance,
        "mgnRatio": amounts.quotient(cross, maintenance) if maintenance != "0" else "",
        "notionalUsd": notional,
        "notionalUsdForSwap": notional,
        "ordFroz": "0",
        "borrowFroz": "0",
        "upl": total(lambda balance: balance.cross_pnl_cash + balance.isolated_pnl_cash),
        "details": [balance_detail(balance, time_ms, margin) for balance in listed],
        "uTime": str(time_ms),
        **(multi_currency_totals(margin) if margin else {}),
    }


def account_config(account: str, *, hedge_mode: bool, multi_asset: bool) -> dict[str, object]:
    """Return the account's modes; the key can only read.

    The level is 2 for futures mode, and 3 for an account that is margined on all its assets.
    """
    empty = (
        *("discountType", "feeType", "settleCcy", "spotOffsetType", "levelTmp", "ip"),
        *("traderInsts", "spotTraderInsts", "settleCcyList"),
    )
    lists = {"traderInsts", "spotTraderInsts", "settleCcyList"}
    return {
        **{name: [] if name in lists else "" for name in empty},
        "uid": account,
        "mainUid": account,
        "label": account,
        "acctLv": "3" if multi_asset else "2",
        "posMode": position_mode(hedge_mode=hedge_mode),
        "autoLoan": False,
        "ctIsoMode": "automatic",
        "mgnIsoMode": "automatic",
        "greeksType": "PA",
        "level": "Lv1",
        "stgyType": "0",
        "roleType": "0",
        "spotRoleType": "0",
        "opAuth": "0",
        "kycLv": "0",
        "perm": "read_only",
        "enableSpotBorrow": False,
        "spotBorrowAutoRepay": False,
        "liquidationGear": "-1",
        "type": "0",
        "acctStpMode": "cancel_maker",
    }


def position_mode(*, hedge_mode: bool) -> str:
    """Return OKX's name of an account's position mode."""
    return "long_short_mode" if hedge_mode else "net_mode"


def leverage_row(
    instrument: Instrument, margin_mode: str, side: str, leverage_hundredths: int
) -> Row:
    """Return the leverage of a contract in a margin mode; `side` is long, short or net."""
    return {
        "instId": instrument.okx,
        "ccy": "",
        "mgnMode": margin_mode,
        "posSide": side,
        "lever": amounts.leverage(leverage_hundredths),
    }


def trade_fee(kind: str, now_ms: int) -> dict[str, object]:
    """Return the fees of trades: the engine charges none, ADL fills excepted."""
    zero = ("delivery", "exercise", "maker", "makerU", "taker", "takerU", "makerUSDC", "takerUSDC")
    return {
        **dict.fromkeys(zero, "0"),
        "category": "1",
        "feeGroup": [],
        "fiat": [],
        "instType": kind,
        "level": "Lv1",
        "ruleType": "normal",
        "ts": str(now_ms),
    }


_UNUSED_POSITIONS = (
    *("interest", "liab", "liabCcy", "optVal", "posCcy", "tradeId", "hedgedPos", "bizRefId"),
    *("deltaBS", "deltaPA", "gammaBS", "gammaPA", "thetaBS", "thetaPA", "vegaBS", "vegaPA"),
    *("baseBal", "baseBorrowed", "baseInterest", "quoteBal", "quoteBorrowed", "quoteInterest"),
    *(
        "nonSettleAvgPx",
        "pendingCloseOrdLiabVal",
        "bizRefType",
        "idxPx",
        "spotInUseAmt",
        "spotInUseCcy",
        "clSpotInUseAmt",
        "maxSpotInUseAmt",
    ),
)
_CLOSED_POSITIONS = (
    *("avgPx", "bePx", "imr", "liqPx", "margin", "mgnRatio", "mmr", "upl", "uplLastPx"),
    *("uplRatio", "uplRatioLastPx", "usdPx"),
)
"""Fields that a closed position does not use."""

_NO_AMOUNTS = ("realizedPnl", "pnl", "fee", "fundingFee", "liqPenalty", "settledPnl")
"""Fields of positions that are unused by swaps, and amounts that delever does not store."""


def position_row(
    instrument: Instrument,
    terms: ContractTerms,
    decimals: int,
    position: PositionSnapshot,
    context: OkxPositionContext,
    *,
    hedge_mode: bool,
) -> Row:
    """Return an open position as in account/positions; `adl` is "0" if it is not ranked.

    Values at the last price are those at the mark, since last prices are not stored.
    """
    notional = amounts.notional_cash(position)
    initial = amounts.initial_margin_cash(position)
    margin = position.margin_cash + position.unrealized_pnl_cash
    quantity = amounts.contracts(terms, position.lots)
    short = position.side is Side.SHORT and not hedge_mode
    ticks = context.liquidation_ticks
    entry = amounts.entry_price(terms, position.lots, position.cost_cash)
    upl = amounts.cash(position.unrealized_pnl_cash, decimals)
    upl_ratio = amounts.part(position.unrealized_pnl_cash, initial)
    return {
        **dict.fromkeys(_UNUSED_POSITIONS, ""),
        **dict.fromkeys(_NO_AMOUNTS, "0"),
        "adl": str(context.indicator),
        "availPos": quantity,
        "bePx": entry,
        "usdPx": amounts.value_at(1, 0, context.usd_price),
        "pTime": str(context.time_ms),
        "avgPx": entry,
        "cTime": "0",
        "ccy": instrument.settle,
        "imr": "" if position.isolated else amounts.cash(initial, decimals),
        "instId": instrument.okx,
        "instType": SWAP,
        "last": "0",
        "lever": amounts.leverage(position.leverage_hundredths),
        "liqPx": "" if ticks is None else amounts.price(terms, ticks),
        "margin": amounts.cash(position.margin_cash, decimals) if position.isolated else "",
        "markPx": amounts.price(terms, context.mark_ticks),
        "mgnMode": "isolated" if position.isolated else "cross",
        "mgnRatio": amounts.part(margin, position.maintenance_cash) if position.isolated else "",
        "mmr": amounts.cash(position.maintenance_cash, decimals),
        "notionalUsd": amounts.value_at(notional, decimals, context.usd_price),
        "pos": f"-{quantity}" if short else quantity,
        "posId": f"{context.account}-{instrument.okx}-{position.side}-{position.position_id}",
        "posSide": str(position.side) if hedge_mode else "net",
        "uTime": str(context.time_ms),
        "upl": upl,
        "uplLastPx": upl,
        "uplRatio": upl_ratio,
        "uplRatioLastPx": upl_ratio,
        "closeOrderAlgo": [],
    }


def closed_position_row(
    instrument: Instrument, side: str, account: str, time_ms: int, mark: str
) -> Row:
    """Return a position of size 0, as the positions channel announces that it was closed."""
    return {
        **dict.fromkeys((*_UNUSED_POSITIONS, *_CLOSED_POSITIONS), ""),
        **dict.fromkeys(_NO_AMOUNTS, "0"),
        "adl": "0",
        "availPos": "0",
        "cTime": "0",
        "ccy": instrument.settle,
        "closeOrderAlgo": [],
        "instId": instrument.okx,
        "instType": SWAP,
        "last": "0",
        "lever": "0",
        "markPx": mark,
        "mgnMode": "cross",
        "notionalUsd": "0",
        "pos": "0",
        "posId": f"{account}-{instrument.okx}-{side}",
        "posSide": side,
        "uTime": str(time_ms),
        "pTime": str(time_ms),
    }


# --- security fund ---


class FundType(StrEnum):
    """The cause of a change of the fund, or a start or end of ADL."""

    REGULAR = "regular_update"
    DEPOSIT = "liquidation_balance_deposit"
    LOSS = "bankruptcy_loss"
    REVENUE = "platform_revenue"
    ADL = "adl"


ADL_BY_BALANCE, ADL_BY_RATE, ADL_BY_SIZE = "bal_adl_start", "rate_adl_start", "pos_adl_start"
ADL_ENDS = "adl_end"

_BY_RATE = {
    Reason.CONTRACT_DRAWDOWN_LIMIT,
    Reason.POOL_DRAWDOWN_LIMIT,
    Reason.POOL_EQUITY_BELOW_MEAN,
    Reason.PNL_TO_POOL_LIMIT,
}
_BY_SIZE = {Reason.INSUFFICIENT_DEPTH, Reason.INVENTORY_NOT_UNWOUND}


def adl_start(reason: Reason) -> str:
    """Return OKX's kind of start for a reason: rate of fall, unfilled orders, or balance."""
    if reason in _BY_RATE:
        return ADL_BY_RATE
    return ADL_BY_SIZE if reason in _BY_SIZE else ADL_BY_BALANCE


@dataclass(frozen=True, slots=True)
class FundEntry:
    """One entry of a security fund's history; `peak_cash` and `adl` for the type adl only."""

    kind: FundType
    time_ms: int
    balance_cash: int
    amount_cash: int | None = None
    peak_cash: int | None = None
    adl: str = ""

    def row(self, currency: str, decimals: int) -> dict[str, str]:
        """Return the entry as in insurance-fund."""
        amount, peak = self.amount_cash, self.peak_cash
        return {
            "balance": amounts.cash(self.balance_cash, decimals),
            "amt": "" if amount is None else amounts.cash(amount, decimals),
            "ccy": currency,
            "type": self.kind,
            "maxBal": "" if peak is None else amounts.cash(peak, decimals),
            "maxBalTs": "",
            "decRate": "",
            "adlType": self.adl,
            "ts": str(self.time_ms),
        }


def fund(family: str, total: str, details: Sequence[Mapping[str, str]]) -> dict[str, object]:
    """Return one family's fund; `total` is in dollars."""
    return {"total": total, "instFamily": family, "instType": SWAP, "details": details}


# --- ADL warnings ---


class WarningState(StrEnum):
    """A family's ADL state, in order of severity."""

    NORMAL = "normal"
    WARNING = "warning"
    ADL = "adl"


def warning_row(family: str, state: WarningState, balance: str, now_ms: int) -> dict[str, str]:
    """Return one family's warning."""
    return {
        "instType": SWAP,
        "instFamily": family,
        "state": state,
        "bal": balance,
        "ccy": "",
        "maxBal": "",
        "maxBalTs": "",
        "adlType": "",
        "adlBal": "",
        "adlRecBal": "",
        "ts": str(now_ms),
        "decRate": "",
        "adlRate": "",
        "adlRecRate": "",
    }


def push(argument: Mapping[str, str], rows: Iterable[object]) -> str:
    """Return a message of the channel."""
    return msgspec.json.encode({"arg": argument, "data": list(rows)}).decode()


def event(name: str, request_id: object, argument: Mapping[str, Any], connection: str) -> str:
    """Return the answer to subscribe or unsubscribe."""
    message = {"event": name, "arg": argument, "connId": connection}
    return _with_id(message, request_id)


def error(code: OkxErrorCode, request_id: object, connection: str) -> str:
    """Return the answer to a request that cannot be carried out."""
    message = {"event": "error", "code": code.code, "msg": code.message, "connId": connection}
    return _with_id(message, request_id)


def login(connection: str) -> str:
    """Return the answer to a valid login."""
    return _with_id({"event": "login", "code": "0", "msg": "", "connId": connection}, None)


def _with_id(message: Mapping[str, object], request_id: object) -> str:
    named = {"id": request_id} if request_id is not None else {}
    return msgspec.json.encode({**named, **message}).decode()
