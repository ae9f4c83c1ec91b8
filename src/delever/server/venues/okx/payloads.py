"""OKX V5: security fund, ADL warnings, contracts, positions, and the error envelope.

Every value is text. Fields that OKX has deprecated stay, empty. Quantities are in contracts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from delever.core.market.contract_terms import Terms
from delever.core.messages import Reason, Side
from delever.server.venues import amounts
from delever.server.venues.symbols import Instrument

SWAP = "SWAP"
INSTRUMENT_TYPES = ("SPOT", "MARGIN", SWAP, "FUTURES", "OPTION", "EVENTS")
FUND_TYPES = ("MARGIN", SWAP, "FUTURES", "OPTION")
WARNED_TYPES = (SWAP, "FUTURES", "OPTION")
CHANNEL = "adl-warning"


class Fault(NamedTuple):
    """Why a request is not answered: OKX's code and text, and the HTTP status it comes with."""

    code: str
    message: str
    status: int = 400

    def saying(self, **values: object) -> "Fault":
        """Return the fault with its text filled in."""
        return self._replace(message=self.message.format(**values))


TOO_MANY_REQUESTS = Fault("50011", "Too Many Requests", 429)
EMPTY = Fault("50014", "Parameter {name} can not be empty.")
EXPIRED = Fault("50102", "Timestamp request expired", 401)
NO_KEY = Fault("50103", 'Request header "OK-ACCESS-KEY" can not be empty.', 401)
NO_PASSPHRASE = Fault("50104", 'Request header "OK-ACCESS-PASSPHRASE" can not be empty.', 401)
WRONG_PASSPHRASE = Fault("50105", 'Request header "OK-ACCESS-PASSPHRASE" incorrect.', 401)
NO_SIGN = Fault("50106", 'Request header "OK-ACCESS-SIGN" can not be empty.', 401)
NO_TIMESTAMP = Fault("50107", 'Request header "OK-ACCESS-TIMESTAMP" can not be empty.', 401)
UNKNOWN_KEY = Fault("50111", "Invalid OK-ACCESS-KEY", 401)
WRONG_TIMESTAMP = Fault("50112", "Invalid OK-ACCESS-TIMESTAMP", 401)
WRONG_SIGN = Fault("50113", "Invalid Sign", 401)
NOT_PERMITTED = Fault("50114", "Invalid Authority", 401)
WRONG_METHOD = Fault("50115", "Invalid request method", 405)
WRONG = Fault("51000", "Parameter {name} error")
UNKNOWN_CONTRACT = Fault("51001", "Instrument ID does not exist", 200)
NO_ROUTE = Fault("404", "Not Found", 404)
ILLEGAL = Fault("60012", "Illegal request: {text}")
NO_CHANNEL = Fault("60018", "Wrong URL or channel:{text} doesn't exist.")


def answer(data: Sequence[object]) -> bytes:
    """Return a whole answer."""
    return msgspec.json.encode({"code": "0", "msg": "", "data": data})


def refusal(fault: Fault) -> bytes:
    """Return a whole answer that says why there is none."""
    return msgspec.json.encode({"code": fault.code, "msg": fault.message, "data": []})


def contract_row(instrument: Instrument, terms: Terms) -> dict[str, str]:
    """Return a contract as public/instruments shows it; what delever does not know is empty."""
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
        "tickSz": amounts.price(terms, 1),
        "lotSz": lot,
        "minSz": lot,
        "alias": "",
        "state": "live",
    }


# --- positions ---


class Standing(NamedTuple):
    """What is said of a position besides its own numbers: its place in line, and as of when."""

    account: str
    mark_ticks: int
    indicator: int
    liquidation_ticks: int | None
    usd_price: tuple[int, int] | None
    number: int
    time_ms: int


def balance_row(asset: str, decimals: int, balance_cash: int, equity_cash: int) -> dict[str, str]:
    """Return the money in one asset as a detail of account/balance shows it."""
    return {
        "ccy": asset,
        "cashBal": amounts.cash(balance_cash, decimals),
        "eq": amounts.cash(equity_cash, decimals),
        "availEq": "",
        "frozenBal": "0",
    }


def position_row(
    instrument: Instrument,
    terms: Terms,
    decimals: int,
    held: amounts.Held,
    standing: Standing,
    *,
    hedge_mode: bool,
) -> dict[str, str]:
    """Return an open position as account/positions shows it; `adl` is "0" without a place."""
    notional = amounts.notional_cash(held)
    initial = amounts.initial_margin_cash(held)
    margin = held.margin_cash + held.profit_cash
    quantity = amounts.contracts(terms, held.lots)
    short = held.side is Side.SHORT and not hedge_mode
    ticks = standing.liquidation_ticks
    return {
        "adl": str(standing.indicator),
        "availPos": "",
        "avgPx": amounts.entry_price(terms, held.lots, held.cost_cash),
        "cTime": "",
        "ccy": instrument.settle,
        "imr": "" if held.isolated else amounts.cash(initial, decimals),
        "instId": instrument.okx,
        "instType": SWAP,
        "interest": "",
        "last": "",
        "lever": amounts.leverage(held.leverage_hundredths),
        "liab": "",
        "liabCcy": "",
        "liqPx": "" if ticks is None else amounts.price(terms, ticks),
        "margin": amounts.cash(held.margin_cash, decimals) if held.isolated else "",
        "markPx": amounts.price(terms, standing.mark_ticks),
        "mgnMode": "isolated" if held.isolated else "cross",
        "mgnRatio": amounts.part(margin, held.maintenance_cash) if held.isolated else "",
        "mmr": amounts.cash(held.maintenance_cash, decimals),
        "notionalUsd": amounts.worth(notional, decimals, standing.usd_price),
        "optVal": "",
        "pos": f"-{quantity}" if short else quantity,
        "posCcy": "",
        "posId": f"{standing.account}-{instrument.okx}-{held.side}-{standing.number}",
        "posSide": str(held.side) if hedge_mode else "net",
        "realizedPnl": "",
        "tradeId": "",
        "uTime": str(standing.time_ms),
        "upl": amounts.cash(held.profit_cash, decimals),
        "uplRatio": amounts.part(held.profit_cash, initial),
    }


# --- security fund ---


class FundType(StrEnum):
    """What has moved the fund, or that ADL began or ended."""

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
    """Return which of OKX's three starts a reason is: rate of fall, orders unfilled, or balance."""
    if reason in _BY_RATE:
        return ADL_BY_RATE
    return ADL_BY_SIZE if reason in _BY_SIZE else ADL_BY_BALANCE


@dataclass(frozen=True, slots=True)
class FundEntry:
    """One line of a security fund's history; `peak_cash` and `adl` for lines of type adl only."""

    kind: FundType
    time_ms: int
    balance_cash: int
    amount_cash: int | None = None
    peak_cash: int | None = None
    adl: str = ""

    def row(self, currency: str, decimals: int) -> dict[str, str]:
        """Return the line as insurance-fund shows it."""
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


class State(StrEnum):
    """How near a family is to ADL; the later the worse."""

    NORMAL = "normal"
    WARNING = "warning"
    ADL = "adl"


def warning_row(family: str, state: State, balance: str, now_ms: int) -> dict[str, str]:
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


def error(fault: Fault, request_id: object, connection: str) -> str:
    """Return the answer to what cannot be done."""
    message = {"event": "error", "code": fault.code, "msg": fault.message, "connId": connection}
    return _with_id(message, request_id)


def _with_id(message: Mapping[str, object], request_id: object) -> str:
    named = {"id": request_id} if request_id is not None else {}
    return msgspec.json.encode({**named, **message}).decode()
