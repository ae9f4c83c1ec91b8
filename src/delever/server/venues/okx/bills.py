"""Where clients look for an ADL at OKX: an account's forced orders as bills, fills and orders.

All lists have the last seven days, the archives everything in memory. A bill's type is 9 for ADL
and 5 for liquidation. Its subtype also states how the position was closed: `close long` in
long/short mode and `sell` in net mode, both of a long.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from delever.core.market.contract_terms import ContractTerms
from delever.core.messages import AdlFilled, Side, TakenOver
from delever.server.engine.runner import Runner
from delever.server.venues import amounts
from delever.server.venues.fill_log import FillLog, ForcedEvent
from delever.server.venues.okx import payloads
from delever.server.venues.symbols import Instrument, SymbolMapCache

ADL_ORDER, LIQUIDATION_ORDER = "adl", "full_liquidation"
"""The categories of forced orders."""

CANCELLED_BY_ADL = "6"
"""The `cancelSource` of an order that ADL has cancelled."""

WEEK_MS = 7 * 24 * 3_600_000
MAX_BILLS = 100

ADL, LIQUIDATION = "9", "5"
TYPES = tuple(map(str, range(1, 40)))
"""OKX's bill types; only ADL and LIQUIDATION occur here."""

_SUBTYPES = {  # by type and hedge mode: of a long, of a short
    (ADL, True): ("125", "126"),
    (ADL, False): ("128", "127"),
    (LIQUIDATION, True): ("104", "105"),
    (LIQUIDATION, False): ("107", "106"),
}
_IDS_PER_SEQUENCE = 10**10
_NUMBERS = ("before", "after", "begin", "end", "limit")

Params = Mapping[str, str]


