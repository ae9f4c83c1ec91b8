"""Bybit V5, what only one account sees: positions, executions, orders, wallet.

What delever does not keep is empty text: cumulative profit, times of creation. An ADL fill is an
execution of type AdlTrade in an order of its own, a takeover one of type BustTrade.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from delever.core.market.contract_terms import Terms
from delever.core.messages import AdlFilled, Side, TakenOver
from delever.server.venues import amounts
from delever.server.venues.symbols import Instrument

BUY, SELL = "Buy", "Sell"
ADL_TRADE, TAKEOVER_TRADE = "AdlTrade", "BustTrade"
CREATED_BY_ADL, CREATED_BY_TAKEOVER = "CreateByAdl_PassThrough", "CreateByTakeOver_PassThrough"
CANCELLED_BY_ADL = "CancelAllBeforeAdl"


@dataclass(frozen=True, slots=True)
class Listing:
    """A contract as this venue knows it: spelling, terms, decimals of its money, and category."""

    instrument: Instrument
    terms: Terms
    cash_decimals: int

    @property
    def category(self) -> str:
        """Linear or inverse."""
        return "linear" if self.instrument.linear else "inverse"

    def cash(self, amount: int) -> str:
        """Return money of its settle asset as text."""
        return amounts.cash(amount, self.cash_decimals)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is said of a position besides its own numbers: its place in line, and as of when."""

    mark_ticks: int
    indicator: int
    status: str
    liquidation_ticks: int | None
    sequence: int
    time_ms: int


def position_index(side: Side, *, hedge_mode: bool) -> int:
    """Return Bybit's positionIdx: 0 one-way, 1 the long and 2 the short side of a hedge."""
    if not hedge_mode:
        return 0
    return 1 if side is Side.LONG else 2


def position_row(
    listing: Listing, held: amounts.Held, standing: Standing, *, hedge_mode: bool
) -> dict[str, Any]:
    """Return an open position as /v5/position/list shows it."""
    terms = listing.terms
    margin = held.margin_cash if held.isolated else amounts.initial_margin_cash(held)
    return {
        **_empty(listing, standing, position_index(held.side, hedge_mode=hedge_mode)),
        "side": BUY if held.side is Side.LONG else SELL,
        "size": amounts.units(terms, held.lots),
        "avgPrice": amounts.entry_price(terms, held.lots, held.cost_cash),
        "positionValue": listing.cash(abs(held.cost_cash)),
        "tradeMode": int(held.isolated),
        "positionStatus": standing.status,
        "adlRankIndicator": standing.indicator,
        "leverage": amounts.leverage(held.leverage_hundredths),
        "positionBalance": listing.cash(margin),
        "positionMM": listing.cash(held.maintenance_cash),
        "positionIM": listing.cash(amounts.initial_margin_cash(held)),
        "liqPrice": _price(terms, standing.liquidation_ticks),
        "unrealisedPnl": listing.cash(held.profit_cash),
    }


def _price(terms: Terms, ticks: int | None) -> str:
    return "" if ticks is None else amounts.price(terms, ticks)


def empty_position_row(listing: Listing, standing: Standing, index: int) -> dict[str, Any]:
    """Return the row of a contract in which nothing is held: the answer to a question by symbol."""
    return _empty(listing, standing, index)


def _empty(listing: Listing, standing: Standing, index: int) -> dict[str, Any]:
    return {
        "positionIdx": index,
        "riskId": 0,
        "riskLimitValue": "",
        "symbol": listing.instrument.bybit,
        "side": "",
        "size": "0",
        "avgPrice": "0",
        "positionValue": "0",
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 0,
        "leverage": "",
        "positionBalance": "0",
        "markPrice": amounts.price(listing.terms, standing.mark_ticks),
        "liqPrice": "",
        "bustPrice": "",
        "positionMM": "0",
        "positionIM": "0",
        "tpslMode": "Full",
        "takeProfit": "",
        "stopLoss": "",
        "trailingStop": "",
        "unrealisedPnl": "0",
        "cumRealisedPnl": "",
        "seq": standing.sequence,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "createdTime": "",
        "updatedTime": str(standing.time_ms),
    }


