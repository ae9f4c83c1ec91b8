"""OKX V5's JSON: security fund, ADL warnings, contracts, positions and errors.

Every value is text. Fields that OKX has deprecated are included, empty. Quantities are contracts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from delever.core.market.contract_terms import ContractTerms
from delever.core.messages import Reason, Side, TradingStatus
from delever.server.engine.account_snapshot import PositionSnapshot
from delever.server.venues import amounts
from delever.server.venues.symbols import Instrument

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
UNKNOWN_KEY = OkxErrorCode("50111", "Invalid OK-ACCESS-KEY", 401)
WRONG_TIMESTAMP = OkxErrorCode("50112", "Invalid OK-ACCESS-TIMESTAMP", 401)
WRONG_SIGN = OkxErrorCode("50113", "Invalid Sign", 401)
NOT_PERMITTED = OkxErrorCode("50114", "Invalid Authority", 401)
WRONG_METHOD = OkxErrorCode("50115", "Invalid request method", 405)
WRONG = OkxErrorCode("51000", "Parameter {name} error")
UNKNOWN_CONTRACT = OkxErrorCode("51001", "Instrument ID does not exist", 200)
NO_ROUTE = OkxErrorCode("404", "Not Found", 404)
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
    """Return a contract as in public/instruments; fields unknown to delever are empty."""
    lot = amounts.contracts(terms, 1)
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
        "listTime": "",
        "expTime": "",
        "lever": "",
        "tickSz": amounts.price(terms, terms.price_step),
        "lotSz": lot,
        "minSz": lot,
        "alias": "",
        "state": STATES[status],
    }


# --- positions ---


class OkxPositionContext(NamedTuple):
    """What a position row states besides the position: mark, ADL indicator and time."""

    account: str
    mark_ticks: int
    indicator: int
    liquidation_ticks: int | None
    usd_price: tuple[int, int] | None
    time_ms: int


def balance_row(asset: str, decimals: int, balance_cash: int, equity_cash: int) -> dict[str, str]:
    """Return the balance in one asset as in the details of account/balance."""
    return {
        "ccy": asset,
        "cashBal": amounts.cash(balance_cash, decimals),
        "eq": amounts.cash(equity_cash, decimals),
        "availEq": "",
        "frozenBal": "0",
    }


def position_row(
    instrument: Instrument,
    terms: ContractTerms,
    decimals: int,
    position: PositionSnapshot,
    context: OkxPositionContext,
    *,
    hedge_mode: bool,
) -> dict[str, str]:
    """Return an open position as in account/positions; `adl` is "0" if it is not ranked."""
    notional = amounts.notional_cash(position)
    initial = amounts.initial_margin_cash(position)
    margin = position.margin_cash + position.unrealized_pnl_cash
    quantity = amounts.contracts(terms, position.lots)
    short = position.side is Side.SHORT and not hedge_mode
    ticks = context.liquidation_ticks
    return {
        "adl": str(context.indicator),
        "availPos": "",
        "avgPx": amounts.entry_price(terms, position.lots, position.cost_cash),
        "cTime": "",
        "ccy": instrument.settle,
        "imr": "" if position.isolated else amounts.cash(initial, decimals),
        "instId": instrument.okx,
        "instType": SWAP,
        "interest": "",
        "last": "",
        "lever": amounts.leverage(position.leverage_hundredths),
        "liab": "",
        "liabCcy": "",
        "liqPx": "" if ticks is None else amounts.price(terms, ticks),
        "margin": amounts.cash(position.margin_cash, decimals) if position.isolated else "",
        "markPx": amounts.price(terms, context.mark_ticks),
        "mgnMode": "isolated" if position.isolated else "cross",
        "mgnRatio": amounts.part(margin, position.maintenance_cash) if position.isolated else "",
        "mmr": amounts.cash(position.maintenance_cash, decimals),
        "notionalUsd": amounts.value_at(notional, decimals, context.usd_price),
        "optVal": "",
        "pos": f"-{quantity}" if short else quantity,
        "posCcy": "",
        "posId": f"{context.account}-{instrument.okx}-{position.side}-{position.position_id}",
        "posSide": str(position.side) if hedge_mode else "net",
        "realizedPnl": "",
        "tradeId": "",
        "uTime": str(context.time_ms),
        "upl": amounts.cash(position.unrealized_pnl_cash, decimals),
        "uplRatio": amounts.part(position.unrealized_pnl_cash, initial),
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


def push(argument: Mapping[str, str], rows: Iterable[Mapping[str, str]]) -> str:
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


def _with_id(message: Mapping[str, object], request_id: object) -> str:
    named = {"id": request_id} if request_id is not None else {}
    return msgspec.json.encode({**named, **message}).decode()