class Bill(NamedTuple):
    """One ADL fill or takeover with its sequence and time in the journal."""

    sequence: int
    time_ms: int
    event: ForcedEvent

    @property
    def id(self) -> int:
        """A unique number that grows with time."""
        event = self.event
        number = 2 * event.fill if isinstance(event, AdlFilled) else 2 * event.takeover + 1
        return self.sequence * _IDS_PER_SEQUENCE + number

    @property
    def is_adl(self) -> bool:
        """Whether it is an ADL fill, not a takeover."""
        return isinstance(self.event, AdlFilled)

    @property
    def type(self) -> str:
        """OKX's type: ADL or LIQUIDATION."""
        return ADL if self.is_adl else LIQUIDATION

    def subtype(self, *, hedge_mode: bool) -> str:
        """Return OKX's subtype: how the position was closed."""
        long, short = _SUBTYPES[self.type, hedge_mode]
        return long if self.event.side is Side.LONG else short

    def row(
        self, instrument: Instrument, terms: ContractTerms, decimals: int, *, hedge_mode: bool
    ) -> dict[str, str]:
        """Return the bill as in account/bills; past balances, which are not stored, are empty."""
        event = self.event
        isolated = event.isolated if isinstance(event, AdlFilled) else event.margin_cash > 0
        bill_id = str(self.id)
        return {
            "bal": "",
            "balChg": amounts.cash(_wallet_change_cash(event), decimals),
            "billId": bill_id,
            "ccy": instrument.settle,
            "clOrdId": "",
            "earnAmt": "",
            "earnApr": "",
            "execType": "T",
            "fee": amounts.cash(-_fee_cash(event), decimals),
            "fillTime": str(self.time_ms),
            "from": "",
            "instId": instrument.okx,
            "instType": payloads.SWAP,
            "interest": "0",
            "mgnMode": "isolated" if isolated else "cross",
            "notes": "",
            "ordId": bill_id,
            "pnl": amounts.cash(event.realized_pnl_cash, decimals),
            "posBal": "",
            "posBalChg": "",
            "px": amounts.price(terms, event.price_ticks),
            "subType": self.subtype(hedge_mode=hedge_mode),
            "sz": amounts.contracts(terms, event.lots),
            "tag": "",
            "to": "",
            "tradeId": bill_id,
            "ts": str(self.time_ms),
            "type": self.type,
        }

    def fill_row(
        self, instrument: Instrument, terms: ContractTerms, decimals: int, *, hedge_mode: bool
    ) -> dict[str, str]:
        """Return the forced order as in trade/fills-history."""
        event = self.event
        price = amounts.price(terms, event.price_ticks)
        empty = ("clOrdId", "tag", "fillPxVol", "fillPxUsd", "fillMarkVol", "fillFwdPx")
        return {
            **dict.fromkeys((*empty, "fillIdxPx", "fillMarkPx", "tradeQuoteCcy"), ""),
            "instType": payloads.SWAP,
            "instId": instrument.okx,
            "tradeId": str(self.id),
            "ordId": str(self.id),
            "billId": str(self.id),
            "subType": self.subtype(hedge_mode=hedge_mode),
            "fillPx": price,
            "fillSz": amounts.contracts(terms, event.lots),
            "side": "sell" if event.side is Side.LONG else "buy",
            "posSide": str(event.side) if hedge_mode else "net",
            "execType": "T",
            "feeCcy": instrument.settle,
            "fee": amounts.cash(-_fee_cash(event), decimals),
            "feeRate": amounts.part(-_fee_cash(event), abs(event.value_cash)) or "0",
            "fillPnl": amounts.cash(event.realized_pnl_cash, decimals),
            "fillTime": str(self.time_ms),
            "ts": str(self.time_ms),
        }

    def order_row(
        self, instrument: Instrument, terms: ContractTerms, decimals: int, *, hedge_mode: bool
    ) -> dict[str, str]:
        """Return the forced order, completely filled, as in trade/orders-history."""
        event, fill = self.event, self.fill_row(instrument, terms, decimals, hedge_mode=hedge_mode)
        leverage = event.leverage_hundredths if isinstance(event, AdlFilled) else 100
        isolated = event.isolated if isinstance(event, AdlFilled) else event.margin_cash > 0
        shared = ("instType", "instId", "ordId", "side", "posSide", "tradeId", "fillPx", "fillSz")
        return {
            **dict.fromkeys(_UNUSED_ORDERS, ""),
            **{name: fill[name] for name in (*shared, "fillTime", "fee", "feeCcy")},
            "category": ADL_ORDER if self.is_adl else LIQUIDATION_ORDER,
            "state": "filled",
            "ordType": "limit",
            "px": fill["fillPx"],
            "sz": fill["fillSz"],
            "accFillSz": fill["fillSz"],
            "avgPx": fill["fillPx"],
            "pnl": fill["fillPnl"],
            "lever": amounts.leverage(leverage),
            "tdMode": "isolated" if isolated else "cross",
            "reduceOnly": "true",
            "rebate": "0",
            "rebateCcy": instrument.settle,
            "cTime": str(self.time_ms),
            "uTime": str(self.time_ms),
        }

    def cancelled_rows(self, *, hedge_mode: bool) -> Iterator[dict[str, str]]:
        """Yield each open order that was cancelled with an ADL fill; only its id is known.

        Strict clients require a side and a type: those of a limit order that closes the position.
        """
        event = self.event
        if not isinstance(event, AdlFilled):
            return
        for order in event.cancel_orders:
            yield {
                **dict.fromkeys((*_UNUSED_ORDERS, *_EMPTY_IF_CANCELLED), ""),
                **dict.fromkeys(_ZERO_IF_CANCELLED, "0"),
                "instType": payloads.SWAP,
                "ordId": order,
                "category": "normal",
                "state": "canceled",
                "side": "sell" if event.side is Side.LONG else "buy",
                "posSide": str(event.side) if hedge_mode else "net",
                "tdMode": "isolated" if event.isolated else "cross",
                "lever": amounts.leverage(event.leverage_hundredths),
                "ordType": "limit",
                "reduceOnly": "false",
                "cancelSource": CANCELLED_BY_ADL,
                "cTime": str(self.time_ms),
                "uTime": str(self.time_ms),
            }


_EMPTY_IF_CANCELLED = ("tradeId", "fillPx", "fillTime", "feeCcy", "avgPx", "rebateCcy")
_ZERO_IF_CANCELLED = ("px", "sz", "fillSz", "accFillSz", "fee", "pnl", "rebate")
"""Fields of orders that a cancelled order does not use."""