def position_frame(listing: Listing, row: dict[str, Any]) -> dict[str, Any]:
    """Return a position's row as the stream shows it."""
    frame = {key: value for key, value in row.items() if key != "avgPrice"}
    return {
        "category": listing.category,
        **frame,
        "entryPrice": row["avgPrice"],
        "curRealisedPnl": "",
        "sessionAvgPrice": "",
    }


# --- executions and orders ---

Closed = AdlFilled | TakenOver
"""What closes a position: ADL, or the pool that takes it over."""


def closing_name(event: Closed) -> str:
    """Return what a closing is called, as execution and as order: the same in every replay."""
    return f"adl-{event.fill}" if isinstance(event, AdlFilled) else f"takeover-{event.takeover}"


def execution_type(event: Closed) -> str:
    """Return what kind of execution a closing is."""
    return ADL_TRADE if isinstance(event, AdlFilled) else TAKEOVER_TRADE


def execution_row(
    listing: Listing, event: Closed, time_ms: int, sequence: int
) -> dict[str, object]:
    """Return a closing as /v5/execution/list shows it; its side is the one that closes."""
    quantity = amounts.units(listing.terms, event.lots)
    price = amounts.price(listing.terms, event.price_ticks)
    value, fee = abs(event.value_cash), _fee_cash(event)
    return {
        "symbol": listing.instrument.bybit,
        "orderId": closing_name(event),
        "orderLinkId": "",
        "side": _closing(event),
        "orderPrice": price,
        "orderQty": quantity,
        "leavesQty": "0",
        "createType": _created(event),
        "orderType": "Market",
        "stopOrderType": "UNKNOWN",
        "execFee": listing.cash(fee),
        "execId": closing_name(event),
        "execPrice": price,
        "execQty": quantity,
        "execType": execution_type(event),
        "execValue": listing.cash(value),
        "execTime": str(time_ms),
        "feeCurrency": "",
        "isMaker": False,
        "feeRate": amounts.part(fee, value),
        "tradeIv": "",
        "markIv": "",
        "markPrice": "",
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": quantity,
        "seq": sequence,
        "extraFees": "",
    }


def execution_frame(
    listing: Listing, event: Closed, time_ms: int, sequence: int
) -> dict[str, object]:
    """Return a closing as the stream shows it."""
    return {
        "category": listing.category,
        **execution_row(listing, event, time_ms, sequence),
        "execPnl": listing.cash(event.realized_pnl_cash),
        "isLeverage": "0",
    }


def order_frame(
    listing: Listing, event: Closed, time_ms: int, *, hedge_mode: bool
) -> dict[str, object]:
    """Return the order, filled whole, that a closing stands for."""
    quantity = amounts.units(listing.terms, event.lots)
    price = amounts.price(listing.terms, event.price_ticks)
    return {
        **_order(listing, closing_name(event), time_ms),
        "side": _closing(event),
        "positionIdx": position_index(event.side, hedge_mode=hedge_mode),
        "createType": _created(event),
        "orderStatus": "Filled",
        "price": price,
        "qty": quantity,
        "avgPrice": price,
        "leavesQty": "0",
        "leavesValue": "0",
        "cumExecQty": quantity,
        "cumExecValue": listing.cash(abs(event.value_cash)),
        "cumExecFee": listing.cash(_fee_cash(event)),
        "closedPnl": listing.cash(event.realized_pnl_cash),
        "reduceOnly": True,
    }


def cancelled_frame(listing: Listing, order: str, time_ms: int) -> dict[str, object]:
    """Return an open order that is cancelled with an ADL fill; only its id is known."""
    return {
        **_order(listing, order, time_ms),
        "orderStatus": "Cancelled",
        "cancelType": CANCELLED_BY_ADL,
    }


def _closing(event: Closed) -> str:
    return SELL if event.side is Side.LONG else BUY


def _created(event: Closed) -> str:
    return CREATED_BY_ADL if isinstance(event, AdlFilled) else CREATED_BY_TAKEOVER


def _fee_cash(event: Closed) -> int:
    return event.fee_cash if isinstance(event, AdlFilled) else 0