_UNUSED_ORDERS = (
    *("algoClOrdId", "algoId", "attachAlgoClOrdId", "cancelSource", "cancelSourceReason", "ccy"),
    *("clOrdId", "px", "pxType", "pxUsd", "pxVol", "quickMgnType", "slOrdPx", "slTriggerPx"),
    *("slTriggerPxType", "source", "stpId", "stpMode", "tag", "tgtCcy", "tpOrdPx", "tpTriggerPx"),
    *("tpTriggerPxType", "isTpLimit", "tradeQuoteCcy"),
)
"""Fields of orders that a forced order does not use."""


def _wallet_change_cash(event: ForcedEvent) -> int:
    """Return the change of the account's wallet."""
    if isinstance(event, TakenOver):
        return event.to_wallet_cash
    return event.realized_pnl_cash + event.margin_returned_cash - event.fee_cash


def _fee_cash(event: ForcedEvent) -> int:
    return event.fee_cash if isinstance(event, AdlFilled) else 0


BuildRow = Callable[..., dict[str, str]]
"""Builds one row of a list from a bill: `Bill.row`, `Bill.fill_row` or `Bill.order_row`."""


class BillQuery:
    """Answers the lists of forced orders from the fill log."""

    def __init__(self, runner: Runner, symbol_maps: SymbolMapCache, fills: FillLog) -> None:
        self._runner, self._symbol_maps, self._fills = runner, symbol_maps, fills

    def of(
        self,
        account: str,
        params: Params,
        build: BuildRow = Bill.row,
        *,
        hedge_mode: bool,
        archive: bool = False,
    ) -> list[dict[str, str]] | payloads.OkxErrorCode:
        """Return an account's matching rows, newest first, or the error of a parameter."""
        error = _params_error(params)
        if error is not None:
            return error
        numbers = {name: int(params[name]) for name in _NUMBERS if params.get(name)}
        now_ms = self._runner.now_ms()
        orders = self._fills.of(
            account,
            since_ms=max(numbers.get("begin", 0), 0 if archive else now_ms - WEEK_MS),
            until_ms=numbers.get("end", now_ms),
        )
        rows = [
            row
            for bill in (Bill(*order) for order in reversed(orders))
            if numbers.get("before", -1) < bill.id < numbers.get("after", bill.id + 1)
            if (row := self.row(bill, build, hedge_mode=hedge_mode)) is not None
            if self._matches(row, params)
        ]
        return rows[: min(numbers.get("limit", MAX_BILLS), MAX_BILLS)]

    def row(self, bill: Bill, build: BuildRow, *, hedge_mode: bool) -> dict[str, str] | None:
        """Return a bill's row, or None if its contract is not listed."""
        snapshot = self._runner.market_snapshot
        instrument = self._symbol_maps.of(snapshot).by_contract.get(bill.event.contract)
        if instrument is None:
            return None
        contract = snapshot.contracts[bill.event.contract]
        terms = contract.terms.at(bill.sequence)
        return build(bill, instrument, terms, contract.cash_decimals, hedge_mode=hedge_mode)

    def _matches(self, row: Mapping[str, str], params: Params) -> bool:
        """Return whether a row's fields have the values that a request names."""
        names = (
            *("instType", "instId", "ccy", "mgnMode", "type", "subType"),
            *("category", "state", "ordType", "ordId"),
        )
        if any(params.get(name, "") not in {"", row[name]} for name in names if name in row):
            return False
        symbols = self._symbol_maps.of(self._runner.market_snapshot)
        kind = "linear" if symbols.by_okx[row["instId"]].linear else "inverse"
        return params.get("ctType", "") in {"", kind}


def _params_error(params: Params) -> payloads.OkxErrorCode | None:
    """Return the error of the first invalid parameter, or None."""
    allowed = {
        "instType": payloads.INSTRUMENT_TYPES,
        "mgnMode": ("isolated", "cross"),
        "ctType": ("linear", "inverse"),
        "type": TYPES,
    }
    for name, values in allowed.items():
        if params.get(name, "") not in {"", *values}:
            return payloads.WRONG.with_values(name=name)
    for name in (*_NUMBERS, "subType"):
        text = params.get(name, "")
        if text and not (text.isascii() and text.isdigit() and len(text) < 24):
            return payloads.WRONG.with_values(name=name)
    return None