def _order(listing: Listing, order: str, time_ms: int) -> dict[str, object]:
    return {
        "category": listing.category,
        "orderId": order,
        "orderLinkId": "",
        "symbol": listing.instrument.bybit,
        "side": "",
        "positionIdx": 0,
        "createType": "",
        "orderStatus": "",
        "cancelType": "UNKNOWN",
        "rejectReason": "EC_NoError",
        "orderType": "Market",
        "stopOrderType": "",
        "timeInForce": "IOC",
        "price": "",
        "qty": "",
        "avgPrice": "",
        "leavesQty": "",
        "leavesValue": "",
        "cumExecQty": "",
        "cumExecValue": "",
        "cumExecFee": "",
        "closedPnl": "",
        "triggerPrice": "",
        "takeProfit": "",
        "stopLoss": "",
        "reduceOnly": False,
        "closeOnTrigger": False,
        "createdTime": "",
        "updatedTime": str(time_ms),
    }


# --- wallet, key, account ---


@dataclass(frozen=True, slots=True)
class Coin:
    """One settle asset of an account: money, profit and maintenance of all its positions there."""

    name: str
    decimals: int
    balance_cash: int
    profit_cash: int
    initial_cash: int
    maintenance_cash: int
    usd_price: tuple[int, int] | None

    @property
    def equity_cash(self) -> int:
        """Money and unrealized profit."""
        return self.balance_cash + self.profit_cash

    def frame(self) -> dict[str, str]:
        """Return the coin's row."""
        return {
            "coin": self.name,
            "equity": amounts.cash(self.equity_cash, self.decimals),
            "usdValue": amounts.worth(self.equity_cash, self.decimals, self.usd_price),
            "walletBalance": amounts.cash(self.balance_cash, self.decimals),
            "availableToWithdraw": "",
            "availableToBorrow": "",
            "borrowAmount": "0",
            "accruedInterest": "0",
            "totalOrderIM": "",
            "totalPositionIM": amounts.cash(self.initial_cash, self.decimals),
            "totalPositionMM": amounts.cash(self.maintenance_cash, self.decimals),
            "unrealisedPnl": amounts.cash(self.profit_cash, self.decimals),
            "cumRealisedPnl": "",
            "bonus": "0",
        }


def wallet_frame(coins: Sequence[Coin]) -> dict[str, object]:
    """Return a wallet; totals in USD are empty, as Bybit's are outside unified accounts."""
    return {
        "accountType": "CONTRACT",
        "accountLTV": "",
        "accountIMRate": "",
        "accountMMRate": "",
        "totalEquity": "",
        "totalWalletBalance": "",
        "totalMarginBalance": "",
        "totalAvailableBalance": "",
        "totalPerpUPL": "",
        "totalInitialMargin": "",
        "totalMaintenanceMargin": "",
        "coin": [coin.frame() for coin in coins],
    }


def key_info(key_id: str) -> bytes:
    """Return the result of /v5/user/query-api: a key that reads, of a unified trading account."""
    return msgspec.json.encode(
        {
            "id": key_id,
            "note": "",
            "apiKey": key_id,
            "readOnly": 1,
            "secret": "",
            "permissions": {
                "ContractTrade": ["Position"],
                "Spot": [],
                "Wallet": [],
                "Options": [],
                "Derivatives": ["DerivativesTrade"],
                "CopyTrading": [],
                "BlockTrade": [],
                "Exchange": [],
                "NFT": [],
            },
            "ips": ["*"],
            "type": 1,
            "unified": 0,
            "uta": 1,
            "userID": 0,
            "inviterID": 0,
            "vipLevel": "",
            "mktMakerLevel": "0",
            "affiliateID": 0,
        }
    )


def account_info(now_ms: int) -> bytes:
    """Return the result of /v5/account/info."""
    return msgspec.json.encode(
        {"unifiedMarginStatus": 4, "marginMode": "REGULAR_MARGIN", "updatedTime": str(now_ms)}
    )


NO_COINS = b'{"rows":[]}'
"""The result of /v5/asset/coin/query-info: delever knows of no deposits."""
